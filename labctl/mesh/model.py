"""What each namespace of a node shall do, worked out from the endpoints: pure, no kernel in sight."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .networkdb import Endpoint

__all__ = ["NODE_PORTS", "NO_RULES", "PortKey", "Rules", "Stale", "Uplink", "address_order", "rules_for", "stale_flows"]

# A published port: its protocol and number.
PortKey = tuple[str, int]

# What a node itself listens on. A service may publish these ports too; the mesh leaves them to the node.
NODE_PORTS: Mapping[PortKey, str] = {
    ("tcp", 22): "SSH",
    ("tcp", 2376): "the engine's API",
    ("tcp", 2377): "the swarm's managers",
    ("tcp", 7946): "the swarm's gossip",
    ("udp", 7946): "the swarm's gossip",
    ("udp", 4789): "the overlay networks",
}


class Rules(NamedTuple):
    """Where a load-balancer namespace sends new connections.

    A VIP or port without addresses is known but has no task that takes connections: it refuses them.
    """

    vips: dict[str, tuple[str, ...]]
    ports: dict[PortKey, tuple[str, ...]]

    def serving(self) -> frozenset[str]:
        """Return the addresses of the tasks that take new connections."""
        groups = (*self.vips.values(), *self.ports.values())
        return frozenset(address for group in groups for address in group)


NO_RULES = Rules({}, {})


class Uplink(NamedTuple):
    """How the node itself reaches its ingress namespace, and for which ports it does."""

    sandbox: str  # address of the ingress namespace on the gateway bridge
    subnet: str  # of the gateway bridge: "172.18.0.0/16"
    ports: frozenset[PortKey]


class Stale(NamedTuple):
    """Connections that the kernel remembers and that a change of rules has made wrong."""

    opened_vips: tuple[str, ...]  # had no task, so what was sent there was not redirected
    opened_ports: tuple[PortKey, ...]
    left: tuple[str, ...]  # addresses that take no new connections any more
    gone: tuple[str, ...]  # addresses that are no endpoint any more


def rules_for(endpoints: Iterable[Endpoint]) -> Rules:
    """Return what a namespace does for the endpoints of its network.

    The published port is kept on the way to the task: the engine maps it to the target port inside the
    task's own namespace, so that two tasks of one service may differ while it is updated.
    """
    services = [endpoint for endpoint in endpoints if endpoint.service_id]
    addresses = {endpoint.address for endpoint in services}
    vips: dict[str, set[str]] = {}
    ports: dict[PortKey, set[str]] = {}
    for endpoint in services:
        keyed = [ports.setdefault((port.protocol, port.published), set()) for port in endpoint.ports]
        # An address is a VIP or a task's; an entry that is out of date must not take a task's.
        if endpoint.vip and endpoint.vip not in addresses:
            keyed.append(vips.setdefault(endpoint.vip, set()))
        if not endpoint.disabled:
            for group in keyed:
                group.add(endpoint.address)
    return Rules(
        {vip: _in_order(vips[vip]) for vip in sorted(vips, key=address_order)},
        {port: _in_order(ports[port]) for port in sorted(ports)},
    )


def stale_flows(old: Rules, new: Rules, *, before: Iterable[str], after: Iterable[str]) -> Stale:
    """Return what the step from `old` to `new` makes stale.

    `before` and `after` are the addresses of all endpoints, disabled ones included.
    """
    return Stale(
        opened_vips=tuple(vip for vip, tasks in new.vips.items() if tasks and not old.vips.get(vip)),
        opened_ports=tuple(port for port, tasks in new.ports.items() if tasks and not old.ports.get(port)),
        left=_in_order(old.serving() - new.serving()),
        gone=_in_order(set(before) - set(after)),
    )


def address_order(address: str) -> int:
    """Return a sort key that puts 10.0.0.9 before 10.0.0.10."""
    return int(ipaddress.IPv4Address(address))


def _in_order(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(addresses, key=address_order))
