"""Commands over SSH: the way to a node that is a virtual machine, and to one that is a container when asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from labctl.concurrent import LAST_WORDS, Stop
from labctl.errors import CommandFailed, LabError, NotFoundError
from labctl.kept import Kept
from labctl.transport.base import (
    COLUMNS,
    FOLDER,
    KILL_AFTER,
    ROWS,
    STREAM_LIMIT,
    TERM,
    Result,
    as_argv,
    bounded,
    is_a_folder,
    shown,
    whole,
)
from labctl.transport.known_hosts import HostKey
from labctl.transport.running import STDERR, STDOUT, Feeder
from labctl.transport.seat import Terminal
from labctl.transport.ssh_command import SshCommand, as_root, shell_script
from labctl.transport.ssh_connection import Limits, Login, connection_to
from labctl.transport.terminal import Noted
from labctl.waiting import stretched, unhurried

__all__ = ["Ssh"]

NO_FILE = 44  # the exit code by which our own script says that a file is missing
HELD = 3.0  # seconds that a command that has ended may go on to hold its output
# What sudo, or the shell in its place, says when it runs nothing.
REFUSED = (b"sudo: a password is required", b"is not in the sudoers file", b"may not run sudo", b"sudo: not found")


class Ssh:
    """Runs commands on the machine at `address`. `node` is its name in messages.

    Commands run as root: by `sudo` where the user that logs in is another; `interactive` logs in as whom it is told.
    The host's key must be in `known_hosts`, under `alias` where one is given; `pin` records it at the first boot.
    `patience` is for how many seconds a node that does not answer is tried again, before an error says so.
    """

    def __init__(
        self,
        address: str,
        *,
        node: str,
        user: str,
        key: Path,
        known_hosts: Path,
        port: int = 22,
        sudo: bool = False,
        alias: str = "",
        patience: float = 0.0,
        limits: Limits | None = None,
    ) -> None:
        self._login = Login(node, address, port, user, key, known_hosts, alias, patience, limits or Limits())
        self._connection = connection_to(self._login)
        self._node = node
        self._sudo = sudo

    @property
    def login(self) -> Login:
        """How it logs in, for programs that do so themselves."""
        return self._login

    @property
    def uses_sudo(self) -> bool:
        """Whether commands become root by sudo."""
        return self._sudo

    def pin(self) -> HostKey:
        """Log in, and record the host's key when none is recorded: for a machine that boots for the first time.

        Raises NodeDown while it does not answer, LabError when another key is recorded or the user's is refused.
        """
        return self._connection.pin()

    def close(self) -> None:
        """Close the connection; the next command opens it again."""
        self._connection.close()

    def run(
        self,
        command: str | Sequence[str],
        *,
        limit: float = 60.0,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        hide: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Result:
        """Run a command on the node; see Transport.run."""
        began = time.monotonic()
        limit = stretched(limit)
        said = {STDOUT: Kept(), STDERR: Kept()}
        argv = bounded(as_argv(command), limit)
        noted = Noted()

        def end() -> None:
            self.run(noted.ending(), limit=unhurried(LAST_WORDS))

        with (
            self._started(noted.starting(argv) if stop else argv, limit, env, held=HELD) as running,
            stop.ended_by(end, running.close) if stop else contextlib.nullcontext(),
        ):
            Feeder(running, [stdin] if stdin else [])
            for kind, data in running.output():
                said[kind].add(data)
            code = running.exit_code()
        stderr = said[STDERR].content()
        self._check_sudo(code, stderr)
        dropped = said[STDOUT].dropped + said[STDERR].dropped
        both = said[STDOUT].content(), stderr
        return Result.of(shown(command, hide), code, both, time.monotonic() - began, dropped)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file on the node, whole or not at all; its folder is made where it is missing."""
        # The length is told, so that a connection that dies half-way does not look like the end of the file.
        script = (
            f'[ ! -d "$1" ] || [ -L "$1" ] || exit {FOLDER}; '
            'set -e; umask 022; mkdir -p "$(dirname "$1")"; new=$(mktemp "$1.XXXXXX"); trap \'rm -f "$new"\' EXIT; '
            'head -c "$2" > "$new"; [ "$(stat -c %s "$new")" = "$2" ]; chmod "$3" "$new"; mv -fT "$new" "$1"'
        )
        if path.endswith("/"):
            raise is_a_folder(path, self._node)
        argv = ["/bin/sh", "-c", script, "put", path, str(len(content)), f"{mode:o}"]
        try:
            for _ in self.stream(argv, stdin=[content]):
                pass
        except CommandFailed as failed:
            if failed.result.code == FOLDER:
                raise is_a_folder(path, self._node) from failed
            reason = failed.result.stderr.strip().splitlines()[-1:] or ["the input ended too early"]
            raise LabError(f"cannot write {path} on {self._node}: {reason[0]}") from failed

    def get(self, path: str) -> bytes:
        """Read a file of the node; raises NotFoundError when it is missing."""
        script = f'[ -f "$1" ] || exit {NO_FILE}; exec cat -- "$1"'
        try:
            return whole(self.stream(["/bin/sh", "-c", script, "get", path]), f"{self._node}:{path}")
        except CommandFailed as failed:
            if failed.result.code == NO_FILE:
                raise NotFoundError(f"file on {self._node}", path, None) from failed
            raise

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """Run a command on the node on bytes; see Transport.stream."""
        began = time.monotonic()
        said = Kept()
        with self._started(bounded(command, limit), limit) as running:
            feeder = Feeder(running, stdin)
            for kind, data in running.output():
                if kind == STDERR:
                    said.add(data)
                else:
                    yield data
            code = running.exit_code()
        self._check_sudo(code, said.content())
        if code != 0:
            raise CommandFailed(self._node, Result(shown(command), code, "", said.text(), time.monotonic() - began))
        feeder.check()

    def interactive(self, command: Sequence[str], *, user: str) -> int:
        """Give the terminal to a command of a user, who logs in by himself; see Transport.interactive."""
        from labctl.transport.ssh_terminal import attach

        return attach(connection_to(replace(self._login, user=user)), list(command))

    def terminal(
        self, command: Sequence[str], *, user: str, term: str = TERM, rows: int = ROWS, columns: int = COLUMNS
    ) -> Terminal:
        """Run a command of a user, who logs in by himself, with a terminal; see Transport.terminal."""
        from labctl.transport.ssh_terminal import seat

        return seat(connection_to(replace(self._login, user=user)), list(command), term, (rows, columns))

    @contextlib.contextmanager
    def _started(
        self, argv: list[str], limit: float, env: Mapping[str, str] | None = None, held: float | None = None
    ) -> Iterator[SshCommand]:
        script = shell_script(argv, env)
        with contextlib.closing(
            SshCommand(
                self._connection,
                as_root(script, sudo=self._sudo),
                first=script,
                limit=limit + KILL_AFTER + self._login.limits.answer,
                held=held,
            )
        ) as running:
            yield running

    def _check_sudo(self, code: int, stderr: bytes) -> None:
        if self._sudo and code != 0 and any(words in stderr for words in REFUSED):
            raise LabError(
                f"{self._login.user} may not become root on {self._node}: {stderr.decode(errors='replace').strip()}",
                hint="sudo must let it without a password: `labctl provision` sets the node up.",
            )
