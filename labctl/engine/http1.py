"""As much of HTTP/1.1 as it takes to ask a Docker engine, on a socket.

Python's own http.client brings the email package and ssl with it, which take as long to load as all else that a
command like `ssh` needs (docs/speed.md). An engine is Go's net/http: one head, and a body in chunks, of a length that
is told, or up to the end of the connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

__all__ = ["CHUNK", "BadAnswer", "Connection", "Response"]

CHUNK = 1 << 16
LONGEST_LINE = 1 << 16
MOST_HEADERS = 200
WITHOUT_BODY = (204, 304)
SWITCHING = 101
CUT = (BrokenPipeError, ConnectionResetError)


class BadAnswer(OSError):
    """What comes is no answer, or ends in the middle of one."""


class Response:
    """An answer whose head has been read. Header names are in lower case; `is_over` is true when all was read."""

    def __init__(self, reader: IO[bytes], *, method: str = "GET") -> None:
        self._reader = reader
        self.status, version = _status_of(reader)
        self.headers = _headers_of(reader)
        while 100 <= self.status < 200 and self.status != SWITCHING:  # it goes on to the answer itself
            self.status, version = _status_of(reader)
            self.headers = _headers_of(reader)
        self._is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._length = self._told_length(method)
        said = self.headers.get("connection", "").lower()
        self.will_close = "close" in said or (self._length is None and not self._is_chunked) or version != "HTTP/1.1"
        self.is_over = False

    def _told_length(self, method: str) -> int | None:
        """How long the body is; None where its end tells."""
        if method == "HEAD" or self.status in WITHOUT_BODY:
            return 0
        said = self.headers.get("content-length")
        if self._is_chunked or said is None:
            return None
        if not (said.isascii() and said.isdigit()):
            raise BadAnswer(f"it tells no length: {said!r}")
        return int(said)

    def read(self) -> bytes:
        """The body as a whole."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises BadAnswer where it is cut off."""
        if self._is_chunked and self._length is None:
            yield from self._chunks()
        elif self._length is None:
            while piece := _some(self._reader, CHUNK):
                yield piece
        else:
            yield from self._exactly(self._length)
        self.is_over = True

    def _chunks(self) -> Iterator[bytes]:
        while size := self._size_of_chunk():
            yield from self._exactly(size)
            _line(self._reader)
        while _line(self._reader):  # what may follow the last chunk
            pass

    def _size_of_chunk(self) -> int:
        line = _line(self._reader)
        try:
            return int(line.partition(b";")[0], 16)
        except ValueError:
            raise BadAnswer(f"it tells no length: {line[:40]!r}") from None

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = _some(self._reader, min(size, CHUNK))
            if not piece:
                raise BadAnswer("it closed the connection in the middle of its answer")
            size -= len(piece)
            yield piece


class Connection:
    """A connection to an engine: one question after the other."""

    def __init__(self, sock: socket.socket, host: str = "docker") -> None:
        self.sock = sock
        self.reader = cast(IO[bytes], sock.makefile("rb"))
        self._host = host

    def ask(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """Send a question and read the head of its answer. Raises ConnectionResetError where none comes.

        An engine may refuse before it has read all, and tells why: then that is the answer.
        """
        length = {} if body is None and method in ("GET", "HEAD") else {"Content-Length": str(len(body or b""))}
        told = {"Host": self._host, "User-Agent": "labctl", **length, **headers}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in told.items())
        try:
            self.sock.sendall(f"{head}\r\n".encode("latin-1") + (body or b""))
        except CUT as cut:
            response = self._answer(method, cut)
            if response.status < 400:
                raise
            response.will_close = True
            return response
        return self._answer(method)

    def _answer(self, method: str, cut: OSError | None = None) -> Response:
        try:
            return Response(self.reader, method=method)
        except (BadAnswer, *CUT) as problem:
            raise cut or problem from None

    def close(self) -> None:
        """Let go of it."""
        self.reader.close()
        self.sock.close()


def _status_of(reader: IO[bytes]) -> tuple[int, str]:
    line = reader.readline(LONGEST_LINE)
    if not line:
        raise ConnectionResetError("it closed the connection and said nothing")
    version, _, rest = line.decode("latin-1").partition(" ")
    status = rest.partition(" ")[0].strip()
    if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise BadAnswer(f"it speaks no HTTP: {line[:40]!r}")
    return int(status), version


def _headers_of(reader: IO[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(MOST_HEADERS):
        line = _line(reader)
        name, colon, value = line.decode("latin-1").partition(":")
        if not line:
            return found
        if not colon:
            raise BadAnswer(f"it speaks no HTTP: {line[:40]!r}")
        found[name.strip().lower()] = value.strip()
    raise BadAnswer(f"it says more than {MOST_HEADERS} headers")


def _line(reader: IO[bytes]) -> bytes:
    """A line without its end. Raises BadAnswer for one without an end."""
    line = reader.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise BadAnswer("it closed the connection in the middle of its answer")
    return line.rstrip(b"\r\n")


def _some(reader: IO[bytes], most: int) -> bytes:
    """What is there, or comes next."""
    return bytes(cast(Any, reader).read1(most))
