"""A GET over HTTP and nothing else: Debian's python3-minimal, which a node has, brings no http.client."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["Connection", "HttpError", "over_tcp", "over_unix"]

TIMEOUT = 2.0
LARGEST_LINE = 65536
SO_MARK = 36


class HttpError(Exception):
    """The other side could not be reached, or did not answer in HTTP; the text says which."""


def over_tcp(host: str, port: int, *, mark: int = 0) -> Callable[[], socket.socket]:
    """Return what connects to a TCP port; the firewall can tell its packets by `mark`, if one is given."""

    def connect() -> socket.socket:
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if mark:
            link.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        return _connected(link, (host, port))

    return connect


def over_unix(path: str) -> Callable[[], socket.socket]:
    """Return what connects to a UNIX socket."""

    def connect() -> socket.socket:
        return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)

    return connect


def _connected(link: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    link.settimeout(TIMEOUT)
    try:
        link.connect(address)
    except OSError:
        link.close()
        raise
    return link


class Connection:
    """A kept connection to one server; made when first needed, and again after an error."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._link: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def get(self, path: str) -> tuple[int, bytes]:
        """Return the status code and the body of `path`. Raises HttpError."""
        kept = self._link is not None
        try:
            return self._ask(path)
        except (OSError, ValueError) as error:
            self.close()
            if not kept:
                raise HttpError(str(error) or type(error).__name__) from error
        # The server may have closed a kept connection since; a fresh one decides.
        try:
            return self._ask(path)
        except (OSError, ValueError) as error:
            self.close()
            raise HttpError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connection; the next `get` makes another."""
        if self._reader is not None:
            self._reader.close()
        if self._link is not None:
            self._link.close()
        self._link = self._reader = None

    def _ask(self, path: str) -> tuple[int, bytes]:
        if self._link is None or self._reader is None:
            self._link = self._connect()
            self._reader = self._link.makefile("rb")
        self._link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
        status, headers = _read_head(self._reader)
        body = _read_body(self._reader, headers)
        if headers.get("connection") == "close":
            self.close()
        return status, body


def _read_line(reader: BinaryIO) -> str:
    line = reader.readline(LARGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("the connection ended in the middle of an answer")
    return line.decode("latin-1").strip()


def _read_head(reader: BinaryIO) -> tuple[int, dict[str, str]]:
    version, _, rest = _read_line(reader).partition(" ")
    if not version.startswith("HTTP/") or not rest[:3].isdigit():
        raise ValueError("the answer is not HTTP")
    headers: dict[str, str] = {}
    while line := _read_line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip().lower()
    return int(rest[:3]), headers


def _read_body(reader: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return b"".join(_chunks(reader))
    if "content-length" in headers:
        return _read_exactly(reader, int(headers["content-length"]))
    headers["connection"] = "close"
    return reader.read()


def _chunks(reader: BinaryIO) -> list[bytes]:
    chunks = []
    while size := int(_read_line(reader).partition(";")[0], 16):
        chunks.append(_read_exactly(reader, size))
        _read_line(reader)
    while _read_line(reader):
        pass  # trailers, which nobody here wants
    return chunks


def _read_exactly(reader: BinaryIO, size: int) -> bytes:
    data = reader.read(size)
    if len(data) != size:
        raise ValueError("the connection ended in the middle of an answer")
    return data
