"""Which machines take connections: asked all at once, in well under a second."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from labctl.backend.daemon import ENGINE_PORT
from labctl.concurrent import each

__all__ = ["SSH_PORT", "answering", "is_on_link"]

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

    near = [address for address in addresses if is_on_link(address)]
    return {found for found in each(near, answers, at_once=max(1, len(near))) if found}


def is_on_link(address: str) -> bool:
    """Whether an interface of this host is in the address's network."""
    import psutil

    wanted = ipaddress.IPv4Address(address)
    for found in psutil.net_if_addrs().values():
        for one in found:
            if one.family == socket.AF_INET and one.netmask:
                network = ipaddress.IPv4Network(f"{one.address}/{one.netmask}", strict=False)
                if wanted in network and network.prefixlen > 0:
                    return True
    return False
