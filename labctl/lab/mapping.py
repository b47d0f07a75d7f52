"""Where the swarm's tasks are: nodes, and on each its tasks. One look at one manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from labctl.concurrent import each
from labctl.lab.core import LabCore
from labctl.node import Node
from labctl.swarm.cluster import DECISION_LIMIT
from labctl.swarm.state import Service, SwarmNode, Task

__all__ = ["MapNode", "MapTask", "SwarmMap", "look", "map_of"]


@dataclass(frozen=True)
class MapTask:
    """A task: `name` is service.slot, as `docker service ps` says it; `reason` is the scheduler's or the engine's."""

    name: str
    service: str
    state: str
    desired: str
    reason: str
    image: str


@dataclass(frozen=True)
class MapNode:
    """A node. `state` is the swarm's word (ready, down), the machine's where that is paused or in no swarm."""

    name: str
    role: str
    leader: bool
    state: str
    availability: str
    tasks: tuple[MapTask, ...]


@dataclass(frozen=True)
class SwarmMap:
    """All nodes, and the tasks that no node has taken yet."""

    lab: str
    nodes: tuple[MapNode, ...]
    waiting: tuple[MapTask, ...]

    def to_dict(self) -> dict[str, object]:
        """The map as JSON can carry it."""
        return asdict(self)


def look(lab: LabCore) -> SwarmMap:
    """Ask a working manager. Raises QuorumLost or LabError when there is none.

    Of somebody else's lab only the machines are known, since its keys are not here.
    """
    if not lab.record.owner.is_you:
        return SwarmMap(lab.name, tuple(_machine(node) for node in lab.nodes), ())
    view = lab.swarm(limit=DECISION_LIMIT)
    seen: dict[str, list[object]] = {}

    def ask(kind: str) -> None:
        seen[kind] = list(getattr(view, kind)())

    each(("nodes", "services", "tasks"), ask)
    members = [one for one in seen["nodes"] if isinstance(one, SwarmNode)]
    services = [one for one in seen["services"] if isinstance(one, Service)]
    tasks = [one for one in seen["tasks"] if isinstance(one, Task)]
    return map_of(lab.name, lab.nodes, members, services, tasks)


def map_of(
    lab: str, machines: Sequence[Node], members: Sequence[SwarmNode], services: Sequence[Service], tasks: Sequence[Task]
) -> SwarmMap:
    """Put the tasks under their nodes, by service, state and slot. Machines that are in no swarm come last. Pure."""
    known = {service.id: service for service in services}
    hosts = {member.id: member.hostname for member in members}
    down = {member.id for member in members if member.state == "down"}
    placed: dict[str, list[MapTask]] = {}
    shown = [task for task in tasks if task.service_id in known and _matters(task, known[task.service_id])]
    for task in sorted(shown, key=lambda task: (known[task.service_id].name, task.state != "running", task.slot)):
        found = _placed(task, known[task.service_id], hosts)
        # The last word of a node that is down stays "running"; its task was recreated elsewhere, and shall not run.
        lost = task.node_id in down and task.state == "running" and task.desired != "running"
        placed.setdefault(task.node_id, []).append(replace(found, state="unknown") if lost else found)
    # The swarm takes seconds to miss a node that is suspended.
    suspended = {node.name for node in machines if node.state == "paused"}
    columns = [_column(member, member.hostname in suspended, tuple(placed.get(member.id, ()))) for member in members]
    named = {member.hostname for member in members}
    columns += [
        MapNode(node.name, node.role, False, "no swarm" if node.is_running else node.state, "", ())
        for node in machines
        if node.name not in named
    ]
    return SwarmMap(lab, tuple(columns), tuple(placed.get("", ())))


def _machine(node: Node) -> MapNode:
    return MapNode(node.name, node.role, False, node.state, "", ())


def _matters(task: Task, service: Service) -> bool:
    """What runs, what shall, and what a job has done; not what was replaced."""
    if service.is_job:
        return task.iteration == service.iteration
    return task.desired == "running" or not task.is_over


def _placed(task: Task, service: Service, hosts: Mapping[str, str]) -> MapTask:
    which = hosts.get(task.node_id, task.node_id) if service.is_global else str(task.slot)  # a job counts from 0
    image = task.image.partition("@")[0]
    return MapTask(f"{service.name}.{which}", service.name, task.state, task.desired, task.reason, image)


def _column(member: SwarmNode, suspended: bool, tasks: tuple[MapTask, ...]) -> MapNode:
    state = "paused" if suspended else member.state
    return MapNode(member.hostname, member.role, member.leader, state, member.availability, tasks)
