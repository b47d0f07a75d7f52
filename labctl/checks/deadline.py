"""A limit on how long a piece of Python may take, whatever it waits for."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["DeadlinePassed", "SlowCommand", "deadline", "seconds_left"]


class DeadlinePassed(BaseException):
    """The time is up. No Exception, so that no `except Exception` on the way swallows it."""


class SlowCommand(LabError):
    """A command that a check runs on a node did not end within its limit: the lab hangs, or the command is long."""

    def __init__(self, command: str, seconds: float, node: Node) -> None:
        super().__init__(f"`{command}` did not end within {seconds:.0f} s on {node.name}")
        self.node = node


_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlinePassed in the block when it takes longer than `seconds`.

    Only in the main thread, and where the system has SIGALRM; elsewhere only `seconds_left` tells.
    """
    mark = _ends_at.set(time.monotonic() + seconds)
    try:
        with _alarm(seconds):
            yield
    finally:
        _ends_at.reset(mark)


def seconds_left(most: float) -> float:
    """How long a command may take: `most`, or what is left until the deadline around it."""
    ends_at = _ends_at.get()
    return most if ends_at is None else max(0.1, min(most, ends_at - time.monotonic()))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _passed)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _passed(_signal: int, _frame: FrameType | None) -> None:
    raise DeadlinePassed
