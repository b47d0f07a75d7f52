"""Ctrl-C, SIGTERM and SIGHUP end a command: what was begun is taken back first, and that is not cut short at once."""

from __future__ import annotations

import atexit
import os
import signal
import stat
import sys
import time
from types import FrameType

import click

from labctl.cli.hints import named_lab, with_lab

__all__ = ["Ended", "watch_signals"]

ECHO = 1.0  # seconds; `timeout` and a closing terminal send the same signal twice
PRESSED = 5.0  # seconds in which who presses Ctrl-C again is told what goes on; later it is meant
# The command, as a path, whose end at once leaves what `labctl down` removes. To any other, also to one that adds a
# node, the lab is the user's, and `down` would remove it.
MAKING = ("labctl up",)


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
            os.write(2, f"interrupted{_what_is_left()}\n".encode())
            os._exit(130)
        if not self._told:
            self._told = True
            os.write(2, f"\n{_still()}\n".encode())

    def heed(self, number: int, _frame: FrameType | None) -> None:
        """Hear SIGTERM or SIGHUP."""
        if self._is_first():
            _leave_dead_terminal()
            raise Ended(number)
        if self._is_late(ECHO):
            os.write(2, f"{Ended(number)}{_what_is_left()}\n".encode())
            os._exit(Ended(number).exit_code)

    def _is_first(self) -> bool:
        first, self._first = not self._first, self._first or time.monotonic()
        return first

    def _is_late(self, after: float) -> bool:
        return time.monotonic() - self._first > after


def _is_making() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.command_path in MAKING


def _lab() -> str | None:
    return named_lab(click.get_current_context(silent=True))


def _still() -> str:
    """What goes on after the first Ctrl-C, in words that fit the command."""
    if _is_making():
        still = "still taking back what was begun; Ctrl-C in some seconds leaves the rest to `labctl down`"
        return with_lab(still, _lab())
    return "still waiting for what was begun to end; Ctrl-C in some seconds ends this command at once"


def _what_is_left() -> str:
    """What to do after an end at once; nothing where the command is about no lab."""
    if _is_making():
        return with_lab(": `labctl down` removes what is left", _lab())
    context = click.get_current_context(silent=True)
    about_a_lab = context is not None and "lab_name" in {param.name for param in context.command.params}
    return with_lab(": `labctl status` shows what the lab is like now", _lab()) if about_a_lab else ""


def _leave_dead_terminal() -> None:
    """Let what is said to a terminal that has hung up go nowhere: the error would cut the taking back short."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        except (AttributeError, OSError, ValueError):
            continue  # closed, or none at all
