"""One SSH connection to a node, shared by all that is done there: opened when it is needed, and again when it died.

It is fabric's, which a single thread may open: here many share it, and the one who finds it dead opens another.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import HostError, LabError, NodeDown
from labctl.transport.known_hosts import HostKey, entry_name
from labctl.words import EXTRA_VAGRANT

if TYPE_CHECKING:
    import paramiko
    from fabric import Connection

__all__ = ["Limits", "Login", "SshConnection", "connection_to", "reason_of"]

# sshd allows 10 sessions on a connection where it was not told otherwise (MaxSessions); the rest wait here.
CHANNELS = 8
LONGEST_PAUSE = 1.0  # seconds between two tries; sshd shuts those out for a while who come too often


@dataclass(frozen=True)
class Limits:
    """Seconds. `answer` is what a node may be late with, after the limit that it keeps itself."""

    connect: float = 10.0
    banner: float = 20.0
    auth: float = 30.0
    channel: float = 20.0
    answer: float = 15.0
    sessions: float = 300.0  # that a command waits for others to end, where all sessions are taken


@dataclass(frozen=True)
class Login:
    """Who logs in where. `alias` is the name of the host's key, where that is not the address.

    `patience` is for how many seconds a node that does not answer is tried again: it may still be starting.
    """

    node: str
    address: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    alias: str = ""
    patience: float = 0.0
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        """The name in the known_hosts file."""
        return self.alias or entry_name(self.address, self.port)

    @property
    def scan(self) -> str:
        """A command that prints the host's line for the known_hosts file; none, where it stands under an alias."""
        words = ["ssh-keyscan", "-p", str(self.port), "-t", "ed25519", self.address]
        return "" if self.alias else shlex.join(words)

    def silent(self, reason: object) -> NodeDown:
        """The error for a node that does not answer."""
        return NodeDown(self.node, f"not answering over SSH ({self.address}:{self.port}: {reason})", silent=True)


class SshConnection:
    """The connection. Threads may share it; nothing happens before the first of them needs it."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(CHANNELS)
        # paramiko keeps one place for the reason of a refusal: two that open at once take it from each other.
        self._opening = threading.Lock()
        self._live: Connection | None = None
        self._attempt: Future[Connection] | None = None

    @contextmanager
    def session(self) -> Iterator[paramiko.Channel]:
        """A channel for one command, closed with the block.

        Raises NodeDown when the node does not answer, LabError when it is not the one it was or refuses the key.
        """
        if not self._slots.acquire(timeout=self.login.limits.sessions):
            raise LabError(f"{self.login.node} has been busy with {CHANNELS} other commands for too long")
        try:
            channel = self._open_channel()
            try:
                yield channel
            finally:
                channel.close()
        finally:
            self._slots.release()

    def pin(self) -> HostKey:
        """Connect, and record the host's key if none is recorded yet. Raises LabError when another one is."""
        _need_fabric()
        from labctl.transport.ssh_login import shown_by

        with self._lock:
            self._drop(self._live)
            self._live = _connect(self.login, accept_new=True)
            return shown_by(self._live)

    def close(self) -> None:
        """Close the connection; the next command opens it again."""
        with self._lock:
            self._drop(self._live)

    def _drop(self, connection: Connection | None) -> None:
        if connection is not None:
            connection.close()
        if self._live is connection:
            self._live = None

    def _open_channel(self) -> paramiko.Channel:
        _need_fabric()
        import paramiko

        limits = self.login.limits
        deadline = time.monotonic() + limits.sessions
        fresh = False
        while True:
            connection = self._connected()
            try:
                with self._opening:
                    # fabric's create_session opens a connection that died, past our lock.
                    channel: paramiko.Channel = connection.transport.open_session()
                    return channel
            except paramiko.ChannelException as refused:
                # All of sshd's sessions are taken: it was told to allow fewer, or one is just closing.
                if time.monotonic() > deadline:
                    raise LabError(f"{self.login.node} opens no more SSH sessions: {refused}") from refused
                time.sleep(0.1)
            except (paramiko.SSHException, EOFError, OSError) as problem:
                # What looked alive was not: the node was restarted, or its network went away. Nothing has run yet.
                with self._lock:
                    self._drop(connection)
                if fresh:
                    raise self.login.silent(reason_of(problem)) from problem
                fresh = True

    def _connected(self) -> Connection:
        """The connection, opened by the first thread that finds it missing; the others get what that one got."""
        with self._lock:
            if self._live is not None and self._live.is_connected:
                return self._live
            attempt, first = self._attempt, False
            if attempt is None:
                attempt, first = Future(), True
                self._attempt = attempt
        if first:
            self._try(attempt)
        return attempt.result()

    def _try(self, attempt: Future[Connection]) -> None:
        try:
            connection = _connect(self.login)
        except BaseException as problem:
            with self._lock:
                self._attempt = None
            attempt.set_exception(problem)
            if not isinstance(problem, LabError | HostError):
                raise
        else:
            with self._lock:
                self._live, self._attempt = connection, None
            attempt.set_result(connection)


_shared: dict[Login, SshConnection] = {}
_shared_lock = threading.Lock()


def connection_to(login: Login) -> SshConnection:
    """The connection of this process to a node: nodes are looked up again and again, and log in once."""
    with _shared_lock:
        return _shared.setdefault(login, SshConnection(login))


def _connect(login: Login, *, accept_new: bool = False) -> Connection:
    """Connect, and try again as long as the login says, while the node does not answer."""
    from labctl.transport.ssh_login import log_in

    deadline = time.monotonic() + login.patience
    pause = 0.1
    while True:
        try:
            return log_in(login, accept_new=accept_new)
        except NodeDown:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _need_fabric() -> None:
    try:
        import labctl.transport.ssh_login  # noqa: F401
    except ImportError as missing:
        raise HostError(f"SSH needs a package that is not installed: {missing.name}", hint=EXTRA_VAGRANT) from missing


def reason_of(problem: object) -> str:
    """Why SSH failed, in words."""
    if isinstance(problem, EOFError):
        return "the connection was closed"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    if "protocol banner" in str(problem):
        return "it takes connections and gives no SSH greeting"
    return str(problem).strip().rstrip(".") or type(problem).__name__
