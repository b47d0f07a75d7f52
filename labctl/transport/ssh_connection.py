"""One SSH connection to a node, shared by all that is done there: opened when it is needed, and again when it died.

By paramiko itself: fabric above it accepts unknown hosts on its own, and makes text of what commands write.
"""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.engine.errors import keys_hint
from labctl.errors import HostError, LabError, NodeDown
from labctl.transport.known_hosts import HostKey, KnownHosts, entry_name
from labctl.words import EXTRA_VAGRANT

if TYPE_CHECKING:
    import paramiko

__all__ = ["Limits", "Login", "SshConnection", "connection_to"]

# sshd allows 10 sessions on a connection where it was not told otherwise (MaxSessions); the rest wait here.
CHANNELS = 8
KEEPALIVE = 5  # seconds without a word, after which a sign of life is sent
LONGEST_PAUSE = 1.0  # seconds between two tries; sshd shuts those out for a while who come too often
DEAD_AFTER = 20_000  # milliseconds that the node's kernel may leave our bytes unacknowledged


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
        self._live: paramiko.Transport | None = None
        self._attempt: Future[paramiko.Transport] | None = None

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
        _need_paramiko()
        with self._lock:
            self._drop(self._live)
            self._live = _connect(self.login, accept_new=True)
            key = self._live.get_remote_server_key()
        return HostKey(key.get_name(), key.asbytes())

    def close(self) -> None:
        """Close the connection; the next command opens it again."""
        with self._lock:
            self._drop(self._live)

    def _drop(self, transport: paramiko.Transport | None) -> None:
        if transport is not None:
            transport.close()
        if self._live is transport:
            self._live = None

    def _open_channel(self) -> paramiko.Channel:
        _need_paramiko()
        import paramiko

        limits = self.login.limits
        deadline = time.monotonic() + limits.sessions
        fresh = False
        while True:
            transport = self._transport()
            try:
                with self._opening:
                    return transport.open_session(timeout=limits.channel)
            except paramiko.ChannelException as refused:
                # All of sshd's sessions are taken: it was told to allow fewer, or one is just closing.
                if time.monotonic() > deadline:
                    raise LabError(f"{self.login.node} opens no more SSH sessions: {refused}") from refused
                time.sleep(0.1)
            except (paramiko.SSHException, EOFError, OSError) as problem:
                # What looked alive was not: the node was restarted, or its network went away. Nothing has run yet.
                with self._lock:
                    self._drop(transport)
                if fresh:
                    raise self.login.silent(_reason(problem)) from problem
                fresh = True

    def _transport(self) -> paramiko.Transport:
        """The connection, opened by the first thread that finds it missing; the others get what that one got."""
        with self._lock:
            if self._live is not None and self._live.is_active():
                return self._live
            attempt, first = self._attempt, False
            if attempt is None:
                attempt, first = Future(), True
                self._attempt = attempt
        if first:
            self._try(attempt)
        return attempt.result()

    def _try(self, attempt: Future[paramiko.Transport]) -> None:
        try:
            transport = _connect(self.login)
        except BaseException as problem:
            with self._lock:
                self._attempt = None
            attempt.set_exception(problem)
            if not isinstance(problem, LabError | HostError):
                raise
        else:
            with self._lock:
                self._live, self._attempt = transport, None
            attempt.set_result(transport)


_shared: dict[Login, SshConnection] = {}
_shared_lock = threading.Lock()


def connection_to(login: Login) -> SshConnection:
    """The connection of this process to a node: nodes are looked up again and again, and log in once."""
    with _shared_lock:
        return _shared.setdefault(login, SshConnection(login))


def _connect(login: Login, *, accept_new: bool = False) -> paramiko.Transport:
    """Connect, and try again as long as the login says, while the node does not answer."""
    deadline = time.monotonic() + login.patience
    pause = 0.1
    while True:
        try:
            return _connect_once(login, accept_new=accept_new)
        except NodeDown:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _connect_once(login: Login, *, accept_new: bool) -> paramiko.Transport:
    """Connect, check the host's key, and log in. With `accept_new` a first key is recorded, once the login held."""
    import paramiko

    known = KnownHosts(login.known_hosts)
    recorded = known.keys(login.name)
    user_key = _user_key(login)
    transport = paramiko.Transport(_socket(login))
    try:
        transport.banner_timeout = login.limits.banner
        transport.auth_timeout = login.limits.auth
        options = transport.get_security_options()
        wanted = [kind for key in recorded for kind in _names_of(key.kind) if kind in options.key_types]
        options.key_types = [*wanted, *(kind for kind in options.key_types if kind not in wanted)]
        transport.start_client(timeout=login.limits.banner)
        if not transport.initial_kex_done:  # the limit passed, which is no error to paramiko
            raise TimeoutError("it takes connections and says nothing")
        shown = transport.get_remote_server_key()
        key = HostKey(shown.get_name(), shown.asbytes())
        if recorded or not accept_new:
            known.check(login.name, key, login.node, scan=login.scan)
        _log_in(transport, login, user_key)
        if accept_new:
            known.pin(login.name, key, login.node)
        transport.set_keepalive(KEEPALIVE)
    except BaseException as problem:
        transport.close()
        if isinstance(problem, paramiko.SSHException | EOFError | OSError):
            raise login.silent(_reason(problem)) from problem
        raise
    return transport


def _log_in(transport: paramiko.Transport, login: Login, key: paramiko.PKey) -> None:
    import paramiko

    try:
        more = transport.auth_publickey(login.user, key)
    except paramiko.AuthenticationException as refused:
        if not transport.is_active() or "timeout" in str(refused).lower():
            raise  # it went away, or fell silent
        more = ["another key"]
    if more:
        raise LabError(
            f"{login.node} does not let {login.user} in with the key {login.key}",
            hint="The key is put there when the node is made: `labctl down` and `labctl up` make the lab anew.",
        )


def _socket(login: Login) -> socket.socket:
    """Connect by TCP. Raises NodeDown."""
    try:
        found = socket.create_connection((login.address, login.port), timeout=login.limits.connect)
    except OSError as problem:
        raise login.silent(_reason(problem)) from problem
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER)
    return found


def _user_key(login: Login) -> paramiko.PKey:
    import paramiko

    try:
        return paramiko.PKey.from_path(login.key)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as problem:
        raise LabError(
            f"the SSH key {login.key} cannot be read: {_reason(problem)}",
            hint=keys_hint(),
        ) from problem


def _need_paramiko() -> None:
    try:
        import paramiko  # noqa: F401
    except ImportError as missing:
        raise HostError(f"SSH needs a package that is not installed: {missing.name}", hint=EXTRA_VAGRANT) from missing
    # What goes wrong is raised here and told once; paramiko would print a traceback of its own beside it.
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _names_of(kind: str) -> list[str]:
    """The algorithms that a key of this kind can prove itself with."""
    return ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]


def _reason(problem: BaseException) -> str:
    if isinstance(problem, EOFError):
        return "the connection was closed"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    if "protocol banner" in str(problem):
        return "it takes connections and gives no SSH greeting"
    return str(problem).strip().rstrip(".") or type(problem).__name__
