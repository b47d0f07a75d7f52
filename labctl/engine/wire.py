"""HTTP to an engine over its Unix socket, its pipe on Windows, or TCP with TLS: what most calls need, and no more.

The Docker SDK takes a third of a second to load, which a command that only reads would spend on nothing else. So
there are connections here that are kept open; building, pushing and loading images stay the SDK's. Errors are raised
as sockets and ssl raise them; `labctl.engine.errors.translated` puts them into words. An answer with a status of 400
or more raises Refused.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from labctl.engine.http1 import CUT, BadAnswer, Connection, Response

if TYPE_CHECKING:
    import ssl

__all__ = ["JSON", "Answer", "Body", "Refused", "Stream", "Upgraded", "Wire", "WireTo"]

PING = "/_ping"
JSON = {"Content-Type": "application/json"}
# An engine may speak a newer API than was known when this was written; it then speaks this one too.
NEWEST_API = (1, 51)
Body = bytes | None
Connect = Callable[[float], socket.socket]


class Refused(Exception):
    """The engine answered with an error: its status and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Answer(NamedTuple):
    """An answer that is there as a whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The answer as JSON; None where it is empty. Raises BadAnswer for what is none."""
        try:
            return json.loads(self.content) if self.content.strip() else None
        except ValueError as problem:
            raise BadAnswer(f"what it says is no JSON: {problem}") from problem


class Upgraded(NamedTuple):
    """A connection that carries raw bytes in both ways. What came early waits in `reader`."""

    socket: socket.socket
    reader: IO[bytes]


class Stream(Protocol):
    """An answer that is read as it comes; closed when it is left."""

    def __iter__(self) -> Iterator[bytes]:
        """Its pieces, as they come."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class WireTo(Protocol):
    """What an Engine asks by. A path is without the API's version; `limit` is in seconds, None for none."""

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Answer:
        """Ask, and read the answer to its end."""
        ...

    def stream(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, limit: float | None = None
    ) -> Stream:
        """Ask, and return the answer as it comes; it may be silent for `limit` seconds between two pieces."""
        ...

    def upgrade(self, path: str, body: bytes) -> Upgraded:
        """POST, and keep the connection for raw bytes (Engine API, "Start an exec instance")."""
        ...

    def close(self) -> None:
        """Close the connections that are kept open."""
        ...


class Wire:
    """Connections to one engine, made as they are needed and kept for the next call. Safe from any thread."""

    def __init__(self, url: str, tls: Callable[[], ssl.SSLContext] | None, *, limit: float, first_limit: float) -> None:
        """`tls` makes the context when it is first needed; `first_limit` is for the very first answer."""
        self._connect = _connector(url, tls)
        self._limit = limit
        self._first_limit = first_limit
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._knowing = threading.Lock()
        self._prefix: str | None = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Answer:
        """See WireTo."""
        if path == PING:
            return self._pinged(limit or self._first_limit)
        return self._whole(method, self._target(path, params), body, headers, limit or self._limit)

    def stream(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, limit: float | None = None
    ) -> Stream:
        """See WireTo."""
        connection, response = self._sent(method, self._target(path, params), None, {}, self._limit)
        connection.sock.settimeout(limit)
        return _Stream(connection, response)

    def upgrade(self, path: str, body: bytes) -> Upgraded:
        """See WireTo."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp", **JSON}
        connection, _ = self._sent("POST", self._target(path, None), body, headers, self._limit)
        connection.sock.settimeout(None)
        return Upgraded(connection.sock, connection.reader)

    def close(self) -> None:
        """See WireTo."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        """Whoever has warnings be errors, as tests do, is not told of connections that were kept in good order."""
        if hasattr(self, "_lock"):
            self.close()

    def _target(self, path: str, params: Mapping[str, Any] | None) -> str:
        wanted = {key: value for key, value in (params or {}).items() if value is not None}
        query = f"?{urlencode(wanted, doseq=True)}" if wanted else ""
        return f"{self._version()}{quote(path, safe='/:@~+')}{query}"

    def _version(self) -> str:
        """The API's version as a path begins with it: asked once. An engine that boots is slow to say it."""
        with self._knowing:
            if self._prefix is None:
                self._pinged(self._first_limit)
            assert self._prefix is not None  # the answer told it
            return self._prefix

    def _pinged(self, limit: float) -> Answer:
        answer = self._whole("GET", PING, None, None, limit)
        theirs = tuple(int(part) for part in answer.headers.get("api-version", "").split(".") if part.isdigit())
        major, minor = min(theirs, NEWEST_API) if len(theirs) == 2 else NEWEST_API
        self._prefix = f"/v{major}.{minor}"
        return answer

    def _whole(self, method: str, target: str, body: Body, headers: Mapping[str, str] | None, limit: float) -> Answer:
        connection, response = self._sent(method, target, body, headers or {}, limit)
        try:
            content = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return Answer(response.status, response.headers, content)

    def _sent(
        self, method: str, target: str, body: Body, headers: Mapping[str, str], limit: float
    ) -> tuple[Connection, Response]:
        """Send a request, read its answer's head. A question is asked again where a kept connection has just ended."""
        kept = self._kept(limit)
        if kept is not None:
            with contextlib.suppress(*(CUT if method == "GET" else ())):
                return self._sent_over(kept, method, target, body, headers)
        return self._sent_over(Connection(self._connect(limit)), method, target, body, headers)

    @staticmethod
    def _sent_over(
        connection: Connection, method: str, target: str, body: Body, headers: Mapping[str, str]
    ) -> tuple[Connection, Response]:
        try:
            response = connection.ask(method, target, body, headers)
            if response.status >= 400:
                raise Refused(response.status, _words(response.read()))
        except BaseException:
            connection.close()
            raise
        return connection, response

    def _kept(self, limit: float) -> Connection | None:
        """One that is open and that the engine has not closed meanwhile."""
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return None
            if not _has_ended(kept.sock):
                kept.sock.settimeout(limit)
                return kept
            kept.close()


class _Stream:
    def __init__(self, connection: Connection, response: Response) -> None:
        self._connection = connection
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._response.pieces()
        finally:
            self.close()

    def close(self) -> None:
        self._connection.close()


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed: nothing else makes an idle connection readable."""
    try:
        if sys.platform == "win32":
            return bool(select.select([connection], [], [], 0)[0])
        poll = select.poll()  # which knows descriptors above 1024 too
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, TypeError):  # Windows' pipes are no sockets, and closed ones have no number
        return True


def _words(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")


def _connector(url: str, tls: Callable[[], ssl.SSLContext] | None) -> Connect:
    """How a connection to the address is made, within so many seconds."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        path = unquote(url.removeprefix("unix://"))
        return lambda limit: _over_unix(path, limit)
    if parts.scheme == "npipe":
        pipe = url.removeprefix("npipe://").replace("/", "\\")
        return lambda limit: _over_pipe(pipe, limit)
    host, port = parts.hostname or "127.0.0.1", parts.port or (2376 if tls else 2375)
    context: list[ssl.SSLContext] = []
    making = threading.Lock()

    def connect(limit: float) -> socket.socket:
        if tls is None:
            return _over_tcp(host, port, limit)
        with making:
            if not context:
                context.append(tls())
        made = _over_tcp(host, port, limit)
        try:
            return context[0].wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise

    return connect


def _over_tcp(host: str, port: int, limit: float) -> socket.socket:
    made = socket.create_connection((host, port), limit)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _over_unix(path: str, limit: float) -> socket.socket:
    if sys.platform == "win32":
        raise OSError(errno.EAFNOSUPPORT, "Python has no Unix sockets on Windows")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(limit)
    try:
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


def _over_pipe(pipe: str, limit: float) -> socket.socket:
    """Windows' way to its engine; a pipe is no socket there, and the SDK has one that looks like it."""
    from docker.transport.npipesocket import NpipeSocket

    made: Any = NpipeSocket()
    made.settimeout(limit)
    made.connect(pipe)
    return cast(socket.socket, made)
