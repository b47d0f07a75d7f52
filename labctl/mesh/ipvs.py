"""Whether the kernel can balance a swarm's services itself (IPVS), asked the way the engine asks."""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["ipvs_available"]

NETLINK_GENERIC = 16
GENL_ID_CTRL = 0x10
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_NAME = 2
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
TIMEOUT = 5.0


def ipvs_available() -> bool:
    """Tell whether this kernel has IPVS, loading its module where there is one.

    Asks the kernel for the netlink family "IPVS", which is the engine's own first question: the kernel
    then loads the module by itself if it can. Needs no privilege and no tool, and answers the same on a
    host and in a container on it. False where that cannot be asked (not Linux, netlink forbidden).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as netlink:
            netlink.settimeout(TIMEOUT)
            netlink.bind((0, 0))
            netlink.send(family_request("IPVS"))
            return is_family(netlink.recv(65536))
    except OSError:
        return False


def family_request(name: str) -> bytes:
    """Return the netlink message that asks for the generic family `name`."""
    value = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(value), CTRL_ATTR_FAMILY_NAME) + value
    attribute += b"\0" * (-len(attribute) % 4)
    body = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0) + attribute
    return struct.pack("=IHHII", 16 + len(body), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0) + body


def is_family(answer: bytes) -> bool:
    """Tell whether `answer` describes a family; an unknown one is answered with an error message."""
    if len(answer) < 16:
        return False
    (kind,) = struct.unpack_from("=H", answer, 4)
    return bool(kind == GENL_ID_CTRL)


if __name__ == "__main__":
    # For shell scripts: success means that the mesh agent is not needed.
    sys.exit(0 if ipvs_available() else 1)
