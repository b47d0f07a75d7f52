"""Waiting: every wait has a limit and a pause, and its failure tells what was last seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from labctl.errors import WaitTimeout

__all__ = [
    "Clock",
    "FakeClock",
    "Pending",
    "SystemClock",
    "allow_for",
    "patience",
    "stretched",
    "unhurried",
    "wait_until",
]

T = TypeVar("T")
MOST_PATIENCE = 100.0
MOST_BUSY = 4.0

_slowness = 1.0


def patience() -> float:
    """By how much every limit is stretched: `$LABCTL_PATIENCE` where it is said, else what `allow_for` was told."""
    try:
        return min(max(1.0, float(os.environ["LABCTL_PATIENCE"])), MOST_PATIENCE)
    except (KeyError, ValueError):
        return _slowness


def allow_for(slowness: float) -> None:
    """Stretch every limit of this process from now on, for a lab whose machines are that many times slower."""
    global _slowness  # a limit belongs to no object, and a slow lab concerns them all
    _slowness = min(max(1.0, slowness), MOST_PATIENCE)


def stretched(limit: float) -> float:
    """Return a limit, in seconds, stretched by `patience`; `wait_until` does that itself."""
    return limit * patience()


def unhurried(limit: float) -> float:
    """Return a limit for an answer, in seconds, stretched by `patience`, and further while this machine is busy.

    What comes late on a machine whose processors have long queues is no silence.
    """
    queue = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0  # Windows has none
    busy = min(max(1.0, queue / 2), MOST_BUSY)
    return stretched(limit) if busy == 1 else max(stretched(limit), round(stretched(limit) * busy))


class Pending(Exception):
    """Raised by a probe whose answer is "not yet"; the text is what was seen."""


class Clock(Protocol):
    """Time, so that tests need not spend it."""

    def now(self) -> float:
        """Seconds since some fixed point, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed point, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)


class FakeClock:
    """A clock for tests: sleeping moves it at once."""

    def __init__(self, start: float = 0.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the time it was moved to."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move the clock by `seconds`, and remember that."""
        self.slept.append(seconds)
        self.time += seconds


def wait_until(
    what: str,
    probe: Callable[[], T],
    *,
    limit: float,
    pause: float = 0.1,
    longest_pause: float | None = None,
    clock: Clock | None = None,
    noted: Callable[[str], None] | None = None,
    hint: str | None = None,
) -> T:
    """Call `probe` until it returns a value, and return that.

    The probe says "not yet" by raising `Pending` with what it saw; any other error ends the wait at
    once. `limit` (stretched by `patience`) and `pause` are in seconds; the pause grows by half each time, up
    to `longest_pause` (five times `pause` where not given). `noted` hears each new thing seen, for progress.

    Raises WaitTimeout with what was last seen, when the limit is reached.
    """
    clock = clock or SystemClock()
    longest = longest_pause if longest_pause is not None else pause * 5
    limit = stretched(limit)
    deadline = clock.now() + limit
    last_seen = ""
    while True:
        try:
            return probe()
        except Pending as pending:
            seen = str(pending) or "nothing"
        if seen != last_seen and noted is not None:
            noted(seen)
        last_seen = seen
        left = deadline - clock.now()
        if left <= 0:
            raise WaitTimeout(what, limit, last_seen, hint=hint)
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)
