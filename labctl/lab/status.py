"""What a lab is like now: its machines, what the swarm says of them, and what is made up for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from labctl import edge
from labctl.backend import LabRecord
from labctl.concurrent import each
from labctl.engine.client import Json
from labctl.errors import LabctlError, QuorumLost
from labctl.follower.managers import PROBE
from labctl.lab.addresses import moved_problems
from labctl.lab.context import Context
from labctl.lab.meshes import mesh_of, mesh_problems
from labctl.lab.neighbours import neighbour_problems
from labctl.lab.parts import is_proxy, mirror_of, ports_of, registry_of, registry_trouble
from labctl.lab.plan import HALF_MADE, lost_swarm
from labctl.lab.standing import gone_members, gone_nodes, half_restored, has_lost_network, newer, refused_as_empty
from labctl.node import Node
from labctl.spec import labels
from labctl.swarm import caveats, cluster
from labctl.swarm.belonging import former_selves, strays_of
from labctl.swarm.cluster import Membership
from labctl.swarm.quorum import refuse_lost_majority
from labctl.swarm.state import Service, SwarmNode, SwarmView
from labctl.swarm.states import is_orphaned, leavers_of, memberships, state_problems, trouble_of
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.spec import NodeSpec

__all__ = ["LabStatus", "NodeStatus", "status_of"]


GATEWAY = "docker_gwbridge"
MENDS = ("`labctl start ", "`labctl restart ", "`labctl resume ")  # what a node that has a fault needs none of
MARK = "labctl.fault"  # a service's label (labctl.faults.service_lease); whoever has no fault need not load them


@dataclass(frozen=True)
class NodeStatus:
    """One node: the machine's state, and the swarm's word on it (empty where the swarm knows none)."""

    name: str
    role: str
    state: str
    address: str
    url: str
    swarm: str = ""
    availability: str = ""
    manager: str = ""
    engine: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing."""
        return self.state == "running" and self.swarm in ("ready", "no swarm") and self.manager != "unreachable"


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now. `problems` are sentences, each with what to do; none means that all is well.

    `services` is how many the swarm has, None where no manager says. `privileged_tasks` says that the nodes may
    use every device of this host.
    """

    name: str
    backend: str
    subnet: str
    swarm: str
    nodes: tuple[NodeStatus, ...]
    mesh: str
    registry: str
    mirror: str
    services: int | None = None
    ports: tuple[str, ...] = ()
    privileged_tasks: bool = False
    problems: tuple[str, ...] = field(default=())
    owner: str = ""
    yours: bool = True
    warnings: tuple[str, ...] = ()  # what is not as it should be, and the lab is good all the same

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """The status as JSON can carry it."""
        return {**asdict(self), "good": self.is_good}


def status_of(context: Context, record: LabRecord) -> LabStatus:
    """Look at every part of the lab at once; a part that does not answer is a problem, not an error."""
    running = [node for node in record.nodes if node.is_running]
    gone = gone_nodes(record)
    if not record.owner.is_you:
        return _status_of_others(context, record, running)
    swarm = _swarm_of(record, running)
    problems, members = _lost(record, gone, swarm), swarm.members
    joins = record.spec.joins if record.spec else (lambda _: True)
    nodes = tuple(_node_status(node, members.get(node.name), joins(node.name)) for node in record.nodes)
    nodes += tuple(_gone_status(node, members.get(node.name)) for node in gone)
    moved = moved_problems(record)
    bad = [one for one in nodes if one.state == "running" and not one.is_good and members and one.name not in moved]
    apart, mesh = [node for node in running if not joins(node.name)], mesh_of(running)
    problems += [*moved.values(), *_node_problems(swarm, bad, apart, moved)]
    problems += mesh_problems(mesh, running, silent=set(swarm.asked) - swarm.seen.keys())
    extras = context.engine.containers(labels.of_lab(record.name))
    problems += _unheard(record, extras, swarm)
    ports, warnings = ports_of(context.engine, record, extras)
    if swarm.publishes and not any(is_proxy(one) for one in extras):
        warnings = (edge.proxy_trouble(record.name, "gone"),)
    if swarm.probes and not context.is_held(record.name):  # nobody tries the lab just now
        warnings = (*warnings, _probes_left(swarm.probes))
    return LabStatus(
        name=record.name,
        backend=record.spec.backend if record.spec else "dind",
        subnet=record.subnet or "",
        swarm=swarm.told,
        nodes=nodes,
        mesh=mesh,
        registry=registry_of(extras),
        mirror=mirror_of(extras),
        services=swarm.services,
        ports=ports,
        privileged_tasks=record.spec is not None and record.spec.privileged_tasks,
        problems=tuple(_with_faults(record, problems)),
        warnings=(*_newer(record), *warnings, *swarm.warnings),
        owner=record.owner.login,
    )


def _newer(record: LabRecord) -> tuple[str, ...]:
    told = newer(record)
    return (f"{told[0]}. {told[1].removesuffix('.')}",) if told else ()


def _unheard(record: LabRecord, extras: list[Json], swarm: _Swarm) -> list[str]:
    """That there is no registry, and what nodes do not know of each other.

    Machines are slow to answer: `verify` alone asks them.
    """
    wanted = record.spec is not None and record.spec.registry and record.nodes
    trouble = registry_trouble(extras) if wanted else []
    if record.spec is not None and record.spec.backend != "dind":
        return trouble
    members = [name for name, one in swarm.seen.items() if one.state == "active" and name not in swarm.strays]
    return [*trouble, *neighbour_problems(record, extras, members)]


def _with_faults(record: LabRecord, problems: list[str]) -> list[str]:
    if not any(verb in problem for verb in MENDS for problem in problems):
        return problems
    from labctl.lab.faulty import with_faults

    return with_faults(record, problems)


def _faults_of(services: Sequence[Service]) -> tuple[str, ...]:
    if not any(MARK in service.labels for service in services):
        return ()
    from labctl.lab.faulty import faults_of_services

    return tuple(faults_of_services(services))


def _node_problems(swarm: _Swarm, bad: Sequence[NodeStatus], apart: Sequence[Node], told: Collection[str]) -> list[str]:
    """What is wrong with the nodes that the swarm misses, and which engines are silent.

    `apart` were not asked yet, of those in `told` the reason is told already.
    Nobody can join a swarm that has lost its majority: of those it misses, the cure tells all there is to do.
    """
    names = {one.name for one in bad}
    said = {name: swarm.seen[name] for name in names & swarm.seen.keys()}
    own = state_problems({**said, **memberships([node for node in apart if node.name in names])})
    silent = {name: _silence_of(name) for name in swarm.asked if name not in swarm.seen and name not in told}
    missed = [node for node in bad if node.name not in silent and not swarm.is_lost]
    said_of = [swarm.strays.get(node.name) or own.get(node.name) or _trouble_of(node) for node in missed]
    return [*said_of, *silent.values()]


def _status_of_others(context: Context, record: LabRecord, running: list[Node]) -> LabStatus:
    """Look at somebody else's lab from outside: its keys are not here, and what it lacks is its owner's to mend."""
    extras = context.engine.containers(labels.of_lab(record.name))
    gone = gone_nodes(record)
    nodes = (*(_node_status(node, None, True) for node in record.nodes), *(_gone_status(one, None) for one in gone))
    ill = [f"{node.name} is {node.state}" for node in nodes if node.state != "running"]
    if has_lost_network(record, record.nodes):
        ill.append("the lab's network is gone")
    return LabStatus(
        name=record.name,
        backend=record.spec.backend if record.spec else "dind",
        subnet=record.subnet or "",
        swarm=f"not known here: the lab belongs to {record.owner}, who has its keys",
        nodes=nodes,
        mesh=mesh_of(running),
        registry=registry_of(extras),
        mirror=mirror_of(extras),
        ports=ports_of(context.engine, record, extras)[0],
        problems=tuple(f"{one}; the lab belongs to {record.owner}" for one in ill),
        owner=record.owner.login,
        yours=False,
    )


@dataclass(frozen=True)
class _Swarm:
    told: str
    members: dict[str, SwarmNode] = field(default_factory=dict)
    services: int | None = None
    problems: tuple[str, ...] = ()
    strays: dict[str, str] = field(default_factory=dict)
    seen: Mapping[str, Membership] = field(default_factory=dict)
    asked: tuple[str, ...] = ()  # whose engines were asked for what stands in `seen`
    publishes: bool = False  # a service has a port that the lab's proxy opens
    is_lost: bool = False  # its majority is, for good: `up` is refused until the cure
    probes: tuple[str, ...] = ()  # what labctl tries a lab with, by the services' names; no services of the user's
    warnings: tuple[str, ...] = ()


def _probes_left(names: Sequence[str]) -> str:
    """What to do with the probe of a try that was killed."""
    return f"the probe of a `verify` that was killed is still there ({', '.join(names)}): `labctl verify` removes it"


def _silence_of(name: str) -> str:
    """What to do with an engine that says nothing though its machine runs; the swarm takes seconds to miss it."""
    return f"the engine of {name} does not answer: `labctl restart {name}` starts it over, with its containers"


def _swarm_of(record: LabRecord, running: list[Node]) -> _Swarm:
    """What a manager says of the swarm, where there is one or shall be."""
    formed = record.spec is None or record.spec.swarm == "formed"
    try:
        if not formed and not _any_member(running):
            return _Swarm("none was asked for", services=0)
        gone = gone_members(record)
        view = SwarmView(cluster.working_manager(record.nodes, limit=cluster.DECISION_LIMIT, gone=gone).engine)
        inside = [node for node in running if record.spec is None or record.spec.joins(node.name)]
        seen = memberships(inside)  # before the list: what joins in between is no stray
        asked = tuple(node.name for node in inside)
        known, found = view.nodes(), view.services()
        services = [one for one in found if PROBE not in one.labels]
        probes = tuple(one.name for one in found if PROBE in one.labels)
        strays = strays_of(inside, seen, {member.id for member in known})
        lost = _majority_problem(record, seen, known, gone)
        inside = [node for node in inside if node.name not in strays and _is_member(node, seen, known)]
        votes, idle = former_selves(seen, known)
        unkept = [*lost, *_ghosts(record, gone, known), *votes, *caveats.problems_of(view, services, running)]
        unkept += caveats.outside_ingress(view.engine, inside)
    except LabctlError as problem:
        is_lost = isinstance(problem, QuorumLost) and problem.for_good
        said = _no_manager_problems(record, running, problem)
        return _Swarm("no manager answers for it", problems=said, is_lost=is_lost)
    # The swarm takes seconds to miss a node that left it, for another one or for none.
    away = dict.fromkeys(leavers_of(running, seen, known), "down") | dict.fromkeys(strays, "elsewhere")
    known = [replace(member, state=away.get(member.hostname, member.state)) for member in known]
    members = {m.hostname: m for m in sorted(known, key=lambda m: m.state == "ready")}
    leader = next((member.hostname for member in known if member.leader), "no leader")
    ready = sum(member.state == "ready" for member in known)
    told = f"{ready} of {counted(len(known), 'node')} ready, {leader} leads"
    publishes = any(port.mode == "ingress" for service in services for port in service.ports)
    ill = (*idle, *_faults_of(services))
    return _Swarm(told, members, len(services), tuple(unkept), strays, seen, asked, publishes, bool(lost), probes, ill)


def _ghosts(record: LabRecord, gone: Collection[str], known: Sequence[SwarmNode]) -> list[str]:
    """Members that are down and have no machine in the lab. One that was a manager keeps its vote."""
    names = {*(node.name for node in record.nodes), *(node.name for node in gone_nodes(record)), *gone}
    ghosts = [one for one in known if one.hostname not in names and one.state != "ready"]
    return [
        f"{one.hostname} is on the swarm's list ({one.role}, {one.state}) and is no node of the lab: "
        "`labctl up` takes it off"
        for one in ghosts
    ]


def _is_member(node: Node, seen: Mapping[str, Membership], known: Sequence[SwarmNode]) -> bool:
    """Whether the node takes part: both its engine and the swarm say so."""
    there = node.name in seen and seen[node.name].state == "active"
    return there and any(member.hostname == node.name and member.state == "ready" for member in known)


def _majority_problem(
    record: LabRecord, seen: Mapping[str, Membership], known: Sequence[SwarmNode], gone: Collection[str]
) -> list[str]:
    """That most managers have left, which the one that is left finds out only after some seconds."""
    try:
        refuse_lost_majority(record.nodes, seen, known, [*gone, *(node.name for node in record.nodes)])
    except QuorumLost as lost:
        return [f"{lost.message}: {lost.hint}"]
    return []


def _no_manager_problems(record: LabRecord, running: list[Node], problem: LabctlError) -> tuple[str, ...]:
    """Why no manager answers: what the nodes' own engines say of it, else what came of asking."""
    if isinstance(problem, QuorumLost) and problem.for_good:
        return (f"{problem.message}: {problem.hint}",)
    joins = record.spec.joins if record.spec else (lambda _: True)
    inside = [node for node in running if joins(node.name)]
    seen = memberships(inside)
    own = tuple(told for name, one in seen.items() if (told := trouble_of(name, one)))
    own += tuple(_silence_of(node.name) for node in inside if node.name not in seen)
    if own:
        return own
    if (
        is_orphaned(inside, seen)
        and not any(one.state != "inactive" for one in seen.values())
        and _never_in_one(inside)
    ):
        return (f"the swarm of lab {record.name} was never made, by an `up` that was killed: `labctl up` makes it",)
    if all(node.is_running for node in record.nodes) and is_orphaned(inside, seen):
        left = ", ".join(node.name for node in inside if node.is_manager)
        rest = ", ".join(name for name, one in seen.items() if one.state != "inactive")
        lost = f"; the swarm of {rest} has no manager any more, and its services are lost" if rest else ""
        return (f"{left} has left its swarm{lost}: `labctl up` makes a new one of all nodes",)
    return (f"{problem.message}: {problem.hint}" if problem.hint else problem.message,)


def _never_in_one(nodes: Sequence[Node]) -> bool:
    """Whether none of these engines has ever been in a swarm: each keeps the network that it makes for the first."""
    try:
        return not any(each(nodes, lambda node: node.engine.network(GATEWAY)))
    except LabctlError:
        return False


def _lost(record: LabRecord, gone: Sequence[NodeSpec], swarm: _Swarm) -> list[str]:
    """What was removed behind labctl's back, what does not run, and what is wrong with the swarm.

    `up` is advised for what it would do: without the lab's network, or a manager's machine, it changes nothing.
    """
    if half := half_restored(record):
        return [": ".join(half)]
    if empty := refused_as_empty(record):
        return [f"{empty.message}: {empty.hint}"]
    down = [_mend_of(node) for node in record.nodes if not node.is_running]
    if has_lost_network(record, record.nodes):
        mend = f"`labctl down -l {record.name}` and `labctl up -l {record.name}` recreate the lab"
        return [f"the lab's network is gone: {mend}", *down, *swarm.problems]
    if record.spec is not None and (lost := lost_swarm(record.spec, record.nodes)):
        return [f"{lost.message}: {lost.hint}"]
    anew = [] if swarm.is_lost else [f"{node.name} is gone: `labctl up` recreates it" for node in gone]
    return [*anew, *down, *swarm.problems]


def _mend_of(node: Node) -> str:
    if node.state == HALF_MADE:
        return f"{node.name} is half made, by an `up` that was killed: `labctl up` recreates it"
    verb = "resume" if node.state == "paused" else "start"
    return f"{node.name} is {node.state}: `labctl {verb} {node.name}`"


def _any_member(nodes: list[Node]) -> bool:
    return any(each(nodes, lambda node: cluster.membership(node).state != "inactive"))


def _node_status(node: Node, member: SwarmNode | None, joins: bool) -> NodeStatus:
    manager = "" if member is None else ("leader" if member.leader else member.reachability)
    return NodeStatus(
        name=node.name,
        role=member.role if member else node.role,
        state=node.state,
        address=node.address if node.moved_to is None else node.moved_to,
        url=node.endpoint.url,
        swarm=member.state if member else ("" if joins else "no swarm"),
        availability=member.availability if member else "",
        manager=manager,
        engine=member.engine_version if member else "",
    )


def _trouble_of(node: NodeStatus) -> str:
    """What the swarm misses in a node that runs, and what mends it."""
    if node.manager == "unreachable":
        return f"{node.name} does not answer the other managers: `labctl restart {node.name}`"
    if node.swarm == "unknown":
        return f"{node.name} has not reported to the swarm's new leader yet: it does within some seconds"
    if node.swarm:
        return f"{node.name} runs, and is {node.swarm} to the swarm: `labctl restart {node.name}`"
    return f"{node.name} is not in the swarm: `labctl up` lets it join"


def _gone_status(node: NodeSpec, member: SwarmNode | None) -> NodeStatus:
    known = "" if member is None else member.state
    return NodeStatus(name=node.name, role=node.role, state="gone", address="", url="", swarm=known)
