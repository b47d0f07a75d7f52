"""SIGTERM and SIGHUP end a command as Ctrl-C does: what was begun is taken back first."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from types import FrameType

__all__ = ["Ended", "watch_signals"]

ECHO = 1.0  # seconds; `timeout` and a closing terminal send the same signal twice


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
    """Raise Ended at the first SIGTERM or SIGHUP; a later one ends the process at once.

    One that whoever started the command has set to be ignored stays so (`nohup`).
    """
    first: list[float] = []

    def heed(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            _leave_dead_terminal()
            raise Ended(number)
        if now - first[0] > ECHO:
            os.write(2, f"{Ended(number)}: `labctl down` removes what is left\n".encode())
            os._exit(Ended(number).exit_code)

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, heed)


def _leave_dead_terminal() -> None:
    """Let what is said to a terminal that has hung up go nowhere: the error would cut the taking back short."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        except (AttributeError, OSError, ValueError):
            continue  # closed, or none at all
