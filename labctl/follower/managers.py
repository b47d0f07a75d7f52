"""A swarm's managers, asked over the Engine API with mutual TLS."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from .files import Hosted, Wish

__all__ = ["API_PORT", "PROBE", "Managers", "ManagersError", "Seen", "read_swarm"]

API_PORT = 2376
CONNECT_LIMIT = 2.0
ANSWER_LIMIT = 5.0
MOST_NODES = 8  # that a way leads to
# A manager that vanishes says nothing: the kernel asks after so many silent seconds, and gives up after three tries.
SILENT = 5
PROBE = "labctl.probe"  # label of the service that labctl tries a lab with: nobody here asks it
EVENTS = "/events?filters=%7B%22type%22%3A%5B%22service%22%2C%22node%22%5D%7D"  # {"type":["service","node"]}


class ManagersError(Exception):
    """No manager answers; the text says what each said."""


class Seen(NamedTuple):
    """What a manager knows: the published ports, and the addresses of nodes that are ready and of managers."""

    published: tuple[Wish, ...]
    nodes: tuple[str, ...]
    managers: tuple[str, ...]
    source: str = ""
    hosted: tuple[Hosted, ...] = ()  # what is published in host mode


def read_swarm(services: Any, nodes: Any) -> Seen:
    """Read GET /services and GET /nodes."""
    published = set()
    hosted: list[Hosted] = []
    for service in services:
        if PROBE in (service["Spec"].get("Labels") or {}):
            continue
        hosted += _hosted(service)
        for port in service.get("Endpoint", {}).get("Ports") or ():
            number, protocol = int(port.get("PublishedPort") or 0), str(port.get("Protocol", "tcp"))
            if number and port.get("PublishMode", "ingress") == "ingress" and protocol in ("tcp", "udp"):
                published.add(Wish(number, number, protocol))
    serving: list[tuple[bool, str]] = []
    managers = []
    for node in nodes:
        status = node.get("ManagerStatus") or {}
        address = str(status.get("Addr", "")).rpartition(":")[0] or str(node["Status"].get("Addr", ""))
        if status and address:
            managers.append(address)
        if address and node["Status"].get("State") == "ready":
            serving.append((bool(status), address))
    ready = [address for _, address in sorted(serving)]  # workers first: managers have enough to do
    return Seen(tuple(sorted(published)), tuple(ready[:MOST_NODES]), tuple(sorted(managers)), hosted=tuple(hosted))


def _hosted(service: Any) -> list[Hosted]:
    """As the service is to be: what it has just now may be short of that for a moment."""
    return [
        Hosted(
            str(service.get("ID", "")),
            int(port.get("PublishedPort") or 0),
            int(port.get("TargetPort") or 0),
            str(port.get("Protocol", "tcp")),
        )
        for port in (service["Spec"].get("EndpointSpec") or {}).get("Ports") or ()
        if port.get("PublishMode") == "host"
    ]


class Managers:
    """Asks the manager that answered last, or else one that answers.

    `changed` is called from another thread when services or nodes change, and when the manager goes.
    """

    def __init__(self, keys: str, changed: Callable[[], None]) -> None:
        self._keys = keys
        self._changed = changed
        self._tls: ssl.SSLContext | None = None
        self._events: _Events | None = None

    def look(self, candidates: Iterable[str]) -> Seen:
        """Ask what is published. Raises ManagersError when none of the candidates can say."""
        current = self._events.address if self._events else ""
        said = []
        for address in dict.fromkeys([*([current] if current else []), *candidates]):
            try:
                seen = read_swarm(self._get(address, "/services"), self._get(address, "/nodes"))
            except (OSError, ValueError, KeyError) as problem:
                said.append(f"{address}: {problem}")
                if address == current:
                    self._listen("")
                continue
            self._listen(address)
            return seen._replace(source=address)
        raise ManagersError("; ".join(said) or "no node is known")

    def _listen(self, address: str) -> None:
        """Follow the events of the manager at that address, and of no other."""
        if self._events and (self._events.address != address or self._events.ended):
            self._events.end()
            self._events = None
        if address and self._events is None:
            self._events = _Events(address, self._connected(address), self._changed)

    def _get(self, address: str, path: str) -> Any:
        with self._connected(address) as link:
            link.settimeout(ANSWER_LIMIT)
            # HTTP/1.0: the answer ends with the connection, and nothing comes in chunks.
            link.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            with link.makefile("rb") as reader:
                return json.loads(_answer(reader).read())

    def _connected(self, address: str) -> ssl.SSLSocket:
        if self._tls is None:
            context = ssl.create_default_context(cafile=os.path.join(self._keys, "ca.pem"))
            context.load_cert_chain(os.path.join(self._keys, "cert.pem"), os.path.join(self._keys, "key.pem"))
            self._tls = context
        link = socket.create_connection((address, API_PORT), timeout=CONNECT_LIMIT)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in ((socket.TCP_KEEPIDLE, SILENT), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3)):
                link.setsockopt(socket.IPPROTO_TCP, option, value)
            return self._tls.wrap_socket(link, server_hostname=address)
        except BaseException:
            link.close()
            raise


class _Events:
    """One manager's events, heard by a thread of their own."""

    def __init__(self, address: str, link: ssl.SSLSocket, changed: Callable[[], None]) -> None:
        self.address = address
        self.ended = False
        self._link = link
        self._changed = changed
        threading.Thread(target=self._hear, daemon=True).start()

    def end(self) -> None:
        """Hear no more."""
        self.ended = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _hear(self) -> None:
        try:
            with self._link as link:
                link.sendall(f"GET {EVENTS} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
                link.settimeout(None)
                with link.makefile("rb") as reader:
                    for _ in _lines(_answer(reader)):
                        self._changed()
        except OSError:
            pass  # the manager is gone: the next look finds another
        finally:
            if not self.ended:
                self.ended = True
                self._changed()


def _answer(reader: BinaryIO) -> BinaryIO:
    """Read the head of an answer, and return where its body is. Raises OSError for anything but success."""
    status = reader.readline().decode(errors="replace").split(" ", 2)
    while reader.readline() not in (b"\r\n", b"\n", b""):
        pass
    if len(status) < 2 or status[1] != "200":
        text = reader.read(500).decode(errors="replace").strip()
        raise OSError(text or " ".join(status).strip() or "it ended the connection")
    return reader


def _lines(reader: BinaryIO) -> Iterator[bytes]:
    while line := reader.readline():
        yield line
