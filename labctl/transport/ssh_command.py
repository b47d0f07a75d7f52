"""A command on a node over SSH, with its input and output open."""

from __future__ import annotations

import contextlib
import re
import selectors
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from labctl.errors import NodeDown
from labctl.transport.running import STDERR, STDOUT
from labctl.transport.ssh_connection import SshConnection

if TYPE_CHECKING:
    import paramiko

__all__ = ["SshCommand", "as_root", "shell_script", "text_of"]

CHUNK = 1 << 16
LOOK = 0.5  # seconds between two looks at what nothing wakes us for: an exit code, a limit
KILLED = 255  # as ssh(1): the command's own shell was killed, and no code came back
SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SshCommand:
    """A command that runs now. `text` goes to the login shell; `first` is written to its input before all else.

    With `terminal` (a value of TERM) it gets one of that `size` (rows, columns). `limit` is in seconds: by then the
    command has ended, or the node is taken for dead. `held` is for how many seconds the output of one that has ended
    may be silent before it is given up: what it left in the background may hold it open for ever. Raises NodeDown when
    the node does not answer.
    """

    def __init__(
        self,
        connection: SshConnection,
        text: str,
        *,
        first: bytes = b"",
        terminal: str = "",
        size: tuple[int, int] = (24, 80),
        limit: float | None = None,
        held: float | None = None,
    ) -> None:
        self._login = connection.login
        self._opened = contextlib.ExitStack()
        self._channel: paramiko.Channel = self._opened.enter_context(connection.session())
        self._limit = limit
        self._held = held
        try:
            with self._translated(), self._watched():
                if terminal:
                    self._channel.get_pty(terminal, width=size[1], height=size[0])
                self._channel.exec_command(text)
                self._send(first)
        except BaseException:
            self.close()
            raise
        self._deadline = None if limit is None else time.monotonic() + limit

    def send(self, data: bytes) -> None:
        """Write to the command's input. Raises NodeDown when it has ended."""
        with self._translated():
            self._send(data)

    def end_input(self) -> None:
        """Let the command read the end of its input."""
        with contextlib.suppress(NodeDown), self._translated():
            self._channel.shutdown_write()

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the command writes, until its end. Raises NodeDown when its limit passes without that."""
        channel = self._channel
        heard = time.monotonic()
        with selectors.DefaultSelector() as ready:
            ready.register(channel.fileno(), selectors.EVENT_READ)
            while True:
                over = channel.eof_received or channel.closed  # asked first: what came before the end is in the buffers
                if channel.recv_ready():
                    yield STDOUT, channel.recv(CHUNK)
                elif channel.recv_stderr_ready():
                    yield STDERR, channel.recv_stderr(CHUNK)
                elif over or self._is_held(heard):
                    return
                else:
                    ready.select(LOOK)
                    self._check_limit()
                    continue
                heard = time.monotonic()

    def resize(self, lines: int, columns: int) -> None:
        """Tell the command's terminal its size; one that has ended needs none."""
        with contextlib.suppress(NodeDown), self._translated():
            self._channel.resize_pty(width=columns, height=lines)

    def exit_code(self) -> int:
        """Wait for the command's end and return its exit code. Raises NodeDown when the connection died before."""
        channel = self._channel
        while not channel.status_event.wait(LOOK):
            self._check_limit()
        if channel.exit_status >= 0:
            return channel.exit_status
        if self._is_lost():
            raise self._login.silent("the connection was lost while a command ran")
        return KILLED

    def close(self) -> None:
        """Let go of the command, and of its place among those that may run at once. Twice is fine."""
        self._opened.close()

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            sent = self._channel.send(left[:CHUNK].tobytes())
            if sent == 0:
                raise OSError("it reads no more")
            left = left[sent:]

    def _is_held(self, heard: float) -> bool:
        return self._held is not None and self._channel.exit_status_ready() and time.monotonic() - heard > self._held

    def _is_lost(self) -> bool:
        """Whether the connection died; asked after the channel closed without a word."""
        transport = self._channel.get_transport()
        if transport.is_active():
            transport.join(0.5)  # it may be just about to
        return not transport.is_active()

    def _check_limit(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise self._login.silent(f"silent for {self._limit:g} s while a command ran")

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """paramiko waits for some answers without a limit: close the channel when one does not come."""
        timer = threading.Timer(self._login.limits.channel, self._close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _close(self) -> None:
        with contextlib.suppress(EOFError, OSError):  # the connection died in the meantime
            self._channel.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as problem:
            raise self._login.silent(str(problem).rstrip(".") or "the connection was closed") from problem


def shell_script(argv: Sequence[str], env: Mapping[str, str] | None = None) -> bytes:
    """A script for the node's shell that runs a command where and with what an engine's exec would run it.

    The command is not the shell's last act: only so a command that a signal ended has an exit code over SSH.
    """
    given = {"PATH": PATH, **(env or {})}
    exports = [f"export {key}={shlex.quote(value)}" for key, value in given.items() if SHELL_NAME.fullmatch(key)]
    others = [f"{key}={value}" for key, value in given.items() if not SHELL_NAME.fullmatch(key)]
    command = shlex.join(["env", *others, *argv] if others else argv)
    # The shell tells of such an end on its own stderr, which the command's shall not be mixed with.
    quiet = ["exec 9>&2 2>/dev/null", f"(exec 2>&9 9>&-; exec {command})", "exit $?"]
    return "\n".join(["cd /", *exports, *quiet]).encode(errors="surrogateescape")


def as_root(script: bytes, *, sudo: bool) -> str:
    """What the login shell is given to run a script that comes as the first bytes of the input.

    So neither the script nor what it exports is on any command line, in sudo's log, or longer than allowed.
    """
    shell = f"/bin/sh -c 'eval \"$(head -c {len(script)})\"'"
    return f"exec sudo -n -H -- {shell}" if sudo else f"exec {shell}"


def text_of(argv: Sequence[str]) -> str:
    """An argument vector for the login shell, which makes way for it."""
    return f"exec {shlex.join(argv)}"
