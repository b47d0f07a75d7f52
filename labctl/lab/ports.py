"""The ways from this host to what a lab's services publish: listed, made, taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl import edge
from labctl.edge.ways import proxy_name
from labctl.errors import NotFoundError, UsageError
from labctl.events import Warned
from labctl.spec import PortSpec, labels

if TYPE_CHECKING:
    from labctl.edge import ForwardedPort, PublishedPort
    from labctl.lab.core import LabCore

__all__ = ["PortLike", "add_ports", "check_ports", "forwarded_ports", "published_ports", "remove_ports"]

# 8080, "18080:8080", "53/udp", or the same as a PortSpec.
PortLike = int | str | PortSpec


def published_ports(lab: LabCore) -> list[PublishedPort]:
    """What the swarm's services publish, each with where this host reaches it; what is wrong with the proxy is told."""
    ways = edge.edges(lab.context.engine, lab.name)
    open_ways = [way for way in ways if way.state == "running"]
    found = edge.published(lab.manager().engine)
    _warn_of_proxy(lab, ways, published=any(each.mode == "ingress" for each in found))
    return [replace(each, urls=_urls(each, open_ways)) for each in found]


def _urls(port: PublishedPort, ways: Sequence[ForwardedPort]) -> tuple[str, ...]:
    to_it = [way for way in ways if (way.target, way.protocol) == (port.port, port.protocol)]
    return tuple(way.url_of(port.target) for way in to_it)


def forwarded_ports(lab: LabCore) -> list[ForwardedPort]:
    """The ways from 127.0.0.1 to the lab's ports; what is wrong with the proxy is told."""
    engine = lab.context.engine
    found = edge.edges(engine, lab.name)
    # Where the proxy's container is gone and its store is not, the ways in it come back with the proxy.
    stores = [str(one["Name"]) for one in engine.volumes(labels.of_lab(lab.name))] if not found else []
    _warn_of_proxy(lab, found, published=proxy_name(lab.name) in stores)
    return found


def add_ports(lab: LabCore, ports: Sequence[PortLike]) -> list[ForwardedPort]:
    """Let 127.0.0.1 reach ports that the swarm publishes, or will publish. No node is touched.

    Raises UsageError for what is no port, and for a host port that leads to another one; nothing is changed then.
    """
    read = check_ports(ports)
    if not read:
        return []
    engine = lab.context.engine
    with lab.held() as now:
        for wanted in read:  # a slip in the last one shall not leave the first
            edge.refuse_taken(engine, now.name, wanted)
        return edge.ensure_edges(engine, now.name, now.nodes, read, lab.context.emit)


def remove_ports(lab: LabCore, ports: Sequence[PortLike]) -> tuple[list[ForwardedPort], list[NotFoundError]]:
    """Take ways away: all to a port, or the one way that is said with its host port.

    Returns those that are gone, and what there was not: one such keeps no other from being taken away.
    """
    read = [(_read(port), _is_exact(port)) for port in ports]
    gone: list[ForwardedPort] = []
    missing: list[NotFoundError] = []
    with lab.held() as now:
        for wanted, exact in read:
            try:
                gone += edge.remove_edge(lab.context.engine, now.name, wanted, exact=exact)
            except NotFoundError as problem:
                missing.append(problem)
    return gone, missing


def check_ports(ports: Sequence[PortLike]) -> list[PortSpec]:
    """Read what is said of ports to be added. Raises UsageError for what is none, and for two at one host port."""
    read = [_read(port) for port in ports]
    known: dict[tuple[int, str], int] = {}
    for port in read:
        if known.setdefault((port.host, port.protocol), port.target) != port.target:
            raise UsageError(
                f"127.0.0.1:{port.host} cannot lead to {known[port.host, port.protocol]} and {port.target}"
            )
    return read


def _read(port: PortLike) -> PortSpec:
    if isinstance(port, PortSpec):
        return port
    try:
        return PortSpec.parse(str(port))
    except ValueError as invalid:
        raise UsageError(str(invalid), hint="For example: 8080, 18080:8080 or 53/udp.") from None


def _is_exact(port: PortLike) -> bool:
    return port.host != port.target if isinstance(port, PortSpec) else ":" in str(port)


def _warn_of_proxy(lab: LabCore, ways: Sequence[ForwardedPort], *, published: bool) -> None:
    """Say what is wrong with the lab's proxy; `published`: something is, and without a way no proxy may be there."""
    engine, emit = lab.context.engine, lab.context.emit
    if ways and ways[0].state != "running":
        emit(Warned(edge.proxy_trouble(lab.name, ways[0].state)))
        return
    state = edge.proxy_state(engine, lab.name) if ways or published else None
    if state is None and published:
        emit(Warned(edge.proxy_trouble(lab.name, "gone")))
    if state is not None and any(node.is_running for node in lab.nodes):
        for warning in edge.proxy_warnings(lab.name, state, len(lab.nodes)):
            emit(Warned(warning))
