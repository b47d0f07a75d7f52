"""Edges: a published port of the swarm, reached on this host's 127.0.0.1 without touching a node.

An edge is a small proxy beside the nodes. It may come before the service: while nothing is published it
refuses, and the moment a node answers, so does it. It leads to several nodes and leaves out dead ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.engine import Engine
from labctl.errors import LabError, NotFoundError, UsageError
from labctl.events import Emit, Warned, quiet
from labctl.images import ensure_services
from labctl.node import Node
from labctl.registry.beside import Beside, converge
from labctl.spec import PortSpec, labels
from labctl.waiting import Pending, wait_until

__all__ = ["Edge", "Published", "edges", "ensure_edge", "published", "refuse_taken", "remove_edge"]

KIND = "edge"
MOST_TARGETS = 8
START_LIMIT = 15.0


@dataclass(frozen=True)
class Edge:
    """Where this host reaches a published port."""

    container: str
    target: int
    protocol: str
    host_port: int
    state: str = "running"
    asked: int = 0  # the host port that was asked for; 0 where it is the one that it got

    @property
    def moved(self) -> bool:
        """Whether the host port that was asked for was taken, and it got another."""
        return self.asked not in (0, self.host_port)

    @property
    def url(self) -> str:
        """What a browser is told; for UDP there is none."""
        return f"http://127.0.0.1:{self.host_port}" if self.protocol == "tcp" else f"127.0.0.1:{self.host_port}/udp"


def ensure_edge(engine: Engine, lab: str, nodes: Sequence[Node], port: PortSpec, emit: Emit = quiet) -> Edge:
    """Let 127.0.0.1 reach a port that the swarm publishes, or will publish.

    Run again it changes nothing while at least half of the nodes that it leads to run. A host port that is taken gets
    another, and a warning says so. Raises LabError when no node runs, or the proxy does not start.
    """
    name = _name(lab, port)
    addresses = _targets(nodes, _leads_to(engine, name))
    if not addresses:
        raise LabError(f"no node of lab {lab} runs, so nothing can be reached", hint=f"`labctl start -l {lab}`")
    wanted = Beside(
        lab=lab,
        kind=KIND,
        name=name,
        image=ensure_services(engine, emit),
        command=("edge", f"{port.target}/{port.protocol}", ",".join(addresses)),
        network=_network(lab, nodes),
        port=f"{port.target}/{port.protocol}",
        labels={labels.EDGE: f"{port.target}/{port.protocol}"},
    )
    stands = converge(engine, wanted, port=port.host)
    if stands.changed:
        _wait_for_proxy(engine, name)
    edge = Edge(name, port.target, port.protocol, stands.host_port, asked=port.host)
    if edge.moved and stands.changed:
        emit(
            Warned(
                f"port {port.host} of 127.0.0.1 is taken: the lab's port {port.target} is at "
                f"127.0.0.1:{edge.host_port} instead"
            )
        )
    return edge


def edges(engine: Engine, lab: str) -> list[Edge]:
    """The lab's edges, by the port that they lead to."""
    found = [_read(container) for container in engine.containers(labels.of_lab(lab, KIND))]
    return sorted(found, key=lambda edge: (edge.target, edge.protocol, edge.host_port))


def refuse_taken(engine: Engine, lab: str, port: PortSpec) -> None:
    """Raise UsageError when the host port leads to another port of the swarm already: nobody asked to move that."""
    for edge in edges(engine, lab):
        if (edge.host_port, edge.protocol) == (port.host, port.protocol) and edge.target != port.target:
            raise UsageError(
                f"127.0.0.1:{port.host} leads to the lab's port {edge.target} already",
                hint=f"`labctl port rm -l {lab} {edge.host_port}:{edge.target}` frees it.",
            )


def remove_edge(engine: Engine, lab: str, port: PortSpec, *, exact: bool = False) -> list[Edge]:
    """Remove the edges that lead to a port, or else the one that is, or was to be, at it on this host; returns them.

    With `exact`, only the one from that host port to that port. Raises NotFoundError when there is none.
    """
    there = edges(engine, lab)
    alike = [edge for edge in there if edge.protocol == port.protocol]
    to_it = [edge for edge in alike if edge.target == port.target]
    at_it = [edge for edge in alike if port.host in (edge.host_port, edge.asked)]
    gone = [edge for edge in to_it if edge in at_it] if exact else to_it or at_it
    if not gone:
        asked = f"{port.host}:{port.target}" if exact else str(port.target)
        raise NotFoundError("way to a port", f"{asked}/{port.protocol}", None, hint="`labctl port ls` lists them.")
    for edge in gone:
        engine.remove(edge.container)
    return gone


@dataclass(frozen=True)
class Published:
    """A port that a service publishes: `port` on every node (ingress) or on those with a task (host)."""

    service: str
    port: int
    protocol: str
    mode: str
    target: int


def published(manager: Engine) -> list[Published]:
    """What the swarm's services publish, by service and port, as a manager's engine knows it."""
    found = []
    for service in manager.swarm_objects("services"):
        for port in service.get("Endpoint", {}).get("Ports") or []:
            if port.get("PublishedPort"):
                found.append(
                    Published(
                        service=str(service["Spec"]["Name"]),
                        port=int(port["PublishedPort"]),
                        protocol=str(port.get("Protocol", "tcp")),
                        mode=str(port.get("PublishMode", "ingress")),
                        target=int(port.get("TargetPort", 0)),
                    )
                )
    return sorted(found, key=lambda each: (each.service, each.port))


def _name(lab: str, port: PortSpec) -> str:
    """By the ports that were asked for, so that a second `up` finds the edge that had to move."""
    return f"{lab}-edge-{port.host}-{port.target}" + ("-udp" if port.protocol == "udp" else "")


def _network(lab: str, nodes: Sequence[Node]) -> str:
    """The nodes' own network where they are containers; virtual machines are reached from any."""
    outside = nodes and nodes[0].address in nodes[0].endpoint.url
    return "bridge" if outside else f"labctl-{lab}"


def _leads_to(engine: Engine, name: str) -> list[str]:
    """The addresses that the edge of that name leads to now; none when it is not there."""
    found = engine.container(name)
    command = (found or {}).get("Config", {}).get("Cmd") or []
    return str(command[2]).split(",") if len(command) > 2 else []


def _targets(nodes: Sequence[Node], present: Sequence[str]) -> list[str]:
    """Those it leads to already while half of them run, else nodes that run, workers first."""
    running = [node for node in nodes if node.is_running]
    alive = {node.address for node in running}
    if present and 2 * len(alive & set(present)) >= len(present):
        return list(present)
    return [node.address for node in sorted(running, key=lambda node: node.is_manager)][:MOST_TARGETS]


def _read(container: dict[str, object]) -> Edge:
    marks = container["Labels"]
    names = container["Names"]
    assert isinstance(marks, dict) and isinstance(names, list)  # so says the Engine API
    target, _, protocol = str(marks.get(labels.EDGE, "0/tcp")).partition("/")
    name, host_port = str(names[0]).lstrip("/"), int(marks.get(labels.PORT, 0))
    asked = name.removesuffix("-udp").split("-")[-2]
    return Edge(name, int(target), protocol, host_port, str(container["State"]), int(asked) if asked.isdigit() else 0)


def _wait_for_proxy(engine: Engine, name: str) -> None:
    """Wait until the proxy has read its configuration. Its processes tell: a port that is published answers before."""

    def look() -> None:
        found = engine.container(name)
        if found is None or found["State"]["Status"] != "running":
            said = engine.logs(name, tail=3).strip() if found else ""
            raise LabError(f"{name} ended at once: {said or 'it said nothing'}")
        rows = engine.get_json(f"/containers/{name}/top").get("Processes") or []
        if not any("worker process" in str(row[-1]) for row in rows):
            raise Pending("it is starting")

    wait_until(f"the proxy {name}", look, limit=START_LIMIT, pause=0.03, longest_pause=0.2)
