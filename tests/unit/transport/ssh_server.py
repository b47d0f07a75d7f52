"""An SSH server in this process, in the place of a node: real SSH, its commands run on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)
from paramiko.server import InteractiveQuery

__all__ = ["SshServer"]


@dataclass
class SshServer:
    """Lets `user` in with the key `allowed`. `path` comes before the PATH that commands see."""

    host_key: paramiko.PKey
    allowed: paramiko.PKey
    user: str = "vagrant"
    silent: bool = False  # takes connections, and says no more than its greeting
    greeting: bytes = b""
    deaf: bool = False  # lets in, and answers to no command
    asks: bool = False  # wants answers from a person beside the key
    other_host_keys: Sequence[paramiko.PKey] = ()
    max_sessions: int = 10
    port: int = 0
    path: str = ""
    executed: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._transports: list[paramiko.Transport] = []
        self._closing = False
        self.sessions = 0
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> None:
        """Cut every connection without a word, as a machine whose plug is pulled."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close all."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for transport in self._transports:
            transport.close()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            if self.silent:
                connection.sendall(self.greeting)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        transport = paramiko.Transport(connection)
        self._transports.append(transport)
        for key in (self.host_key, *self.other_host_keys):
            transport.add_server_key(key)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=_Guest(self))


class _Guest(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._terminals: dict[int, int] = {}  # channel -> our end of its terminal
        self._slaves: dict[int, int] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "keyboard-interactive" if self._server.asks else "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        fits = username == self._server.user and key == self._server.allowed
        if not fits:
            return AUTH_FAILED
        return AUTH_PARTIALLY_SUCCESSFUL if self._server.asks else AUTH_SUCCESSFUL

    def check_auth_interactive(self, username: str, submethods: str) -> InteractiveQuery:
        self._server.executed.append("a question")
        return InteractiveQuery("", "", "What is your name?")

    def check_channel_request(self, kind: str, chanid: int) -> int:
        server = self._server
        with server.lock:
            if server.sessions >= server.max_sessions:
                return OPEN_FAILED_CONNECT_FAILED
            server.sessions += 1
            server.most_at_once = max(server.most_at_once, server.sessions)
        return OPEN_SUCCEEDED

    def check_channel_pty_request(
        self, channel: paramiko.Channel, term: bytes, width: int, height: int, *_: object
    ) -> bool:
        ours, its = pty.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._terminals[channel.get_id()], self._slaves[channel.get_id()] = ours, its
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, *_: object
    ) -> bool:
        self._server.sizes.append((height, width))
        fcntl.ioctl(self._terminals[channel.get_id()], termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._server.executed.append(command.decode())
        if self._server.deaf:
            threading.Event().wait(5)
            return False
        ours = self._terminals.get(channel.get_id())
        run = self._at_pipes if ours is None else self._at_terminal
        threading.Thread(target=run, args=(channel, command), daemon=True).start()
        return True

    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{self._server.path}:{os.environ['PATH']}", "HOME": "/", "TERM": "xterm"}

    def _at_pipes(self, channel: paramiko.Channel, command: bytes) -> None:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command.decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(),
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        threading.Thread(target=self._feed, args=(channel, process.stdin.fileno(), process), daemon=True).start()
        pumps = [
            threading.Thread(target=self._pump, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(target=self._pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        self._finish(channel, process, pumps)

    def _at_terminal(self, channel: paramiko.Channel, command: bytes) -> None:
        ours, its = self._terminals[channel.get_id()], self._slaves[channel.get_id()]

        def sit_down() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            ["/bin/sh", "-c", command.decode()],
            stdin=its,
            stdout=its,
            stderr=its,
            env=self._environment(),
            preexec_fn=sit_down,
        )
        os.close(its)
        threading.Thread(target=self._feed_until_gone, args=(channel, ours, process), daemon=True).start()
        output = os.fdopen(os.dup(ours), "rb", buffering=0)
        pump = threading.Thread(target=self._pump, args=(output, channel.sendall), daemon=True)
        pump.start()
        self._finish(channel, process, [pump])

    def _finish(
        self, channel: paramiko.Channel, process: subprocess.Popen[bytes], pumps: list[threading.Thread]
    ) -> None:
        code = process.wait()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if code >= 0:  # like sshd, no code for one that a signal ended
                channel.send_exit_status(code)
            for pump in pumps:
                pump.join()
            channel.close()
        with self._server.lock:
            self._server.sessions -= 1

    def _feed_until_gone(self, channel: paramiko.Channel, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        """Like sshd, hang up the terminal of a command whose client has closed it."""
        self._feed(channel, descriptor, None)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)

    @staticmethod
    def _feed(channel: paramiko.Channel, descriptor: int, process: subprocess.Popen[bytes] | None) -> None:
        with contextlib.suppress(OSError):
            while data := channel.recv(65536):
                while data:
                    data = data[os.write(descriptor, data) :]
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    @staticmethod
    def _pump(source: IO[bytes], send: Callable[[bytes], None]) -> None:
        # Closed at the end, so that a command that nobody listens to any more is told by SIGPIPE.
        with source, contextlib.suppress(OSError, EOFError):
            while data := os.read(source.fileno(), 65536):
                send(data)
