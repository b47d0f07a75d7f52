"""nginx, which carries the bytes: its configuration, and a reload that is known to have worked."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import IO

from .files import Way

__all__ = ["Nginx", "NginxError", "configuration"]

CONFIG = "/run/edge.conf"
RELOAD_LIMIT = 15.0  # seconds; nginx tries for 2.5 s to take a port
CLOSE_LIMIT = 5.0  # seconds that the worker before may take to let go of its ports; one that crashed never says so
CLOSED = "gracefully shutting down"
BOUND = re.compile(r"bind\(\) to \S+?:(\d+) failed")
GRAVE = re.compile(r"\[(crit|alert|emerg)\]|^nginx: ")
CONNECTIONS = 8192  # of one worker; each port that is open is one too
OLD_WORKER = "10m"
IDLE = {"tcp": "1h", "udp": "30s"}


class NginxError(Exception):
    """nginx did not take its configuration; the text is what it said."""


def configuration(ways: Iterable[Way], nodes: Sequence[str], address: str) -> str:
    """What nginx shall do: lead each way to the nodes, past those that are dead."""
    blocks = "".join(_block(way, nodes, address) for way in ways) if nodes else ""
    return (
        "include /etc/nginx/modules-enabled/*.conf;\n"
        "user root;\nworker_processes 1;\ndaemon off;\npid /run/edge.pid;\nerror_log stderr notice;\n"
        # A worker whose configuration is old goes when its connections do, and by then at the latest.
        f"worker_shutdown_timeout {OLD_WORKER};\n"
        f"events {{ worker_connections {CONNECTIONS}; }}\n"
        f"stream {{\n{blocks}}}\n"
    )


def _block(way: Way, nodes: Sequence[str], address: str) -> str:
    name = f"{way.protocol}_{way.host}"
    servers = "".join(f"    server {node}:{way.target} max_fails=1 fail_timeout=1s;\n" for node in nodes)
    kind = " udp" if way.protocol == "udp" else ""
    return (
        f"  upstream {name} {{\n{servers}  }}\n"
        f"  server {{\n    listen {address}:{way.host}{kind};\n    proxy_pass {name};\n"
        "    proxy_connect_timeout 1s;\n    proxy_next_upstream on;\n"
        f"    proxy_timeout {IDLE[way.protocol]};\n    proxy_socket_keepalive on;\n  }}\n"
    )


class Nginx:
    """nginx as a child process. `ended` is called, from another thread, when it ends."""

    def __init__(
        self, address: str, ended: Callable[[], None], *, program: Sequence[str] = ("nginx",), config: str = CONFIG
    ) -> None:
        self._address = address
        self._ended = ended
        self._config = config
        self._text = configuration((), (), address)
        self._said: list[str] = []
        self._heard = threading.Condition()
        self._write(self._text)
        self._process = subprocess.Popen(  # a program of the image, and no word of a user's
            [*program, "-e", "stderr", "-c", config], stderr=subprocess.PIPE, text=True, errors="replace"
        )
        assert self._process.stderr is not None  # asked for above
        self._ear = threading.Thread(target=self._hear, args=(self._process.stderr,), daemon=True)
        self._ear.start()
        try:
            self._wait_taken()
        except NginxError:
            self.end()
            raise

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it at once."""
        if self.runs:
            self._process.terminate()
        self._process.wait()
        self._ear.join(1)

    def serve(self, ways: Sequence[Way], nodes: Sequence[str]) -> set[int]:
        """Carry these ways and no others; connections that are open live on.

        Returns the ports that somebody else took meanwhile: nothing changed then. Raises NginxError.
        """
        text = configuration(ways, nodes, self._address)
        if text == self._text:
            return set()
        self._write(text)
        with self._heard:
            self._said.clear()
        self._process.send_signal(1)  # SIGHUP: read the configuration again
        taken = self._wait_taken(old=True)
        if not taken:
            self._text = text
        return taken

    def _wait_taken(self, *, old: bool = False) -> set[int]:
        """Wait until a worker has the configuration; the `old` one listens where it did until it shuts down."""
        deadline = time.monotonic() + RELOAD_LIMIT
        closed_by = time.monotonic() + CLOSE_LIMIT if old else 0.0
        taken: set[int] = set()
        with self._heard:
            while True:
                taken |= {int(found[1]) for line in self._said if (found := BOUND.search(line))}
                wrong = next((line for line in self._said if "[emerg]" in line and "bind()" not in line), "")
                if taken and any("still could not bind" in line for line in self._said):
                    return taken
                if wrong and not taken:
                    raise NginxError(wrong)
                closed = time.monotonic() >= closed_by or any(CLOSED in line for line in self._said)
                if closed and any("start worker process " in line for line in self._said):
                    return set()
                left = deadline - time.monotonic()
                if left <= 0 or not self.runs:
                    raise NginxError(self._said[-1] if self._said else "nginx says nothing")
                self._heard.wait(min(left, 0.5))

    def _hear(self, stderr: IO[str]) -> None:
        with stderr:
            for line in stderr:
                if "initgroups" in line:
                    continue  # it may not, and need not
                with self._heard:
                    self._said.append(line.strip())
                    del self._said[:-1000]
                    self._heard.notify_all()
                if GRAVE.search(line):  # a service that does not answer yet is no fault of the proxy's
                    sys.stderr.write(line)
                    sys.stderr.flush()
        self._ended()

    def _write(self, text: str) -> None:
        with open(self._config, "w") as file:
            file.write(text)
