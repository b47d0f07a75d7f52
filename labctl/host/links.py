"""Trying whether the kernel makes an interface of a kind, in a network namespace that is gone at once.

A configuration file says what was compiled; only trying says what works. One netlink message a kind,
in a thread that leaves the machine's network namespace: a thousandth of a second, and nothing is left.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence

from labctl.waiting import stretched

__all__ = ["try_links"]

LIMIT = 2.0  # seconds: loading a module takes a moment
_CLONE_NEWNET = 0x40000000
_RTM_NEWLINK = 16
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO = 3, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_VXLAN_ID = 1


def try_links(kinds: Sequence[str]) -> Mapping[str, bool]:
    """Return for each kind ("veth", "bridge", "vxlan") whether the kernel made one.

    Empty where it cannot be tried: not on Linux, or without the right to make a network namespace.
    """
    if sys.platform != "linux":
        return {}
    came: dict[str, bool] = {}
    # unshare() moves the calling thread alone: the rest of the process stays where it is.
    trial = threading.Thread(target=_try_all, args=(kinds, came), daemon=True)
    trial.start()
    trial.join(stretched(LIMIT))
    return dict(came)


def _try_all(kinds: Sequence[str], came: dict[str, bool]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        return
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(stretched(LIMIT))
            for number, kind in enumerate(kinds):
                netlink.send(_new_link(number, kind))
                came[kind] = _error(netlink.recv(4096)) == 0
    except OSError:
        return


def _new_link(number: int, kind: str) -> bytes:
    info = _attribute(_IFLA_INFO_KIND, kind.encode())
    if kind == "vxlan":
        info += _attribute(_IFLA_INFO_DATA, _attribute(_IFLA_VXLAN_ID, struct.pack("=I", 42)))
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    body += _attribute(_IFLA_IFNAME, f"try{number}".encode() + b"\0") + _attribute(_IFLA_LINKINFO, info)
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL
    return struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, flags, number, 0) + body


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)


def _error(answer: bytes) -> int:
    """The number in an acknowledgement: 0, or an errno with its sign turned."""
    return int(struct.unpack_from("=i", answer, 16)[0])
