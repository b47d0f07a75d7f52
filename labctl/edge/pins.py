"""Ports that somebody asked for: pinned, waited for, and taken away again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from labctl.edge.proxy import ensure_proxy, put, refuse_ended, wish_of
from labctl.edge.publishing import PublishedPort
from labctl.edge.ways import ForwardedPort, edge_of, edges, own_file, proxy_name, proxy_state
from labctl.engine import Engine
from labctl.errors import LabctlError, NotFoundError, UsageError
from labctl.events import Emit, Noted, Warned, quiet
from labctl.follower.files import FIXED, PINS, Until, Way, pin_file
from labctl.node import Node
from labctl.spec import PortSpec
from labctl.waiting import Pending, wait_until

T = TypeVar("T")

__all__ = ["ensure_edge", "ensure_edges", "open_hosted", "reach", "refuse_taken", "remove_edge"]

OPEN_LIMIT = 10.0
REACH_LIMIT = 5.0


def ensure_edge(engine: Engine, lab: str, nodes: Sequence[Node], port: PortSpec, emit: Emit = quiet) -> ForwardedPort:
    """Let 127.0.0.1 reach a port that the swarm publishes, or will publish, until `remove_edge`.

    Run again it changes nothing. A host port that is taken gets another, and a warning says so. Raises LabError when
    no node runs, or the proxy does not start.
    """
    return ensure_edges(engine, lab, nodes, [port], emit)[0]


def ensure_edges(
    engine: Engine, lab: str, nodes: Sequence[Node], ports: Sequence[PortSpec], emit: Emit = quiet
) -> list[ForwardedPort]:
    """`ensure_edge` for several ports at once."""
    known = [edge for edge in edges(engine, lab) if edge.pinned]
    ensure_proxy(engine, lab, nodes, ports, emit)
    return _opened(engine, lab, ports, known, emit)


def open_hosted(
    engine: Engine, lab: str, nodes: Sequence[Node], ports: Sequence[PublishedPort], emit: Emit = quiet
) -> list[ForwardedPort]:
    """`ensure_edges` for ports in host mode, each only for as long as something publishes it so.

    On an engine that publishes the proxy's ports itself they stay until `remove_edge`.
    """
    pins = {PortSpec.parse(f"{each.port}/{each.protocol}"): each for each in ports}
    known = [edge for edge in edges(engine, lab) if edge.pinned]
    ensure_proxy(engine, lab, nodes, (), emit)
    if own_file(engine, lab, FIXED) is not None:
        ensure_proxy(engine, lab, nodes, list(pins), emit)
        if fresh := [
            port for port in pins if (port.target, port.protocol) not in {(e.target, e.protocol) for e in known}
        ]:
            way = f"`labctl port rm -l {lab} {' '.join(f'{port.target}/{port.protocol}' for port in fresh)}` closes it"
            emit(Noted(f"on this engine the way stays when the service goes: {way}"))
    else:
        files = {f"{PINS}/{pin_file(wish_of(port))}": each for port, each in pins.items()}
        # One that somebody asked for by `ensure_edge` stays that.
        new = {name: each for name, each in files.items() if own_file(engine, lab, name) != 1}
        untils = {name: Until(each.service_id, each.target)._asdict() for name, each in new.items()}
        if untils:
            put(engine, lab, {name: json.dumps(until).encode() for name, until in untils.items()})
    return _opened(engine, lab, list(pins), known, emit)


def _opened(
    engine: Engine, lab: str, ports: Sequence[PortSpec], before: Sequence[ForwardedPort], emit: Emit
) -> list[ForwardedPort]:
    """Wait until these ports are pinned, and warn of what got another number and was not there before."""
    known = {(edge.asked, edge.target, edge.protocol) for edge in before}
    wanted = {(port.host, port.target, port.protocol) for port in ports}

    def opened() -> dict[tuple[int, int, str], ForwardedPort]:
        state = proxy_state(engine, lab)
        ways = {(way.asked, way.target, way.protocol): way for way in (state.ways if state else ()) if way.pinned}
        if not wanted <= ways.keys():
            refuse_ended(engine, lab)
            raise Pending(f"{len(wanted - ways.keys())} of {len(wanted)} ports are not open yet")
        return {key: edge_of(proxy_name(lab), ways[key]) for key in wanted}

    found = _wait(lab, opened, OPEN_LIMIT)
    for key, edge in sorted(found.items()):
        if edge.moved and key not in known:
            emit(
                Warned(
                    f"port {edge.asked} of 127.0.0.1 is taken: the lab's port {edge.target} is at "
                    f"127.0.0.1:{edge.host_port} instead"
                )
            )
    return [found[port.host, port.target, port.protocol] for port in ports]


def reach(
    engine: Engine,
    lab: str,
    nodes: Sequence[Node],
    ports: Collection[tuple[int, str]],
    emit: Emit = quiet,
    *,
    limit: float = REACH_LIMIT,
) -> list[ForwardedPort]:
    """Return the ways to published ports (number, protocol), and wait some seconds for those that open just now.

    What they need was done before, so a proxy that fails is a warning.
    """
    if not ports:
        return []
    wanted = set(ports)

    def opened() -> None:
        missing = wanted - {(edge.target, edge.protocol) for edge in edges(engine, lab)}
        if missing:
            refuse_ended(engine, lab)
            number, protocol = min(missing)
            raise Pending(f"127.0.0.1 does not lead to {number}/{protocol} yet")

    try:
        ensure_proxy(engine, lab, nodes, (), emit)
        _wait(lab, opened, limit)
    except LabctlError as problem:
        emit(Warned(f"the proxy of published ports: {problem.message}; `labctl ports -l {lab}` shows what is open"))
    try:
        found = edges(engine, lab)
    except LabctlError:
        return []
    return [edge for edge in found if (edge.target, edge.protocol) in wanted and edge.state == "running"]


def refuse_taken(engine: Engine, lab: str, port: PortSpec) -> None:
    """Raise UsageError when the host port leads to another port of the swarm already: nobody asked to move that."""
    for edge in edges(engine, lab):
        if (edge.host_port, edge.protocol) == (port.host, port.protocol) and edge.target != port.target:
            way = f"`labctl port rm -l {lab} {edge.host_port}:{edge.target}` frees it."
            raise UsageError(
                f"127.0.0.1:{port.host} leads to the lab's port {edge.target} already",
                hint=way if edge.pinned else "Choose another: a service publishes that one.",
            )


def remove_edge(engine: Engine, lab: str, port: PortSpec, *, exact: bool = False) -> list[ForwardedPort]:
    """Take away the pins that lead to a port, or else the one that is, or was to be, at it on this host.

    With `exact`, only the one from that host port to that port. Returns the ways. Raises NotFoundError when there is
    none, or when a service that publishes the port is all that keeps it open.
    """
    alike = [edge for edge in edges(engine, lab) if edge.protocol == port.protocol]
    to_it = [edge for edge in alike if edge.target == port.target]
    at_it = [edge for edge in alike if port.host in (edge.host_port, edge.asked)]
    named = [edge for edge in to_it if edge in at_it] if exact else to_it or at_it
    gone = [edge for edge in named if edge.pinned]
    if not gone:
        asked = f"{port.host}:{port.target}" if exact else str(port.target)
        hint = "`labctl port ls` lists them."
        if named:
            hint = (
                f"A service publishes {named[0].target}: 127.0.0.1:{named[0].host_port} closes when the service goes."
            )
        raise NotFoundError(
            "pinned way to a port" if named else "way to a port", f"{asked}/{port.protocol}", None, hint=hint
        )
    _unpin(engine, lab, gone)
    return gone


def _unpin(engine: Engine, lab: str, gone: Sequence[ForwardedPort]) -> None:
    keys = {(edge.asked, edge.target, edge.protocol) for edge in gone}
    wishes = [wish_of(PortSpec.parse(f"{asked}:{target}/{kind}")) for asked, target, kind in keys]
    content = {f"{PINS}/{pin_file(wish)}": b"0" for wish in wishes}
    fixed = own_file(engine, lab, FIXED)
    if fixed is not None:  # the engine's own port stays, and leads nowhere, until the container is recreated
        left = [way for way in fixed if Way(*way).wish not in wishes]
        content = {FIXED: json.dumps(left).encode()}
    put(engine, lab, content)
    if gone[0].state != "running":
        return  # it reads that when it starts

    def closed() -> None:
        state = proxy_state(engine, lab)
        left = {(way.asked, way.target, way.protocol) for way in (state.ways if state else ()) if way.pinned}
        if left & keys:
            refuse_ended(engine, lab)
            raise Pending("it is still open")

    _wait(lab, closed, OPEN_LIMIT)


def _wait(lab: str, probe: Callable[[], T], limit: float) -> T:
    return wait_until(f"the proxy {proxy_name(lab)}", probe, limit=limit, pause=0.05, longest_pause=0.3)
