"""A threaded HTTP server that leaves a rolling update without losing a request.

The same file stands in every image here that speaks HTTP: an image is built from its own folder and nothing else.
"""

import os
import signal
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A swarm's load balancers learn within a second that a task leaves. Until then it goes on answering.
LINGER_SECONDS = float(os.environ.get("LINGER_SECONDS", "1"))
FINISH_SECONDS = 1.5
HOSTNAME = socket.gethostname()

stopping = threading.Event()


class Server(ThreadingHTTPServer):
    """Answers IPv4 and, where the kernel has it, IPv6; knows how many requests it is working on."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._working = 0
        self._idle = threading.Condition()
        if socket.has_dualstack_ipv6():
            self.address_family = socket.AF_INET6
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request, client_address) -> None:
        with self._idle:
            self._working += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._idle:
                self._working -= 1
                self._idle.notify_all()

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether all requests were answered within that time."""
        with self._idle:
            return self._idle.wait_for(lambda: self._working == 0, timeout=seconds)


class Handler(BaseHTTPRequestHandler):
    """One answer a connection (HTTP/1.0): no idle connection is left to lose a request on when the server leaves."""

    timeout = 10
    server_version = "labctl"
    sys_version = ""

    def reply(
        self,
        body: str,
        content_type: str = "text/html",
        status: int = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send one whole answer. Nothing is cached: each request may be served by another task."""
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Served-By", HOSTNAME)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reply_plain(self, text: str, status: int = HTTPStatus.OK) -> None:
        """Send one line of text."""
        self.reply(text + "\n", "text/plain", status)

    def do_HEAD(self) -> None:
        self.do_GET()

    def address_string(self) -> str:
        """The client's address as people write it."""
        return self.client_address[0].removeprefix("::ffff:")

    def log_request(self, code="-", size="-") -> None:
        """Log what was asked, but for the health check's question of each second or two."""
        if self.path != "/healthz":
            super().log_request(code, size)


def serve(handler: type[Handler], default_port: int = 80) -> None:
    """Answer on PORT until SIGTERM, then linger, finish what is open, and return: under three seconds in all."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    port = int(os.environ.get("PORT", default_port))
    server = Server(port, handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(f"{HOSTNAME} answers on port {port}", flush=True)
    stopping.wait()
    threading.Event().wait(LINGER_SECONDS)
    server.shutdown()
    server.server_close()
    if not server.wait_until_idle(FINISH_SECONDS):
        print("left with requests unanswered", file=sys.stderr, flush=True)
