"""A tiny HTTP server on a Unix socket in the place of an engine, for what only a real connection can show."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

__all__ = ["VERSION", "Handler", "Reply", "Server"]

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}
Reply = Callable[["Handler"], None]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each request by its entry in `replies`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, socket: Path, replies: Mapping[str, Reply]) -> None:
        super().__init__(str(socket), Handler)
        self.url = f"unix://{socket}"
        usual: dict[str, Reply] = {
            "GET /version": lambda handler: handler.send(200, VERSION),
            "GET /_ping": Handler.pong,
        }
        self.replies = usual | dict(replies)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away while it was answered; anything else is a test's mistake."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Close the socket."""
        self.shutdown()
        self.server_close()


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

    def pong(self) -> None:
        """Answer a ping."""
        self.send_response(200)
        self.send_header("Api-Version", VERSION["ApiVersion"])
        self.send_header("Server", f"Docker/{VERSION['Version']} (linux)")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

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
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.replies.get(f"{self.command} {path}")
        if reply is None:
            self.send(404, {"message": f"page not found: {self.command} {path}"})
        else:
            reply(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815  http.server's own names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
