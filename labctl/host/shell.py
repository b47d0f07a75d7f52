"""Running commands on this machine itself, each told before it runs and ended at its limit."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Protocol

from labctl.errors import HostError
from labctl.events import CommandShown, Emit
from labctl.transport.base import Result
from labctl.waiting import stretched

__all__ = ["FakeShell", "HostShell", "Shell"]

Note = Callable[[str], None]
_KEPT_LINES = 200  # of a long output, the end is what an error needs
_ENDING = 5.0  # seconds a command has between SIGTERM and SIGKILL


class Shell(Protocol):
    """A way to run commands on this machine."""

    def run(self, argv: Sequence[str], *, limit: float, note: Note | None = None) -> Result:
        """Run a command for at most `limit` seconds; `note` hears each line as it comes.

        Both streams come together in Result.stdout. Exit code 124 stands for the limit. Raises HostError
        when there is no such program.
        """
        ...


class HostShell:
    """Runs commands for real, and tells each one first."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def run(self, argv: Sequence[str], *, limit: float, note: Note | None = None) -> Result:
        """As Shell says."""
        shown = shlex.join(argv)
        self._emit(CommandShown("host", shown))
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as problem:
            raise HostError(f"cannot run {argv[0]}: {problem.strerror}") from problem
        with process:
            lines = _Reader(process.stdout, note)
            code = _wait(process, stretched(limit))
            lines.join()
        return Result(shown, code, lines.text, "", time.monotonic() - began)


class _Reader(threading.Thread):
    """Reads a stream to its end, and keeps the last of it."""

    def __init__(self, stream: IO[str] | None, note: Note | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._note = note
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.start()

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def run(self) -> None:
        for line in self._stream or ():
            self._lines.append(line)
            if self._note is not None and line.strip():
                self._note(line.strip())


def _wait(process: subprocess.Popen[str], limit: float) -> int:
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return 124
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class FakeShell:
    """For tests: answers scripted commands, each with its results in turn, and refuses all others."""

    def __init__(self, answers: Mapping[str, Sequence[Result | str]]) -> None:
        self._answers = {command: list(results) for command, results in answers.items()}
        self.commands: list[str] = []

    def run(self, argv: Sequence[str], *, limit: float, note: Note | None = None) -> Result:
        """Answer as scripted; the last result of a command is given again and again."""
        shown = shlex.join(argv)
        self.commands.append(shown)
        if shown not in self._answers:
            raise AssertionError(f"not scripted: {shown!r}; scripted: {sorted(self._answers)}")
        results = self._answers[shown]
        result = results.pop(0) if len(results) > 1 else results[0]
        return Result(shown, 0, result) if isinstance(result, str) else result
