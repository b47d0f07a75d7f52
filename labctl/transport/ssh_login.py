"""Logging in to a node, by fabric: with what the lab wrote down, and with nothing of the user's own.

The only importer of fabric, and loaded with the first connection. What runs over that goes by its raw channels (see
`ssh_command`). fabric's runner makes text of all bytes and keeps every one, reads an input a character at a time (ours
begins with the script itself) and waits for whoever holds the output, for ever. Its transfer of files is SFTP by the
user who logs in, who on a machine is not root, and what it cuts off half-way stays there.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

from fabric import Config, Connection
from paramiko import MissingHostKeyPolicy, PKey, SSHClient, SSHConfig, SSHException, Transport
from paramiko.auth_strategy import AuthFailure, AuthStrategy, InMemoryPrivateKey

from labctl.engine.errors import keys_hint
from labctl.errors import LabError, NodeDown
from labctl.transport.known_hosts import HostKey, KnownHosts
from labctl.transport.ssh_connection import Login, reason_of

__all__ = ["log_in", "shown_by"]

KEEPALIVE = 5  # seconds without a word, after which a sign of life is sent
DEAD_AFTER = 20_000  # milliseconds that the node's kernel may leave our bytes unacknowledged

# What goes wrong is raised here and told once; paramiko would print a traceback of its own beside it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def log_in(login: Login, *, accept_new: bool = False) -> Connection:
    """Connect, check the host's key, and log in. With `accept_new` a first key is recorded, once the login held.

    Raises NodeDown when the node does not answer, LabError when it is another than it was or refuses the user's key.
    """
    hosts = _Recorded(login, accept_new=accept_new)
    connection = _to(login, _user_key(login), hosts)
    client: SSHClient = connection.client
    client.set_missing_host_key_policy(hosts)
    with contextlib.ExitStack() as undo:
        undo.callback(client.close)  # fabric closes a connection that was opened whole
        try:
            connection.open()
        except (SSHException, EOFError, OSError) as problem:
            raise _told(login, client.get_transport(), problem) from problem
        if not connection.transport.is_authenticated():  # the key is one of several things that it wants
            raise _refused(login)
        if accept_new:
            hosts.known.pin(login.name, shown_by(connection), login.node)
        connection.transport.set_keepalive(KEEPALIVE)
        undo.pop_all()
    return connection


def shown_by(connection: Connection) -> HostKey:
    """The host's key."""
    return _host_key(connection.transport.get_remote_server_key())


class _Recorded(MissingHostKeyPolicy):
    """Refuses a host whose key the lab has not written down. fabric's own policy takes whoever comes.

    It is asked about each host: paramiko's list of known hosts has no aliases, and one key of a kind.
    """

    def __init__(self, login: Login, *, accept_new: bool) -> None:
        self.known = KnownHosts(login.known_hosts)
        self.keys = self.known.keys(login.name)
        self._login = login
        self._accepts = accept_new and not self.keys

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        """Raise LabError for a host that is not the one it was."""
        if not self._accepts:
            self.known.check(self._login.name, _host_key(key), self._login.node, scan=self._login.scan)

    def transport(self, sock: socket.socket, **how: Any) -> Transport:
        """What speaks with the host, which is asked for a key of a recorded kind first: it may have several."""
        transport = Transport(sock, **how)
        options = transport.get_security_options()
        kinds = {key.kind for key in self.keys}
        if "ssh-rsa" in kinds:  # such a key proves itself by other names
            kinds |= {"rsa-sha2-512", "rsa-sha2-256"}
        options.key_types = sorted(options.key_types, key=lambda name: name not in kinds)
        return transport


class _OneKey(AuthStrategy):
    """The lab's key alone. Without a strategy paramiko asks at our terminal for what a host wants beside it."""

    def __init__(self, key: PKey, *, ssh_config: SSHConfig, username: str, **_: object) -> None:
        super().__init__(ssh_config)
        self._source = InMemoryPrivateKey(username, key)

    def get_sources(self) -> Iterator[InMemoryPrivateKey]:
        """What to log in with."""
        yield self._source


def _to(login: Login, key: PKey, hosts: _Recorded) -> Connection:
    limits = login.limits
    return Connection(
        login.address,
        user=login.user,
        port=login.port,
        # Lazy, and with an SSH configuration that is empty: else ~/.ssh/config and ~/.fabric.yaml had a say.
        config=Config(
            overrides={"authentication": {"strategy_class": partial(_OneKey, key)}}, ssh_config=SSHConfig(), lazy=True
        ),
        connect_kwargs={
            "sock": _socket(login),
            "timeout": limits.banner,
            "banner_timeout": limits.banner,
            "auth_timeout": limits.auth,
            "channel_timeout": limits.channel,
            "transport_factory": hosts.transport,
        },
    )


def _socket(login: Login) -> socket.socket:
    """Connect by TCP, which has a limit of its own, shorter than the greeting's. Raises NodeDown."""
    try:
        found = socket.create_connection((login.address, login.port), timeout=login.limits.connect)
    except OSError as problem:
        raise login.silent(reason_of(problem)) from problem
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER)
    return found


def _user_key(login: Login) -> PKey:
    try:
        return PKey.from_path(login.key)
    except (OSError, ValueError, TypeError, SSHException) as problem:
        raise LabError(f"the SSH key {login.key} cannot be read: {reason_of(problem)}", hint=keys_hint()) from problem


def _host_key(key: PKey) -> HostKey:
    return HostKey(key.get_name(), key.asbytes())


def _told(login: Login, transport: Transport | None, problem: Exception) -> LabError | NodeDown:
    """The error for a login that failed."""
    answers = transport is not None and transport.is_active()
    if isinstance(problem, AuthFailure):
        why = problem.result[-1].result
        if answers and "timeout" not in str(why).lower():
            return _refused(login)
        return login.silent(reason_of(why))
    if transport is not None and answers and not transport.initial_kex_done:  # a limit passed: no error to paramiko
        return login.silent("it takes connections and says nothing")
    return login.silent(reason_of(problem))


def _refused(login: Login) -> LabError:
    return LabError(
        f"{login.node} does not let {login.user} in with the key {login.key}",
        hint="The key is put there when the node is made: `labctl down` and `labctl up` recreate the lab.",
    )
