"""Stand-ins for what the mesh agent talks to: an engine, its networkdb, the kernel's programs, a bell."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from labctl.mesh.engineapi import EngineError, Network
from labctl.mesh.netns import CommandError, Namespace
from labctl.mesh.networkdb import Endpoint, NetworkDBError, Port, Table

PROTOCOL_NUMBERS = {"tcp": 0, "udp": 1, "sctp": 2}


def varint(value: int) -> bytes:
    """Encode a protobuf number."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text_field(number: int, value: bytes) -> bytes:
    """Encode a protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode(endpoint: Endpoint) -> str:
    """Write an endpoint as the engine does."""
    texts = (endpoint.task, endpoint.service, endpoint.service_id, endpoint.vip, endpoint.address)
    record = b"".join(text_field(number, text.encode()) for number, text in enumerate(texts, 1) if text)
    for port in endpoint.ports:
        numbers = (PROTOCOL_NUMBERS[port.protocol], port.target, port.published)
        record += text_field(6, b"".join(varint(n << 3) + varint(v) for n, v in enumerate(numbers, 2) if v))
    if endpoint.disabled:
        record += varint(9 << 3) + varint(1)
    return base64.b64encode(record).decode()


def endpoint(
    number: int, *, service: str = "web", vip: str = "10.0.1.2", ports: tuple[Port, ...] = (), disabled: bool = False
) -> Endpoint:
    """Make the endpoint of task `number`: its address ends in that number."""
    prefix = vip.rpartition(".")[0] or "10.0.1"
    return Endpoint(f"{service}.{number}", service, f"id-{service}", vip, f"{prefix}.{number}", ports, disabled)


def namespace(name: str, *, inode: int = 1) -> Namespace:
    """Make a namespace as `scan` would find it."""
    return Namespace(name, f"/run/docker/netns/{name}", inode, inode)


@dataclass
class FakeRun:
    """Writes down the programs that it was asked to run.

    `answers` are what a command or a program prints (or how it fails) the first times; `failing` ones fail each time.
    """

    calls: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    answers: dict[str, list[str | CommandError]] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)

    def __call__(self, *command: str, inside: Namespace | None = None, script: str | None = None) -> str:
        self.calls.append((inside.name if inside else "node", command, script or ""))
        if command[0] in self.failing:
            raise CommandError(self.failing[command[0]])
        left = self.answers.get(" ".join(command)) or self.answers.get(command[0], [])
        answer = left.pop(0) if left else ""
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def of(self, program: str, where: str | None = None) -> list[str]:
        """Return what `program` was given as input, in one place or in all."""
        return [script for place, command, script in self.calls if command[0] == program and where in (None, place)]


@dataclass
class FakeEngine:
    """An engine with these networks; not answering while it is `down`."""

    networks: list[Network] = field(default_factory=list)
    down: bool = False

    def overlays(self) -> list[Network]:
        """Return the networks, or fail."""
        if self.down:
            raise EngineError("the engine does not answer: refused")
        return self.networks

    def gateway_subnet(self) -> str:
        """Return the bridge's subnet, or fail."""
        self.overlays()
        return "172.18.0.0/16"


@dataclass
class FakeTables:
    """A networkdb with these endpoints, by network; closed while `closed`."""

    held: dict[str, list[Endpoint]] = field(default_factory=dict)
    closed: bool = False

    def endpoints(self, network_id: str) -> Table:
        """Return the table of a network, or fail."""
        if self.closed:
            raise NetworkDBError("no answer: refused")
        return {f"key-{one.task}": encode(one) for one in self.held.get(network_id, [])}


class SilentBell:
    """A bell that nobody rings."""

    why_deaf = ""

    def wait(self, seconds: float) -> bool:
        """Say that it did not ring."""
        del seconds
        return False
