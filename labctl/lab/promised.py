"""What the managers list of services, and what their nodes then say of it: names in overlay networks, published ports.

Pure: a picture and answers in, what to ask and what is broken out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from labctl.follower.managers import PROBE
from labctl.mesh.model import NODE_PORTS
from labctl.node import Node
from labctl.swarm.state import Port, Service, SwarmView, Task
from labctl.words import counted, some

__all__ = ["Broken", "Picture", "Place", "asks_of", "broken_names", "broken_ports", "told_together", "users_services"]

MOST_TIMES = 10  # connections to one port of one node: they go round the tasks
CHANGING = ("updating", "rollback_started")  # a port of the new spec answers when a task of it runs
TASK, VIP, STALE, SERVER, PORT = "task", "VIP", "stale", "server", "port"  # kinds of what is broken
SAYS = {
    TASK: "the name tasks.{service} does not lead to {things}",
    VIP: "the name {service} does not lead to its VIP {things}",
    STALE: "the name tasks.{service} leads to {things}, where no task is",
    SERVER: "the engine answers nobody who asks for the name {things}",
    PORT: "published port {things} does not answer",
}
# The mildest way first; it is all that `labctl start` does to nodes that run and serve.
AGAIN = "`labctl start` lets the engines tell each other again, and touches no task; if that does not help, "
REPLACE = "`labctl docker -- service update --force {service}` replaces the service's tasks"
START_OVER = "`labctl restart {nodes}` starts the node over, with its containers"
WAYS = {TASK: REPLACE, VIP: REPLACE, STALE: REPLACE, SERVER: START_OVER, PORT: START_OVER}


@dataclass(frozen=True)
class Place:
    """A published TCP port that a node should answer at, and the port of the service's tasks behind it."""

    node: str
    number: int
    service: str
    target: int
    times: int = 1


@dataclass(frozen=True)
class Broken:
    """A thing of a service that does not serve on a node; `why` is what was last seen."""

    kind: str
    service: str
    thing: str
    node: str
    why: str = field(default="", compare=False)


@dataclass(frozen=True)
class Picture:
    """What a manager says at one moment. `hosts` maps the ids of the nodes that are tried to their names."""

    services: Sequence[Service]
    tasks: Sequence[Task]  # all of them, also those that have ended
    hosts: Mapping[str, str]

    @classmethod
    def taken(cls, view: SwarmView, nodes: Sequence[Node]) -> Picture:
        """Ask the manager, for the services without labctl's own probe."""
        names = {node.name for node in nodes}
        services = users_services(view)
        hosts = {one.id: one.hostname for one in view.nodes() if one.hostname in names and one.state == "ready"}
        return cls(services, view.tasks(), hosts)

    def running(self, service: Service | None = None, node: str = "") -> list[Task]:
        """The tasks that run and shall run, of the service and on the node where these are said."""
        tasks = self._running if service is None else self._of_service[service.id]
        return [task for task in tasks if not node or self.hosts[task.node_id] == node]

    def addresses(self, service: Service, network: str) -> dict[str, str]:
        """Where the service's tasks are on the network: address -> node."""
        return self._places.get((service.id, network), {})

    @cached_property
    def _running(self) -> list[Task]:
        services = {one.id for one in self.services}
        there = [task for task in self.tasks if task.service_id in services and task.node_id in self.hosts]
        return [task for task in there if task.desired == task.state == "running"]

    @cached_property
    def _of_service(self) -> dict[str, list[Task]]:
        found: dict[str, list[Task]] = {one.id: [] for one in self.services}
        for task in self._running:
            found[task.service_id].append(task)
        return found

    @cached_property
    def _places(self) -> dict[tuple[str, str], dict[str, str]]:
        found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for task in self._running:
            for network, address in _attached(task).items():
                found[task.service_id, network][address] = self.hosts[task.node_id]
        return found

    @cached_property
    def known(self) -> set[str]:
        """All addresses that are in use, or were: a task that comes or goes may be in an engine's names already."""
        vips = {vip for service in self.services for vip in _vips(service).values()}
        return vips | {address for task in self.tasks for address in _attached(task).values()}


def users_services(view: SwarmView) -> list[Service]:
    """All services but labctl's own probe."""
    return [one for one in view.services() if PROBE not in one.labels]


def asks_of(picture: Picture, node: str) -> dict[str, list[str]]:
    """The names of services to ask for on the node, by the id of the task that asks.

    Of the tasks on a network one asks, that with the fewest others: engines keep names by network. A task that
    publishes a port is there in any case: what it listens at is looked at.
    """
    tasks = sorted(picture.running(node=node), key=lambda task: (len(_attached(task)), task.id))
    publishing = {one.id for one in picture.services if one.ports}
    asks: dict[str, list[str]] = {task.id: [] for task in tasks if task.service_id in publishing}
    asked: set[str] = set()
    for task in tasks:
        new = _attached(task).keys() - asked
        asked |= new
        there = [one.name for one in picture.services if any(picture.addresses(one, network) for network in new)]
        if there:
            asks[task.id] = there
    return asks


def broken_names(picture: Picture, node: str, task: Task, names: Mapping[str, Sequence[str] | None]) -> list[Broken]:
    """What is wrong with the names as a task of the node hears them; None is heard where no answer came."""
    found = list[Broken]()
    for service in picture.services:
        if service.name not in names:
            continue
        own, all_ = names[service.name], names[f"tasks.{service.name}"]
        if own is None or all_ is None:
            found.append(Broken(SERVER, service.name, service.name, node))
            continue
        lacks = [
            _lacks(picture, service, network, own, all_)
            for network in _attached(task)
            if picture.addresses(service, network)
        ]
        # The engine answers from the first of the task's networks that knows the name.
        missing = min(lacks, key=len, default=[])
        missing += [(STALE, address) for address in sorted(set(all_) - picture.known)]
        found += [Broken(kind, service.name, thing, node) for kind, thing in missing]
    return found


def _lacks(
    picture: Picture, service: Service, network: str, own: Sequence[str], all_: Sequence[str]
) -> list[tuple[str, str]]:
    vip = _vips(service).get(network)
    there = picture.addresses(service, network).items()
    tasks = [(TASK, f"{address} (on {host})") for address, host in there if address not in all_]
    return [*([(VIP, vip)] if vip and vip not in own else []), *tasks]


def ports_of(picture: Picture) -> list[Place]:
    """The published TCP ports that should answer, on each node that should."""
    found = list[Place]()
    for service in picture.services:
        running = picture.running(service)
        times = min(2 * len(running), MOST_TIMES)
        for port in service.ports if running else ():
            own = ("tcp", port.published) in NODE_PORTS  # a caveat: `labctl status` tells of it
            if port.mode == "ingress" and port.protocol == "tcp" and not own and service.update_state not in CHANGING:
                nodes = picture.hosts.values()
                found += [Place(node, port.published, service.name, port.target, times) for node in nodes]
        for task in running:
            host = picture.hosts[task.node_id]
            found += [Place(host, number, service.name, target) for number, target in _host_ports(service, task)]
    return list(dict.fromkeys(found))


def not_tried(picture: Picture) -> list[str]:
    """The published ports of which a connection cannot tell whether they serve: those that are not TCP."""
    return [
        f"{port.published}/{port.protocol} of {service.name}"
        for service in picture.services
        for port in service.ports
        if port.protocol != "tcp"
    ]


def broken_ports(
    picture: Picture, said: Mapping[Place, Mapping[str, str]], listening: Mapping[str, Sequence[int]]
) -> tuple[list[Broken], list[str]]:
    """Which ports do not answer, and of which containers it is that do not listen.

    `said` has, for each port, what each node that asked heard; nothing is good. `listening` has the ports at which
    tasks listen, by their ids.
    """
    broken, deaf = list[Broken](), dict[str, None]()
    services = {one.name: one for one in picture.services}
    for port, heard in said.items():
        failed = [f"from {asker}: {reason}" for asker, reason in heard.items() if reason]
        tasks = [one for one in picture.running(services[port.service]) if one.id in listening]
        silent = [one for one in tasks if port.target not in listening[one.id]]
        if failed and silent:
            count = f"{len(silent)} of its {counted(len(tasks), 'task')}"
            deaf[f"service {port.service} publishes {port.number}, and {count} do not listen at {port.target}"] = None
        elif failed:
            broken.append(Broken(PORT, port.service, f"{port.number}/tcp", port.node, ", ".join(failed)))
    return broken, list(deaf)


def told_together(broken: Iterable[Broken], *, after_start: bool = False) -> list[str]:
    """A line for all that does not serve in the same way, with the nodes on which it does not, and what to do.

    `after_start` says that `labctl start` has just tried what it can.
    """
    nodes: dict[tuple[str, str, str], list[Broken]] = defaultdict(list)
    for one in broken:
        nodes[one.kind, one.service, one.thing].append(one)
    things: dict[tuple[str, str, tuple[str, ...]], list[Broken]] = defaultdict(list)
    for (kind, service, _), several in nodes.items():
        things[kind, service, tuple(one.node for one in several)].append(several[0])
    before = "" if after_start else AGAIN
    return [_line(*key, several, before) for key, several in things.items()]


def _line(kind: str, service: str, nodes: Sequence[str], several: Sequence[Broken], before: str) -> str:
    what = SAYS[kind].format(service=service, things=some([one.thing for one in several], 4))
    why = f" ({several[0].why})" if several[0].why else ""
    way = WAYS[kind].format(service=service, nodes=" ".join(nodes))
    return f"service {service}: on {some(nodes, 5)} {what}{why}: {before}{way}"


def _attached(task: Task) -> dict[str, str]:
    """The overlay networks of the user's that the task is on, and its address on each. Ingress has no names."""
    return {
        str(one["Network"]["ID"]): address.partition("/")[0]
        for one in task.raw.get("NetworksAttachments") or ()
        if not one["Network"]["Spec"].get("Ingress")
        if (one["Network"].get("DriverState") or {}).get("Name") == "overlay"
        for address in one.get("Addresses") or ()
        if ":" not in address  # IPv6: only the other addresses are asked for
    }


def _vips(service: Service) -> dict[str, str]:
    listed = (service.raw.get("Endpoint") or {}).get("VirtualIPs") or ()
    return {str(one["NetworkID"]): str(one["Addr"]).partition("/")[0] for one in listed if "." in one.get("Addr", "")}


def _host_ports(service: Service, task: Task) -> list[tuple[int, int]]:
    """The TCP ports that the task has on its own node, and those behind them.

    The task knows best, also while its service's ports are changed. It forgets them all when its node reports to a
    new swarm: then the service says those that were asked for.
    """
    own = [Port.of(one) for one in (task.raw["Status"].get("PortStatus") or {}).get("Ports") or ()]
    hosts = [one for one in own or service.ports if one.mode == "host" and one.protocol == "tcp" and one.published]
    return [(one.published, one.target) for one in hosts]
