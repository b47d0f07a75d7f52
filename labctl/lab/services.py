"""The services of the user, tried: their names where tasks ask for them, and their published ports on each node.

names    on each node, in each overlay network that a task of it is on, each name leads to what the managers list. The
         engine's own name server is asked from within a task's network namespace; no container is started.
ports    a published TCP port takes a connection, asked for by its node and by the next one: in ingress mode on each
         node, in host mode where a task is. UDP says nothing of who listens, and is not tried.

A service that is not what it shall be is no failure of the lab: it is told apart, and tried as far as its tasks run. So
is a container that does not listen at the port that its service publishes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from labctl.concurrent import each
from labctl.errors import CommandFailed, LabctlError, LabError, WaitTimeout
from labctl.events import Emit, Noted, Warned, quiet
from labctl.lab import onnode
from labctl.lab.gossip import exchange
from labctl.lab.promised import (
    Broken,
    Picture,
    Place,
    asks_of,
    broken_names,
    broken_ports,
    not_tried,
    ports_of,
    told_together,
    users_services,
)
from labctl.node import Node
from labctl.swarm.service import progress_of
from labctl.swarm.state import SwarmView
from labctl.waiting import Clock, Pending, stretched, wait_until
from labctl.words import counted, some

__all__ = ["ASK", "mend_services", "try_services"]

ASK = ["python3", "-I", "-S", "-"]
ANSWER_LIMIT = 2.0  # seconds for one name, and for one connection
ASK_LIMIT = 60.0  # seconds for all that one node is asked; usually a fifth of one
SETTLES_WITHIN = 15.0  # seconds; engines tell each other of a task that has just come or gone in one
LASTING = 3  # looks in a row that see the same: then it is no task that comes or goes


class _NotServed(LabError):
    """Services do not serve, on nodes that do; `broken` says what."""

    def __init__(self, broken: Sequence[Broken]) -> None:
        super().__init__("\n".join(told_together(broken)))
        self.broken = broken


@dataclass
class _Seen:
    """What one look found."""

    broken: list[Broken] = field(default_factory=list)
    deaf: list[str] = field(default_factory=list)
    names: int = 0
    ports: int = 0
    running: int = 0  # services that have a task that runs
    skipped: Sequence[str] = ()


def try_services(
    manager: Node, nodes: Sequence[Node], note: Callable[[str], None], emit: Emit, *, clock: Clock | None = None
) -> str:
    """Try the services on the nodes, and return a line that says what was tried; empty where there is no service.

    Raises LabError with what does not serve, each in a line with what to do.
    """
    view = SwarmView(manager.engine)
    names = [service.name for service in users_services(view)]
    if not names:
        return ""
    note(f"asking for {counted(len(names), 'service')}")
    seen, times = _Seen(), dict[Broken, int]()

    def look() -> None:
        nonlocal seen, times
        seen = _look(view, nodes)
        times = {one: times.get(one, 0) + 1 for one in seen.broken}
        if seen.broken:
            raise Pending(told_together(seen.broken)[0].partition(": `")[0])

    try:
        wait_until("the services", look, limit=SETTLES_WITHIN, pause=0.5, longest_pause=2, clock=clock, noted=note)
    except WaitTimeout:
        if lasting := [one for one in seen.broken if times[one] >= LASTING]:
            raise _NotServed(lasting) from None
    apart = [str(one) for one in progress_of(view, names, nodes) if not one.done]
    skipped = [f"not tried, since only TCP tells: {some(seen.skipped, 5)}"] if seen.skipped else []
    unfinished = [f"not converged, and tried as far as its tasks run: {one}" for one in apart]
    for told in (*seen.deaf, *skipped, *unfinished):
        emit(Noted(told))
    answers = counted(seen.ports, "published port answers", "published ports answer")
    idle = f", {len(names) - seen.running} of them without a running task" if seen.running < len(names) else ""
    return f"{counted(len(names), 'service')}{idle}: {counted(seen.names, 'name')} found, {answers}"


def mend_services(manager: Node, nodes: Sequence[Node], note: Callable[[str], None], emit: Emit) -> str:
    """Try the services; where one does not serve, let the engines tell each other what they know, and try again.

    No task is touched: what that does not help is a warning, with what to do. Returns what was tried, "" where not all
    serves. What has not converged is not told: it was down a moment ago.
    """
    try:
        try:
            return try_services(manager, nodes, note, quiet)
        except _NotServed as problem:
            emit(Noted(f"{told_together(problem.broken)[0].partition(': `')[0]}; the engines tell each other again"))
            exchange(nodes)
            return try_services(manager, nodes, note, quiet)
    except _NotServed as left:
        for told in told_together(left.broken, after_start=True):
            emit(Warned(told))
    except LabctlError as problem:
        emit(Warned(f"the services were not tried: {problem.message}"))
    return ""


def _look(view: SwarmView, nodes: Sequence[Node]) -> _Seen:
    picture = Picture.taken(view, nodes)
    tried = [node for node in nodes if node.name in picture.hosts.values()]
    ports = ports_of(picture)
    # Each node asks itself, and the next one as somebody from outside.
    ring = [*pairwise([*tried, tried[0]])] if len(tried) > 1 else []
    whom = {node.name: [node] for node in tried}
    for node, following in ring:
        whom[node.name].append(following)
    wanted = {node.name: _wanted(picture, node.name, whom[node.name], ports) for node in tried}
    answers = dict(zip(wanted, each(tried, lambda node: _answers(node, wanted[node.name])), strict=True))
    return _judged(picture, wanted, answers)


@dataclass(frozen=True)
class _Wanted:
    """What one node is asked: tasks in the order of `ids`, ports in that of `ports`."""

    text: str
    ids: Sequence[str]
    ports: Sequence[Place]


def _wanted(picture: Picture, node: str, whom: Sequence[Node], ports: Sequence[Place]) -> _Wanted:
    asks = asks_of(picture, node)
    tasks = {task.id: task for task in picture.running(node=node)}
    addresses = {one.name: one.address for one in whom}
    asked = [port for port in ports if port.node in addresses]
    text = json.dumps(
        {
            "limit": stretched(ANSWER_LIMIT),
            "tasks": [
                {
                    "pid": tasks[id_].raw["Status"]["ContainerStatus"]["PID"],
                    "container": tasks[id_].container_id,
                    "names": [name for service in names for name in (service, f"tasks.{service}")],
                }
                for id_, names in asks.items()
            ],
            "ports": [(addresses[port.node], port.number, port.times) for port in asked],
        }
    )
    return _Wanted(text, list(asks), asked)


def _answers(node: Node, wanted: _Wanted) -> Any:
    script = f"{Path(onnode.__file__).read_text(encoding='utf-8')}\nprint(said({wanted.text!r}))\n"
    result = node.transport.run(ASK, stdin=script.encode(), limit=ASK_LIMIT)
    if not result.ok:
        raise CommandFailed(node.name, result)
    try:
        answer = json.loads(result.stdout)
        if len(answer["tasks"]) == len(wanted.ids) and len(answer["ports"]) == len(wanted.ports):
            return answer
    except (ValueError, KeyError, TypeError):
        pass
    raise LabError(
        f"{node.name} was asked about its tasks, and answers something else: {result.stdout[:80]!r}",
        hint=f"`labctl ssh {node.name} python3 --version` tells whether its Python runs.",
    )


def _judged(picture: Picture, wanted: Mapping[str, _Wanted], answers: Mapping[str, Any]) -> _Seen:
    running = {task.service_id for task in picture.running()}
    seen, tasks = _Seen(running=len(running), skipped=not_tried(picture)), {task.id: task for task in picture.tasks}
    listening: dict[str, Sequence[int]] = {}
    heard: dict[Place, dict[str, str]] = defaultdict(dict)
    for name, one in wanted.items():
        for id_, answer in zip(one.ids, answers[name]["tasks"], strict=True):
            if answer is not None:  # the task is still there
                listening[id_] = answer["listening"]
                seen.broken += broken_names(picture, name, tasks[id_], answer["names"])
                seen.names += len(answer["names"])
        for port, reason in zip(one.ports, answers[name]["ports"], strict=True):
            heard[port][name] = reason
    broken, seen.deaf = broken_ports(picture, heard, listening)
    seen.broken += broken
    seen.ports = len(heard)
    return seen
