"""Which machines take connections: asked all at once, in well under a second."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from labctl.backend.daemon import ENGINE_PORT
from labctl.concurrent import each

__all__ = ["SSH_PORT", "answering"]

SSH_PORT = 22
LIMIT = 0.6  # seconds; a machine on this host answers in a millisecond, an emulated one in a few


def answering(addresses: Sequence[str], *, port: int = ENGINE_PORT) -> set[str]:
    """Return those of the addresses that take a TCP connection.

    Only those on a network of this host are asked: before it is there, somebody on the way out may answer for it.
    """

    def answers(address: str) -> str:
        try:
            with socket.create_connection((address, port), timeout=LIMIT):
                return address
        except OSError:
            return ""

    here = _networks()
    near = [address for address in addresses if any(ipaddress.IPv4Address(address) in network for network in here)]
    return {found for found in each(near, answers, at_once=max(1, len(near))) if found}


def _networks() -> list[ipaddress.IPv4Network]:
    """The networks that this host has an interface in."""
    import psutil

    ends = [one for found in psutil.net_if_addrs().values() for one in found if one.family == socket.AF_INET]
    networks = [ipaddress.IPv4Network(f"{one.address}/{one.netmask}", strict=False) for one in ends if one.netmask]
    return [network for network in networks if network.prefixlen > 0]
