"""Stacks: the manager's own CLI deploys the file as it is, with the files it names carried along."""

from __future__ import annotations

import contextlib
import posixpath
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.concurrent import each
from labctl.engine.client import tar_of
from labctl.errors import (
    EngineRefused,
    EngineUnreachable,
    LabctlError,
    NodeDown,
    NotFoundError,
    NotYetError,
    UsageError,
)
from labctl.events import Emit, Noted, Warned, quiet
from labctl.node import Node
from labctl.swarm.service import CONVERGE_LIMIT, Progress, converge, update_times
from labctl.swarm.stackfile import StackFile
from labctl.swarm.state import Port, SwarmView, Task
from labctl.transport import Result
from labctl.waiting import Pending, wait_until
from labctl.words import counted

__all__ = [
    "NAMESPACE",
    "Deployed",
    "Stack",
    "check_name",
    "deploy",
    "published_ports",
    "remove",
    "require",
    "stacks",
    "tasks_of",
    "wait_converged",
]

NAMESPACE = "com.docker.stack.namespace"  # the label that the Docker CLI marks a stack's objects with
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
DEPLOY_LIMIT = 120.0  # seconds; the CLI asks the registry for each image's digest
REMOVE_LIMIT = 90.0
# The CLI's advice on its own flags is no news of the stack.
CHATTER = ("Since --detach=false was not specified", "In a future release, --detach=false")


@dataclass(frozen=True)
class Stack:
    """A stack as the swarm shows it."""

    name: str
    services: int


@dataclass(frozen=True)
class Deployed:
    """What was deployed: the file's services by their names in the swarm, and when each was last updated before."""

    name: str
    services: tuple[str, ...]
    old_updates: dict[str, str]


def check_name(name: str) -> None:
    """Raise UsageError for what cannot be a stack's name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a stack: letters, digits, - and _, a letter or digit at each end")


def stacks(view: SwarmView) -> list[Stack]:
    """All stacks, by name."""
    count = Counter(service.stack for service in view.services() if service.stack)
    return [Stack(name, number) for name, number in sorted(count.items())]


def deploy(
    manager: Node, file: StackFile, name: str, *, prune: bool = False, registry_auth: bool = False, emit: Emit = quiet
) -> Deployed:
    """Let the manager's CLI deploy the file; see `wait_converged` for the rest of the way.

    Raises UsageError when the CLI does not take the file, NotYetError when the swarm refuses what it asks for.
    """
    check_name(name)
    for source in dict.fromkeys(file.binds):
        emit(Warned(f"{source} is mounted from the node that runs the task, and labctl copies no folders to nodes"))
    for variable in file.unset:
        emit(Warned(f"{variable} is not set: Docker puts nothing in its place"))
    view = SwarmView(manager.engine)
    services = tuple(f"{name}_{service}" for service in file.services)
    old_updates = update_times(view, services)
    with _carried(manager, file) as place:
        flags = [*(["--prune"] if prune else []), *(["--with-registry-auth"] if registry_auth else [])]
        command = ["docker", "stack", "deploy", *flags, "-c", place, name]
        result = manager.run(command, limit=DEPLOY_LIMIT, env=file.environment)
        if not result.ok:
            raise _refusal(manager, file, place, name, result)
    for line in result.stdout.splitlines():
        emit(Noted(line))
    for paragraph in _paragraphs(result.stderr):
        emit(Warned(paragraph))
    return Deployed(name, services, old_updates)


def wait_converged(
    view: SwarmView,
    deployed: Deployed,
    *,
    nodes: Sequence[Node] = (),
    limit: float = CONVERGE_LIMIT,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
) -> list[Progress]:
    """Wait until the stack's services run, or have completed; arguments and errors as in `converge`."""
    return converge(
        view, deployed.services, limit=limit, emit=emit, noted=noted, old_updates=deployed.old_updates, nodes=nodes
    )


def published_ports(view: SwarmView, name: str) -> list[Port]:
    """The ports that the stack publishes on every node (ingress), each once."""
    found = {port for service in view.services(stack=name) for port in service.ports if port.mode == "ingress"}
    return sorted(found, key=lambda port: (port.published, port.protocol))


def tasks_of(view: SwarmView, name: str) -> list[Task]:
    """The stack's tasks, those that are over too."""
    return [Task.of(raw) for raw in view.engine.swarm_objects("tasks", {"label": [f"{NAMESPACE}={name}"]})]


def require(view: SwarmView, name: str) -> None:
    """Raise NotFoundError, with the nearest name, when nothing of such a stack is there."""
    if not view.services(stack=name) and not view.engine.networks([f"{NAMESPACE}={name}"]):
        raise NotFoundError("stack", name, [stack.name for stack in stacks(view)])


def remove(
    manager: Node,
    name: str,
    *,
    nodes: Sequence[Node] = (),
    limit: float = REMOVE_LIMIT,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
) -> None:
    """Remove a stack and wait until its tasks and networks are gone too, also from `nodes`; its volumes stay.

    `docker stack rm` returns while tasks still stop, and gives up on networks that they hold (moby#29293): a deploy
    right after it would then fail. Raises NotFoundError for a stack that is not there, WaitTimeout at the limit.
    """
    view = SwarmView(manager.engine)
    require(view, name)
    result = manager.run(["docker", "stack", "rm", name], limit=DEPLOY_LIMIT)
    for line in (result.stdout + result.stderr).splitlines():
        if line.startswith("Removing"):
            emit(Noted(line))
    running = [node for node in nodes if node.is_running]

    def look() -> None:
        _gone(view, name)
        _gone_from(running, name)

    wait_until(f"stack {name} going", look, limit=limit, pause=0.2, noted=noted)


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


def _gone_from(nodes: Sequence[Node], name: str) -> None:
    """A task that is over leaves its container, and its node's part of a network, for a moment longer."""

    def left_on(node: Node) -> int:
        try:
            mark = [f"{NAMESPACE}={name}"]
            return len(node.engine.containers(mark)) + len(node.engine.networks(mark))
        except (EngineUnreachable, NodeDown):
            return 0  # it went down meanwhile, and cleans up when it comes back

    left = {node.name: count for node, count in zip(nodes, each(nodes, left_on), strict=True) if count}
    if left:
        raise Pending(f"still cleaning up: {', '.join(left)}")


@contextlib.contextmanager
def _carried(manager: Node, file: StackFile) -> Iterator[str]:
    """The stack file and what it names, on the manager for as long as the block lasts; yields the file's path there."""
    place = f"/tmp/labctl-stack-{secrets.token_hex(4)}"
    inside = file.folder.relative_to(file.top).as_posix()
    files = {posixpath.normpath(posixpath.join(inside, file.name)): (file.text.encode(), 0o600)}
    outside: list[str] = []
    for reference in file.references:
        content = reference.path.read_bytes()
        if Path(reference.said).is_absolute():
            if _placed(manager, reference.said, content):
                outside.append(reference.said)
        else:
            files[posixpath.normpath(posixpath.join(inside, reference.said))] = (content, 0o600)
    try:
        manager.transport.run(["mkdir", "-m", "700", place])
        for _ in manager.transport.stream(["tar", "-x", "-C", place], stdin=[tar_of(files)]):
            pass
        yield f"{place}/{posixpath.normpath(posixpath.join(inside, file.name))}"
    finally:
        manager.transport.run(["rm", "-rf", place, *outside])


def _placed(manager: Node, path: str, content: bytes) -> bool:
    """Put a file that is named by an absolute path at just that path; False when the node has it already."""
    try:
        there = manager.get(path)
    except NotFoundError:
        manager.put(content, path, mode=0o600)
        return True
    if there != content:
        raise UsageError(
            f"{path} is another file on {manager.name} than here", hint="Name it by a path relative to the stack file."
        )
    return False


def _refusal(manager: Node, file: StackFile, place: str, name: str, result: Result) -> LabctlError:
    """Why the CLI did not deploy: a file that it does not take says the same to `docker stack config`."""
    said = " ".join(_paragraphs(result.stderr)) or f"exit code {result.code}"
    said = said.replace(place, file.name)
    asked = manager.transport.run(["docker", "stack", "config", "-c", place], env=file.environment)
    last = result.stderr.strip().splitlines()[-1:]
    if not asked.ok and asked.stderr.strip().splitlines()[-1:] == last:
        return UsageError(f"{file.place_of(said)}: {said}")
    return NotYetError(
        f"stack {name} was not deployed: {said}", hint=f"`labctl stack rm {name}` takes back what was made of it."
    )


def _paragraphs(text: str) -> list[str]:
    """What the CLI said on stderr, each warning in one line, without its advice on its own flags."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith(CHATTER))
    found = re.split(r"\n\s*\n|\n(?=image )", kept)
    return [" ".join(paragraph.split()) for paragraph in found if paragraph.strip()]
