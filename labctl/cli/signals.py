"""Ctrl-C, SIGTERM and SIGHUP end a command: what was begun is taken back first, and that is not cut short at once."""

from __future__ import annotations

import atexit
import os
import signal
import stat
import sys
import time
from types import FrameType

__all__ = ["Ended", "watch_signals"]

ECHO = 1.0  # seconds; `timeout` and a closing terminal send the same signal twice
# Seconds in which who presses Ctrl-C again is told what goes on; later it is meant, and leaves what is left to `down`.
PRESSED = 5.0
AGAIN = b"\nstill taking back what was begun; Ctrl-C in some seconds leaves the rest to `labctl down`\n"


class Ended(KeyboardInterrupt):
    """A signal ended the command. It is a KeyboardInterrupt, so that all that heeds Ctrl-C heeds it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """The shell's own code for a command that a signal ended."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"


def watch_signals() -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C, Ended at the first SIGTERM or SIGHUP; a late one ends the process.

    One that whoever started the command has set to be ignored stays so (`nohup`).
    """
    watch = _Watch()
    # The interpreter lets go of its handlers while it ends; an echo that comes then would change the exit code.
    atexit.register(_hear_no_more)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, watch.press)
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, watch.heed)


def _hear_no_more() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)


class _Watch:
    """What came so far: the first signal ends the command, and those close behind it are the same wish."""

    def __init__(self) -> None:
        self._first = 0.0
        self._told = False

    def press(self, _number: int, _frame: FrameType | None) -> None:
        """Hear Ctrl-C."""
        if self._is_first():
            raise KeyboardInterrupt
        if self._is_late(PRESSED):
            os.write(2, b"interrupted: `labctl down` removes what is left\n")
            os._exit(130)
        if not self._told:
            self._told = True
            os.write(2, AGAIN)

    def heed(self, number: int, _frame: FrameType | None) -> None:
        """Hear SIGTERM or SIGHUP."""
        if self._is_first():
            _leave_dead_terminal()
            raise Ended(number)
        if self._is_late(ECHO):
            os.write(2, f"{Ended(number)}: `labctl down` removes what is left\n".encode())
            os._exit(Ended(number).exit_code)

    def _is_first(self) -> bool:
        first, self._first = not self._first, self._first or time.monotonic()
        return first

    def _is_late(self, after: float) -> bool:
        return time.monotonic() - self._first > after


def _leave_dead_terminal() -> None:
    """Let what is said to a terminal that has hung up go nowhere: the error would cut the taking back short."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        except (AttributeError, OSError, ValueError):
            continue  # closed, or none at all
