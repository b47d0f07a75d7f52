"""A tiny HTTP server on a Unix socket in the place of an engine, for what only a real connection can show."""

from __future__ import annotations

import json
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from labctl.engine import Endpoint, Engine

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}
Reply = Callable[["Handler"], None]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each request by its entry in `replies`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, socket: Path, replies: Mapping[str, Reply]) -> None:
        super().__init__(str(socket), Handler)
        self.socket_path = socket
        self.replies = replies


class Handler(BaseHTTPRequestHandler):
    """One connection. Replies are written with `send` or on `wfile`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def send(self, status: int, body: object, *, raw: bytes | None = None) -> None:
        """Answer whole, as JSON unless `raw` is given."""
        content = json.dumps(body).encode() if raw is None else raw
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, *chunks: bytes, whole: bool = True) -> None:
        """Answer in chunks; without `whole` the connection is cut before the last one."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def hijack(self, content: bytes) -> None:
        """Take the connection over for raw bytes, as `exec` does, and end it."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + content)
        self.close_connection = True

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        path = path.removeprefix(f"/v{VERSION['ApiVersion']}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        del body
        reply = self.server.replies.get(f"{self.command} {path}")
        if reply is None:
            self.send(404, {"message": f"page not found: {self.command} {path}"})
        else:
            reply(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815  http.server's own names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Serve = Callable[..., Engine]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve the replies given by "GET /path", and return an Engine that asks there."""
    folder = Path(tempfile.mkdtemp(prefix="labctl-"))  # a socket's path must be short
    servers: list[Server] = []
    engines: list[Engine] = []

    def start(replies: Mapping[str, Reply] | None = None, *, limit: float = 10) -> Engine:
        known = {"GET /version": lambda handler: handler.send(200, VERSION), **(replies or {})}
        server = Server(folder / f"{len(servers)}.sock", known)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        engines.append(Engine(Endpoint(f"unix://{server.socket_path}"), where="the engine of w1", limit=limit))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    shutil.rmtree(folder)
