"""A job that is cancelled takes its lab with it: SIGTERM and SIGHUP end the session as Ctrl-C does.

Python alone would end at once at these. What whoever started pytest has decided about them stays.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

__all__ = ["hear_no_more", "heed_signals", "unhurried"]

NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
HEARD = pytest.StashKey[list[int]]()


def heed_signals(config: pytest.Config, has_lab: Callable[[], bool]) -> None:
    """End the session by KeyboardInterrupt at these signals while `has_lab`; else let them do what they do."""
    if HEARD in config.stash or threading.current_thread() is not threading.main_thread():
        return

    def heed(number: int, _frame: FrameType | None) -> None:
        if has_lab():
            raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    config.stash[HEARD] = []
    for name in NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, heed)
            config.stash[HEARD].append(number)


def hear_no_more(config: pytest.Config) -> None:
    """Let the signals be what they were."""
    for number in config.stash.get(HEARD, []):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def unhurried(tell: Callable[[], None]) -> Iterator[None]:
    """A block that the first Ctrl-C, SIGTERM or SIGHUP does not cut short: `tell` says so. The second does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", *NAMES) if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt
        tell()

    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
