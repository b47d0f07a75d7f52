"""`labctl` as a process of its own, with what it said, and a terminal to sit at."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LABCTL", "Said", "Terminal", "is_a_terminal_there", "is_ctrl_p_the_shells", "labctl", "terminal"]

LABCTL = [sys.executable, "-m", "labctl"]
LIMIT = 120.0


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str


def labctl(
    *arguments: str,
    lab: str = "",
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    limit: float = LIMIT,
) -> Said:
    """Run a command on a lab, as a shell would."""
    done = subprocess.run(
        [*LABCTL, *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **({"LABCTL_LAB": lab} if lab else {}), **(env or {})},
        cwd=cwd,
        timeout=limit,
        check=False,
    )
    said = Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert "Traceback" not in said.err and "bug in labctl" not in said.err, said.err
    return said


# Between the test and the command: takes the terminal that it was given as its own.
SIT_DOWN = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.environ['TERM'] = 'xterm'; os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A command at a terminal of its own: type to it, and wait for what it shows."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a letter may come in two pieces
        self.shown = ""
        self.heard: Callable[[str], object] = lambda _text: None  # all that is shown, as it comes

    def type(self, text: str) -> None:
        """Type keys."""
        os.write(self._descriptor, text.encode())

    def hang_up(self) -> None:
        """Close the window."""
        with suppress(OSError):
            os.close(self._descriptor)

    def end(self, number: int) -> None:
        """Send the command a signal."""
        self._process.send_signal(number)

    def code(self, *, limit: float = 20.0) -> int:
        """Wait for the end of a command whose window is closed, and return its exit code."""
        return self._process.wait(limit)

    def resize(self, lines: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, pattern: str, *, limit: float = 20.0) -> str:
        """Wait until what is shown from here on has the pattern, and return it; what follows is for the next wait."""
        deadline = time.monotonic() + limit
        while (found := re.search(pattern, self.shown)) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{pattern!r} was not shown; shown: {self.shown!r}")
        self.shown = self.shown[found.end() :]
        return found[0]

    def wait(self, *, limit: float = 20.0) -> int:
        """Wait for the command's end and return its exit code."""
        deadline = time.monotonic() + limit
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it goes on; shown: {self.shown!r}"
        return self._process.wait(limit)

    def is_raw(self) -> bool:
        """Whether keys are handed on one by one, and not shown by the terminal itself."""
        flags = termios.tcgetattr(self._descriptor)[3]
        return not flags & termios.ICANON

    def _read(self, limit: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], limit)
        if not ready:
            return self._process.poll() is None
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other end is closed
            return False
        text = self._decoder.decode(data)
        self.heard(text)
        self.shown += text
        return bool(data)


def is_a_terminal_there(seat: Terminal, prompt: str) -> None:
    """Assert that a shell at a seat of 30 lines and 100 columns has them, and hears of it when they change."""
    seat.wait_for(prompt)
    assert seat.is_raw()
    seat.type("stty size; echo term=$TERM; pwd\n")
    seat.wait_for(r"30 100\s+term=xterm\s+/home/docker")
    seat.resize(41, 123)
    seat.type("sleep 0.5; stty size\n")
    seat.wait_for(r"41 123")


def is_ctrl_p_the_shells(seat: Terminal) -> None:
    """Assert that Ctrl-P brings the line before, and no client keeps it."""
    seat.type("echo $((40 + 2)) answers\n")
    seat.wait_for(r"42 answers")
    seat.type("\x10")
    seat.wait_for(r"echo \$\(\(40 \+ 2\)\) answers")
    seat.type("\n")


@contextmanager
def terminal(command: Sequence[str], *, lines: int = 24, columns: int = 80) -> Iterator[Terminal]:
    """Start a command at a terminal; it is ended with the block."""
    ours, its = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SIT_DOWN, *command], stdin=its, stdout=its, stderr=its)
    os.close(its)
    seat = Terminal(process, ours)
    seat.resize(lines, columns)
    try:
        yield seat
    finally:
        process.kill()
        process.wait(10)
        seat.hang_up()
