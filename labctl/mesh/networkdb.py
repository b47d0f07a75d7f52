"""The engine's networkdb: which tasks serve what, as gossiped between the nodes of a swarm.

Each node's engine holds it for the networks that have tasks there, also on a worker and also when the
managers have lost their quorum. The engine's network diagnostic server shows it on a loopback port.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from .httpget import Connection, HttpError

__all__ = ["DecodeError", "Endpoint", "NetworkDB", "NetworkDBError", "Port", "Table", "Tables", "decode_endpoint"]

PROTOCOLS = {0: "tcp", 1: "udp", 2: "sctp"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# What the engine shows of one network: the endpoint's key, and its record still encoded.
Table = dict[str, str]


class NetworkDBError(Exception):
    """The engine does not show its networkdb; the text says why."""


class DecodeError(ValueError):
    """A record that is not an endpoint's."""


class Port(NamedTuple):
    """A port published through the mesh."""

    protocol: str  # tcp, udp or sctp
    target: int  # in the container
    published: int  # on every node


class Endpoint(NamedTuple):
    """A task's place in one network."""

    task: str
    service: str
    service_id: str  # empty for a container that belongs to no service
    vip: str  # empty where the service has none in this network
    address: str
    ports: tuple[Port, ...] = ()  # in the ingress network only
    disabled: bool = False  # the task is about to be stopped


class Tables(Protocol):
    """Where the agent gets the endpoints of a network."""

    def endpoints(self, network_id: str) -> Table:
        """Return the endpoint table of a network. Raises NetworkDBError."""
        ...


class NetworkDB:
    """Reads the tables from the engine's diagnostic server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def endpoints(self, network_id: str) -> Table:
        """Return the endpoint table of a network. Raises NetworkDBError."""
        try:
            status, body = self._connection.get(f"/gettable?nid={network_id}&tname=endpoint_table&json")
        except HttpError as error:
            raise NetworkDBError(f"no answer: {error}") from error
        if status != 200:
            raise NetworkDBError(f"HTTP status {status}")
        return parse_table(body)


def parse_table(body: bytes) -> Table:
    """Read an answer of /gettable. Raises NetworkDBError when it is none, or tells of a failure."""
    try:
        answer: Any = json.loads(body)
        message, details = answer["message"], answer["details"]
        if message == "OK":
            return {str(entry["key"]): str(entry["value"]) for entry in details["entries"] or ()}
    except (ValueError, KeyError, TypeError) as error:
        raise NetworkDBError(f"an answer that is not understood ({type(error).__name__}: {error})") from error
    raise NetworkDBError(f"it says: {message}")


def decode_endpoint(encoded: str) -> Endpoint:
    """Decode one endpoint record (base64 of a protobuf message). Raises DecodeError."""
    try:
        record = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise DecodeError(f"not base64: {error}") from error
    text: dict[int, str] = {}
    ports: list[Port] = []
    disabled = False
    for number, value in _fields(record):
        if number == 6 and isinstance(value, bytes):
            port = _decode_port(value)
            if port is not None:
                ports.append(port)
        elif number == 9:
            disabled = bool(value)
        elif isinstance(value, bytes) and number <= 5:
            text[number] = value.decode("utf-8", "replace")
    address = _ipv4(text.get(5, ""))
    if not address:
        raise DecodeError(f"no IPv4 address for {text.get(1, 'an endpoint without a name')}")
    return Endpoint(
        task=text.get(1, ""),
        service=text.get(2, ""),
        service_id=text.get(3, ""),
        vip=_ipv4(text.get(4, "")),
        address=address,
        ports=tuple(sorted(ports)),
        disabled=disabled,
    )


def _decode_port(message: bytes) -> Port | None:
    numbers = {number: value for number, value in _fields(message) if isinstance(value, int)}
    protocol = PROTOCOLS.get(numbers.get(2, 0))
    target, published = numbers.get(3, 0), numbers.get(4, 0)
    if protocol is None or not 0 < target < 65536 or not 0 < published < 65536:
        return None
    return Port(protocol, target, published)


def _ipv4(text: str) -> str:
    """Return `text` when it is an IPv4 address, else nothing: a missing VIP is written "<nil>"."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return ""


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message: numbers as int, all else as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise DecodeError(f"wire type {kind}")
        if at + size > len(message):
            raise DecodeError("cut off in the middle of a field")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise DecodeError("cut off in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
