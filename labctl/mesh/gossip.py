"""A bell that rings when the swarm's nodes tell each other of tasks, so that nothing need be polled fast.

The engines gossip on port 7946. Their heartbeats are small and steady; news of a task is larger, and comes
out of this node or into it within a fifth of a second. What is in the packets is encrypted and not needed.
"""

from __future__ import annotations

import array
import select
import socket
import struct
from typing import Protocol

__all__ = ["Bell", "GossipBell"]

GOSSIP_PORT = 7946
# Heartbeats measure 119 bytes with their UDP header (engine 26.1), the smallest news of a task 289.
LARGEST_HEARTBEAT = 176

SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
ETH_P_IP = 0x0800
PROTOCOL_UDP = 17
AUXILIARY_PROTOCOL = 0xFFFFF000  # where a filter finds a packet's link-level protocol

# Instructions of the kernel's classic packet filter: load, compare, return.
LOAD_WORD, LOAD_BYTE, LOAD_HALF_INDEXED, LOAD_HEADER_LENGTH = 0x20, 0x30, 0x48, 0xB1
IF_EQUAL, IF_GREATER, RETURN = 0x15, 0x25, 0x06


def packet_filter() -> bytes:
    """Return the filter program: IPv4, UDP, to the gossip port, larger than a heartbeat; no more."""
    program = [
        # code, skip if true, skip if false, value
        (LOAD_WORD, 0, 0, AUXILIARY_PROTOCOL),
        (IF_EQUAL, 0, 8, ETH_P_IP),
        (LOAD_BYTE, 0, 0, 9),
        (IF_EQUAL, 0, 6, PROTOCOL_UDP),
        (LOAD_HEADER_LENGTH, 0, 0, 0),
        (LOAD_HALF_INDEXED, 0, 0, 2),
        (IF_EQUAL, 0, 3, GOSSIP_PORT),
        (LOAD_HALF_INDEXED, 0, 0, 4),
        (IF_GREATER, 0, 1, LARGEST_HEARTBEAT),
        (RETURN, 0, 0, 1),
        (RETURN, 0, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


class Bell(Protocol):
    """What the agent waits on."""

    @property
    def why_deaf(self) -> str:
        """Return why it will never ring; empty where it can."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, `seconds` at most, and tell whether it rang."""
        ...


class GossipBell:
    """Hears the gossip of this node's engine; deaf, and says so, where the kernel forbids listening."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._why_deaf = ""
        try:
            self._socket = _listen()
        except OSError as error:
            self._why_deaf = error.strerror or str(error)

    @property
    def why_deaf(self) -> str:
        """Return why it will never ring; empty where it can."""
        return self._why_deaf

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, `seconds` at most, and tell whether it rang."""
        listening = [self._socket] if self._socket is not None else []
        ready, _, _ = select.select(listening, [], [], max(0.0, seconds))
        if not ready or self._socket is None:
            return False
        try:
            while True:
                self._socket.recv(1)
        except OSError:
            return True  # nothing more to hear, or an interface went down: worth a look too

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _listen() -> socket.socket:
    program = array.array("B", packet_filter())
    address, length = program.buffer_info()
    # What arrives before the filter stands rings once more than needed.
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", length // 8, address))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    except OSError:
        listener.close()
        raise
    return listener
