"""What every transport offers: run a command, carry a file there and back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from labctl.concurrent import Stop
from labctl.errors import LabError, UsageError

if TYPE_CHECKING:
    from labctl.transport.seat import Terminal

__all__ = [
    "COLUMNS",
    "FOLDER",
    "ROWS",
    "STREAM_LIMIT",
    "TERM",
    "Result",
    "Transport",
    "Way",
    "as_argv",
    "bounded",
    "is_a_folder",
    "shown",
    "whole",
]

Way = Literal["exec", "ssh"]  # to a node that is a container; to a machine there is only SSH
STREAM_LIMIT = 3600.0  # seconds that a copy may take
LARGEST_FILE = 64 << 20  # bytes of a file that is read into memory
TERM, ROWS, COLUMNS = "xterm-256color", 24, 80  # a terminal's kind and size where nobody says
FOLDER = 45  # the exit code by which our own scripts say that a folder is where a file should be
KILL_AFTER = 2  # seconds between a command's SIGTERM at its limit, and SIGKILL


@dataclass(frozen=True)
class Result:
    """How a command ended. `shown` is the command as a person would type it, without secrets.

    Of each output it has at most the last 16 MiB (`labctl.kept`); `dropped` is how many bytes were more than that.
    `raw` is both outputs where they are not all UTF-8, and so changed in the text (see `Result.of`).
    """

    shown: str
    code: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    dropped: int = 0
    raw: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, shown: str, code: int, said: tuple[bytes, bytes], seconds: float, dropped: int = 0) -> Result:
        """A result of the bytes that a command wrote to its stdout and its stderr."""
        stdout, stderr = (content.decode(errors="replace") for content in said)
        marked = "\ufffd" in stdout or "\ufffd" in stderr  # else there is nothing to compare, which takes the memory
        is_changed = marked and (stdout.encode(), stderr.encode()) != said
        return cls(shown, code, stdout, stderr, seconds, dropped, said if is_changed else None)

    @property
    def exact(self) -> tuple[str, str]:
        """Both outputs without loss: a byte that is no character stands as Python's "surrogateescape" has it."""
        if self.raw is None:
            return self.stdout, self.stderr
        stdout, stderr = (content.decode(errors="surrogateescape") for content in self.raw)
        return stdout, stderr

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0

    @property
    def timed_out(self) -> bool:
        """Whether it was ended at its limit (`timeout` reports 124, or 137 where it had to kill)."""
        return self.code in (124, 137)


class Transport(Protocol):
    """A way to one node. Raises NodeDown when the node is not there to run anything."""

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
        """Run a command (a string goes to the shell) and return how it ended.

        It is ended after `limit` seconds, stretched by `labctl.waiting.patience`.
        `hide` are the secrets in it: they are left out of `Result.shown`. `stop` ends it on the node before its
        limit; without one it goes on there when nobody waits for it any more.
        """
        ...

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file on the node. Raises UsageError where a folder is at the path."""
        ...

    def get(self, path: str) -> bytes:
        """Read a file of the node. Raises NotFoundError when it is missing, LabError for one of more than 64 MiB."""
        ...

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """Run a command on bytes that need not fit into memory, and yield those that it writes.

        Raises CommandFailed at the end when it did not exit with 0.
        """
        ...

    def interactive(self, command: Sequence[str], *, user: str) -> int:
        """Give the terminal to a command of one of the node's users, and return its exit code."""
        ...

    def terminal(
        self, command: Sequence[str], *, user: str, term: str = TERM, rows: int = ROWS, columns: int = COLUMNS
    ) -> Terminal:
        """Run a command of one of the node's users with a terminal that the caller holds, without a limit."""
        ...


def as_argv(command: str | Sequence[str]) -> list[str]:
    """Return the argument vector of a command; a string is for the shell. Raises UsageError for none."""
    if not command and not isinstance(command, str):
        raise UsageError("there is no command to run: the list of its words is empty")
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def bounded(argv: Sequence[str], limit: float) -> list[str]:
    """Wrap a command so that the node itself ends it at the limit, whatever becomes of us."""
    return ["timeout", "-k", str(KILL_AFTER), f"{limit:g}", *argv]


def shown(command: str | Sequence[str], hide: Sequence[str] = ()) -> str:
    """Return a command as a person would type it, with the secrets replaced."""
    text = command if isinstance(command, str) else shlex.join(command)
    for secret in filter(None, [hide] if isinstance(hide, str) else hide):
        text = text.replace(secret, "***")
    return text


def is_a_folder(path: str, node: str) -> UsageError:
    """What is said of a path at which a file should be written, and a folder is."""
    return UsageError(f"{path} on {node} is a folder", hint="Name the file in it, as FOLDER/NAME.")


def whole(content: Iterable[bytes], name: str) -> bytes:
    """Return a file's content as one. Raises LabError for one that is too large to be held in memory."""
    found = bytearray()
    for chunk in content:
        found += chunk
        if len(found) > LARGEST_FILE:
            raise LabError(
                f"{name} is larger than {LARGEST_FILE >> 20} MiB, which is the most that is read at once",
                hint=f"`labctl scp {name} .` copies it.",
            )
    return bytes(found)
