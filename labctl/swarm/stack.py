"""Stacks: the manager's own CLI deploys the file as it is, with the files it names carried along."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labctl.concurrent import within
from labctl.engine.client import Json
from labctl.errors import EngineRefused, LabctlError, NotFoundError, UsageError, WaitTimeout
from labctl.events import Emit, Noted, Warned, quiet
from labctl.node import Node
from labctl.swarm.carrying import carried, environment_of, with_own_paths
from labctl.swarm.olderyaml import for_older_cli
from labctl.swarm.refusal import Parts, paragraphs, parts_of, refusal, told_apart
from labctl.swarm.service import CONVERGE_LIMIT, Progress, converge, update_times
from labctl.swarm.stackfile import StackFile
from labctl.swarm.state import NAMESPACE, Port, Service, SwarmView, Task
from labctl.swarm.ways import Nearby
from labctl.transport import Result
from labctl.waiting import Pending, stretched, wait_until
from labctl.words import counted

__all__ = [
    "NAMESPACE",
    "Deployed",
    "Stack",
    "check_name",
    "deploy",
    "merged",
    "names",
    "published_ports",
    "remove",
    "require",
    "shown_ports",
    "stacks",
    "tasks_of",
    "wait_converged",
]

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
LONGEST_NAME = 63  # of a service, with its stack's: it is a part of a name in DNS
DEPLOY_LIMIT = 120.0  # seconds; the CLI asks the registry for each image's digest
REMOVE_LIMIT = 90.0
ANSWER_LIMIT = 5.0  # seconds that a node may take to tell what it has of a stack
GOING_LIMIT = 20.0  # seconds that a stack which was removed may hold up one of its name
NOT_FOUND = re.compile(r"network (\S+) not found")


@dataclass(frozen=True)
class Stack:
    """A stack as the swarm shows it."""

    name: str
    services: int


@dataclass(frozen=True)
class Deployed:
    """What was deployed: the file's services by their names in the swarm.

    `old_updates` is when each was last updated before, `old_tasks` are the ids of the tasks that were there before.
    """

    name: str
    services: tuple[str, ...]
    old_updates: dict[str, str]
    old_tasks: frozenset[str] = frozenset()


def check_name(name: str) -> None:
    """Raise UsageError for what cannot be a stack's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a stack: letters, digits, - and _, a letter or digit at each end")


def _check_services(files: Sequence[StackFile], stack: str) -> None:
    """Raise UsageError for what Compose lets a service be called, and Swarm refuses when its networks are made."""
    problems = []
    for file in files:
        for service in file.services:
            whole, line = f"{stack}_{service}", file.document.line_of(("services", service))
            wrong = "letters, digits, - and _, a letter or digit at each end" if not NAME.fullmatch(service) else ""
            if len(whole) > LONGEST_NAME:
                wrong = f"{whole} has {len(whole)} characters, and Swarm takes {LONGEST_NAME} at most"
            if wrong:
                place = f"{file.shown}:{line}" if line else file.shown
                problems.append(f"{place}: {service!r} is no name for a service: {wrong}")
    if problems:
        raise UsageError("\n".join(problems))


def stacks(view: SwarmView) -> list[Stack]:
    """All stacks, by name."""
    count = Counter(service.stack for service in view.services() if service.stack)
    return [Stack(name, number) for name, number in sorted(count.items())]


def deploy(
    manager: Node,
    file: StackFile | Sequence[StackFile],
    name: str,
    *,
    prune: bool = False,
    registry_auth: bool = False,
    resolve_image: str | None = None,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
) -> Deployed:
    """Let the manager's CLI deploy the file, or several that it merges; see `wait_converged` for the rest of the way.

    Where a stack of the name was removed a moment ago, its networks are waited for; `noted` hears that.
    Raises UsageError when the CLI does not take the file, NotYetError when the swarm refuses what it asks for.
    """
    check_name(name)
    files = [file] if isinstance(file, StackFile) else list(file)
    _check_services(files, name)
    _warn(files, emit)
    view = SwarmView(manager.engine)
    services = tuple(dict.fromkeys(f"{name}_{service}" for one in files for service in one.services))
    old_updates = update_times(view, services)
    old_tasks = frozenset(task.id for task in tasks_of(view, name))
    before = parts_of(view, name)
    flags = [*(["--prune"] if prune else []), *(["--with-registry-auth"] if registry_auth else [])]
    flags += ["--resolve-image", resolve_image] if resolve_image else []
    with carried(manager, files) as places:
        given = [word for place in places for word in ("-c", place)]
        command = ["docker", "stack", "deploy", *flags, *given, name]
        going = _Going(view, name, noted)
        result = going.tried(partial(manager.run, command, limit=DEPLOY_LIMIT, env=environment_of(files)))
        for line in result.stdout.splitlines():
            emit(Noted(line))
        warnings = paragraphs(result.stderr) if result.ok else told_apart(result.stderr, {})[0]
        for warning in warnings:
            emit(Warned(warning))
        if not result.ok:
            raise going.told(refusal(manager, files, places, name, result=result, before=before))
    return Deployed(name, services, old_updates, old_tasks)


class _Going:
    """What is left of a stack of that name that was removed a moment ago.

    `docker stack rm` returns while tasks still stop (moby#29293), and until the last one on a manager is over its
    engine lists the network that they were on, though the swarm has it no more: the CLI takes it for there.
    """

    def __init__(self, view: SwarmView, name: str, noted: Callable[[str], None] | None) -> None:
        self._view, self._name, self._noted = view, name, noted
        self._networks = {str(one["Id"]): str(one["Name"]) for one in self._listed()}
        self._end = time.monotonic() + stretched(GOING_LIMIT)
        self._left = ""

    def tried(self, run: Callable[[], Result]) -> Result:
        """What came of the command, which is run again when such a network that it missed is gone."""
        while True:
            result = run()
            found = None if result.ok else NOT_FOUND.search(result.stderr)
            left = (self._end - time.monotonic()) / stretched(1)
            if found is None or found[1] not in self._networks.values() or left <= 0:
                return result
            what = f"what is left of the old stack {self._name}"
            try:
                wait_until(what, partial(self._look, found[1]), limit=left, pause=0.2, noted=self._noted)
            except WaitTimeout as timeout:
                self._left = timeout.last_seen
                return result

    def told(self, problem: LabctlError) -> LabctlError:
        """The error for a command that failed; where something was waited for in vain, with that."""
        if self._left:
            problem.hint = f"{self._left}: `labctl stack rm {self._name}` takes it away. Then deploy again."
        return problem

    def _listed(self) -> list[Json]:
        return self._view.engine.networks([f"{NAMESPACE}={self._name}"])

    def _look(self, network: str) -> None:
        if not any(one["Id"] in self._networks and one["Name"] == network for one in self._listed()):
            return
        stopping = [task for task in tasks_of(self._view, self._name) if not task.is_over]
        tasks = f", {counted(len(stopping), 'task is', 'tasks are')} still stopping" if stopping else ""
        raise Pending(f"the network {network} of the stack that was removed is not gone yet{tasks}")


def _warn(files: Sequence[StackFile], emit: Emit) -> None:
    """Tell what will not be as the files have it."""
    for source, folder in dict.fromkeys((bind, file.folder) for file in files for bind in file.binds):
        told = f"{source} is mounted from the node that runs the task, and"
        path = Path(folder, source).expanduser() if not source.startswith("~") else Path(source).expanduser()
        if path.is_file():
            way = "name it under `configs:`, which goes along, or where `labctl scp` puts it on the nodes"
            emit(Warned(f"{told} a file goes there with no stack: {way}"))
        else:
            emit(Warned(f"{told} labctl copies no folders to nodes: `labctl scp -r` does"))
    for variable in dict.fromkeys(variable for file in files for variable in file.unset):
        emit(Warned(f"{variable} is not set: Docker puts nothing in its place"))
    for file in files:
        if version := for_older_cli(file.text)[1]:
            emit(
                Noted(f'{file.shown}: `version: "{version}"` was left out; Compose ignores it, and the nodes refuse it')
            )


def merged(manager: Node, files: Sequence[StackFile]) -> str:
    """The stack file that the manager's CLI makes of the files: merged, with variables filled in."""
    with carried(manager, files) as places:
        given = [word for place in places for word in ("-c", place)]
        result = manager.run(["docker", "stack", "config", *given], limit=DEPLOY_LIMIT, env=environment_of(files))
        if not result.ok:
            raise refusal(manager, files, places, "", result=result, before=Parts())
    return with_own_paths(result.stdout, files)


def wait_converged(
    view: SwarmView,
    deployed: Deployed,
    *,
    nodes: Sequence[Node] = (),
    near: Nearby | None = None,
    limit: float = CONVERGE_LIMIT,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
) -> list[Progress]:
    """Wait until the stack's services run, or have completed; arguments and errors as in `converge`."""
    return converge(
        view,
        deployed.services,
        limit=limit,
        emit=emit,
        noted=noted,
        old_updates=deployed.old_updates,
        old_tasks=deployed.old_tasks,
        nodes=nodes,
        near=near,
    )


def published_ports(view: SwarmView, name: str) -> list[Port]:
    """The ports that the stack publishes on every node (ingress), each once."""
    found = {port for service in view.services(stack=name) for port in service.ports if port.mode == "ingress"}
    return sorted(found, key=lambda port: (port.published, port.protocol))


def shown_ports(service: Service, tasks: Iterable[Task], hosts: Mapping[str, str]) -> list[str]:
    """The ports of a service as a person reads them: `*:80->80/tcp` on every node, `worker1:80->80/tcp` on that one.

    `hosts` maps node ids to names. A port of `mode: host` is open where a task runs, on no node else: `-`.
    """
    shown = [f"*:{p.published}->{p.target}/{p.protocol}" for p in service.ports if p.mode == "ingress"]
    running = [task for task in tasks if task.service_id == service.id and task.state == "running"]
    for port in (port for port in service.ports if port.mode == "host"):
        there = sorted(f"{hosts.get(task.node_id, task.node_id)}:{_host_port(task, port)}" for task in running)
        shown += [f"{place}->{port.target}/{port.protocol}" for place in there or [f"-:{port.published or ''}"]]
    return shown


def _host_port(task: Task, port: Port) -> int:
    """Where the task's node has the port open: the engine chooses where none was said."""
    opened = (task.raw["Status"].get("PortStatus") or {}).get("Ports") or ()
    found = (Port.of(one) for one in opened)
    return next((o.published for o in found if (o.target, o.protocol) == (port.target, port.protocol)), port.published)


def tasks_of(view: SwarmView, name: str) -> list[Task]:
    """The stack's tasks, those that are over too."""
    return [Task.of(raw) for raw in view.engine.swarm_objects("tasks", {"label": [f"{NAMESPACE}={name}"]})]


def names(view: SwarmView) -> set[str]:
    """The names of all stacks of which something is there: one that is half made, or half gone, has networks alone."""
    labels = [network.get("Labels") or {} for network in view.engine.networks([NAMESPACE])]
    return {stack.name for stack in stacks(view)} | {str(found[NAMESPACE]) for found in labels if NAMESPACE in found}


def require(view: SwarmView, name: str) -> None:
    """Raise NotFoundError, with the nearest name, when nothing of such a stack is there."""
    if not view.services(stack=name) and not view.engine.networks([f"{NAMESPACE}={name}"]):
        raise NotFoundError("stack", name, names(view))


def remove(
    manager: Node,
    name: str,
    *,
    nodes: Sequence[Node] = (),
    limit: float = REMOVE_LIMIT,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Remove a stack and wait until its tasks and networks are gone too, also from `nodes`; its volumes stay.

    Returns the nodes that said nothing, and on which the stack's containers may go on until they are back.
    `docker stack rm` returns while tasks still stop, and gives up on networks that they hold (moby#29293): a deploy
    right after it would then fail. Raises NotFoundError for a stack that is not there, WaitTimeout at the limit.
    """
    view = SwarmView(manager.engine)
    require(view, name)
    had = {task.node_id for task in tasks_of(view, name) if not task.is_over}
    ids = {member.hostname: member.id for member in view.nodes()}
    concerned = [node for node in nodes if ids.get(node.name) in had]
    result = manager.run(["docker", "stack", "rm", name], limit=DEPLOY_LIMIT)
    for line in (result.stdout + result.stderr).splitlines():
        if line.startswith("Removing"):
            emit(Noted(line))
    running = [node for node in nodes if node.is_running]

    def look() -> list[str]:
        _gone(view, name)
        return _gone_from(running, name)

    silent = wait_until(f"stack {name} going", look, limit=limit, pause=0.2, noted=noted)
    return tuple(node.name for node in concerned if node.state == "paused" or node.name in silent)


def _gone(view: SwarmView, name: str) -> None:
    services = view.services(stack=name)
    if services:
        raise Pending(f"{counted(len(services), 'service is', 'services are')} still there")
    # A node that is down stops its tasks when it comes back; nobody needs to wait for that.
    alive = {node.id for node in view.nodes() if node.state == "ready"}
    running = [task for task in tasks_of(view, name) if not task.is_over and task.node_id in alive]
    if running:
        raise Pending(f"{counted(len(running), 'task is', 'tasks are')} still stopping")
    left: list[str] = []
    for network in view.engine.networks([f"{NAMESPACE}={name}"]):
        try:
            view.engine.remove_network(network["Id"])
        except EngineRefused as refused:
            left.append(f"{network['Name']}: {refused.message}")
    if left:
        raise Pending("; ".join(left))


def _gone_from(nodes: Sequence[Node], name: str) -> list[str]:
    """A task that is over leaves its container, and its node's part of a network, for a moment longer.

    Returns the names of the nodes that do not answer; each cleans up when it is back.
    """
    left: dict[str, int] = {}

    def ask(node: Node) -> None:
        mark = [f"{NAMESPACE}={name}"]
        left[node.name] = len(node.engine.containers(mark)) + len(node.engine.networks(mark))

    within(stretched(ANSWER_LIMIT), *(partial(ask, node) for node in nodes))
    if still := [node.name for node in nodes if left.get(node.name)]:
        raise Pending(f"still cleaning up: {', '.join(still)}")
    return [node.name for node in nodes if node.name not in left]
