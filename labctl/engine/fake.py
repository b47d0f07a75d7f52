"""An engine for tests: the client is the real one, and in the place of the wire is a script.

It refuses what was not scripted.
"""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from labctl.engine.client import Engine
from labctl.engine.endpoint import Endpoint
from labctl.engine.sdk import client_class
from labctl.engine.wire import Answer as HttpAnswer
from labctl.engine.wire import Body, Refused, Stream, Upgraded, WireTo
from labctl.errors import EngineRefused, EngineUnreachable

__all__ = ["Answer", "Asked", "FakeEngine"]

NOWHERE = "http://127.0.0.1:1"
API = "1.41"  # that of engine 20.10, the oldest that labctl knows


@dataclass(frozen=True)
class Asked:
    """A request as the engine got it. `path` is without the API's version."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Answer = (
    dict[str, Any] | list[Any] | str | bytes | None | EngineRefused | EngineUnreachable | Callable[[Asked], "Answer"]
)

PING = "/_ping"


class FakeEngine(Engine):
    """Answers from `script`, a mapping of "GET /nodes" -> answer; `asked` lists what was asked.

    An answer is the API's JSON, text or bytes as they are, None for an empty body, an error of ours for the
    engine's refusal (with its status) or its silence, or a function of the request that returns one of these. What
    is answered to a ping are its headers.
    """

    def __init__(self, script: Mapping[str, Answer] | None = None, *, where: str = "the engine") -> None:
        super().__init__(Endpoint(NOWHERE), where=where)
        self.script = dict(script or {})
        self.asked: list[Asked] = []

    def _connect(self) -> Any:
        """Return the real client, which speaks to the script."""
        client = client_class()(base_url=NOWHERE, version=API)
        client.mount(NOWHERE, _adapter(self))
        return client

    @cached_property
    def wire(self) -> WireTo:
        """What speaks to the script."""
        return _Script(self)

    def connect(self) -> None:
        """It is."""

    def identity(self) -> str:
        """None: nobody else talks to it."""
        return ""

    def answer(self, asked: Asked) -> Answer:
        """Return the scripted answer; raises AssertionError for a request that has none."""
        self.asked.append(asked)
        if str(asked) not in self.script:
            raise AssertionError(f"not scripted: {asked}; scripted: {sorted(self.script)}")
        answer = self.script[str(asked)]
        while callable(answer):
            answer = answer(asked)
        return answer


class _Script:
    """The wire of most calls."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> HttpAnswer:
        """Answer as scripted."""
        given = {key: value for key, value in (params or {}).items() if value is not None}
        query = dict(parse_qsl(urlencode(given, doseq=True)))
        content: Any = body
        if isinstance(body, bytes) and (headers or {}).get("Content-Type") == "application/json":
            content = json.loads(body)
        answer = self._engine.answer(Asked(method, path, query, content))
        if isinstance(answer, EngineUnreachable):
            raise _as_raised(answer)
        if isinstance(answer, EngineRefused):
            raise Refused(answer.status or 500, answer.message)
        if path == PING and isinstance(answer, Mapping):
            return HttpAnswer(200, {key.lower(): str(value) for key, value in answer.items()}, b"OK")
        status, said = _as_http(answer)
        return HttpAnswer(status, {}, said)

    def stream(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, limit: float | None = None
    ) -> Stream:
        """Answer as scripted, in one piece."""
        return _Pieces([self.ask(method, path, params=params).content])

    def upgrade(self, path: str, body: bytes) -> Upgraded:
        """Answer as scripted: what is there is all that the command writes."""
        answer = self.ask("POST", path, body=body, headers={"Content-Type": "application/json"})
        ours, theirs = socket.socketpair()
        theirs.close()
        return Upgraded(ours, io.BufferedReader(io.BytesIO(answer.content)))

    def close(self) -> None:
        """There is no connection."""


class _Pieces(list[bytes]):
    def close(self) -> None:
        """There is no connection."""


class _Body(io.BytesIO):
    """An answer's bytes, with what docker looks for below them: a reader, and its socket."""

    chunked = False

    @property
    def fp(self) -> _Body:
        """The reader."""
        return self

    @property
    def raw(self) -> _Body:
        """The socket."""
        return self


def _adapter(engine: FakeEngine) -> Any:
    """What requests sends by; made late, since importing requests takes its time."""
    import requests
    import urllib3
    from requests.adapters import BaseAdapter

    class Script(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> requests.Response:
            asked = _asked(request)
            answer = engine.answer(asked)
            response = requests.Response()
            if asked.path == PING and isinstance(answer, Mapping):
                response.headers.update(answer)
            status, body = _as_http(answer)
            response.status_code = status
            response.url = str(request.url)
            response.request = request
            response.reason = "as scripted"
            response.raw = urllib3.HTTPResponse(_Body(body), status=status, preload_content=False)
            return response

        def close(self) -> None:
            """There is no connection."""

    return Script()


def _asked(request: Any) -> Asked:
    parts = urlsplit(request.url)
    path = unquote(parts.path).removeprefix(f"/v{API}")
    body = request.body
    if isinstance(body, str | bytes) and request.headers.get("Content-Type") == "application/json":
        body = json.loads(body)
    return Asked(request.method, path, dict(parse_qsl(parts.query)), body)


def _as_raised(answer: EngineUnreachable) -> OSError:
    """What the way to such an engine raises."""
    return TimeoutError("The handshake operation timed out") if answer.silent else ConnectionError(answer.message)


def _as_http(answer: Answer) -> tuple[int, bytes]:
    match answer:
        case EngineUnreachable():
            raise _as_raised(answer)
        case EngineRefused():
            return answer.status or 500, json.dumps({"message": answer.message}).encode()
        case None:
            return 204, b""
        case str():
            return 200, answer.encode()
        case bytes():
            return 200, answer
        case _:
            return 200, json.dumps(answer).encode()
