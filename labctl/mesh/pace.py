"""How often the agent looks at the networkdb: seldom while all is quiet, often while tasks move."""

from __future__ import annotations

__all__ = ["Pace"]

# A task that moves is gossiped for about a second; looking more often than this gains nothing.
BUSY_EVERY = 0.1
BUSY_FOR = 1.2
# The gossip bell makes this a safety net; without the bell it is all there is.
QUIET_EVERY = 0.9
DEAF_EVERY = 0.3
# How soon a namespace that came or went is noticed.
GLANCE_EVERY = 0.45


class Pace:
    """Decides when to look next. Times are monotonic seconds."""

    def __init__(self, *, deaf: bool) -> None:
        self._quiet_every = DEAF_EVERY if deaf else QUIET_EVERY
        self._busy_until = 0.0
        self._looked = float("-inf")
        self._not_before = float("-inf")

    def stir(self, now: float) -> None:
        """Something happened: look often for a while."""
        self._busy_until = now + BUSY_FOR

    def put_off(self, until: float) -> None:
        """Do not look again before `until`: something failed."""
        self._not_before = until

    def looked(self, now: float) -> None:
        """The networkdb was read at `now`."""
        self._looked = now

    def next_look(self, now: float) -> float:
        """Return when to read the networkdb next."""
        usual = self._looked + (BUSY_EVERY if now < self._busy_until else self._quiet_every)
        return max(usual, self._not_before)

    def nap(self, now: float, *, other: float | None = None) -> float:
        """Return for how many seconds there is nothing to do; `other` is when something else is due."""
        times = [self.next_look(now), now + GLANCE_EVERY]
        if other is not None:
            times.append(other)
        return max(0.0, min(times) - now)
