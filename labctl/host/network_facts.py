"""This machine's routes, addresses and MTUs."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from labctl.host.facts import NetworkFacts, Route

__all__ = ["DEFAULT_MTU", "gather_network", "read_routes", "uplink_mtu", "uplink_of"]

DEFAULT_MTU = 1500
OUTSIDE = "1.1.1.1"  # any address that only the way out leads to; nothing is sent there
_ROUTE_UP, _ROUTE_REJECT = 0x1, 0x200


def gather_network() -> NetworkFacts:
    """Read routes (on Linux), addresses and MTUs (everywhere)."""
    import psutil

    addresses = [
        Route(IPv4Interface(f"{address.address}/{address.netmask}").network, name, is_address=True)
        for name, entries in psutil.net_if_addrs().items()
        for address in entries
        if address.family.name == "AF_INET" and address.netmask
    ]
    mtu = {name: stats.mtu for name, stats in psutil.net_if_stats().items()}
    return NetworkFacts((*_linux_routes(), *addresses), mtu)


def uplink_mtu() -> int:
    """Return the MTU, in bytes, that packets leave this machine with: 1500 when unknown, and at most 1500."""
    return uplink_of(gather_network())[1]


def uplink_of(network: NetworkFacts) -> tuple[str | None, int]:
    """Return the interface of the way out, where it is known, and its MTU, 1500 at most."""
    way = network.way_to(OUTSIDE)
    if way is None:
        return None, DEFAULT_MTU
    mtu = network.mtu.get(way.interface, 0)
    return way.interface, min(DEFAULT_MTU, mtu) if mtu > 0 else DEFAULT_MTU


def read_routes(table: str) -> list[Route]:
    """Read the text of /proc/net/route."""
    routes = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        interface, destination, _gateway, flags, _, _, metric, mask = fields[:8]
        if not int(flags, 16) & _ROUTE_UP or int(flags, 16) & _ROUTE_REJECT:
            continue
        network = IPv4Network((_address(destination), str(_address(mask))), strict=False)
        routes.append(Route(network, interface, int(metric)))
    return routes


def _address(word: str) -> IPv4Address:
    """The kernel prints the address as a number in its own byte order."""
    return IPv4Address(struct.pack("=I", int(word, 16)))


def _linux_routes() -> list[Route]:
    try:
        return read_routes(Path("/proc/net/route").read_text())
    except OSError:
        return []
