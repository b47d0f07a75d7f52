"""How often the agent looks at the networkdb: seldom while all is quiet, often while tasks move."""

from __future__ import annotations

__all__ = ["Pace"]

# A task that moves is gossiped for about a second. Looks in that time that find nothing grow rarer, so that
# a long storm of gossip about other things (many nodes joining) costs little.
BUSY_EVERY = 0.1
STORM_EVERY = 0.3
# Where no task is yet, none can be left too late: looks in a long storm (many nodes joining) grow rarer still. Slowly:
# a small lab's first task comes after a second or two, and is waited for.
SLOWER = 1.05
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
        self._busy_every = BUSY_EVERY
        self._stirred = float("-inf")
        self._looked = float("-inf")
        self._not_before = float("-inf")

    def stir(self, now: float) -> None:
        """Something happened: look often for a while."""
        if now - self._stirred > BUSY_FOR:
            self._busy_every = BUSY_EVERY
        self._stirred = now

    def is_busy(self, now: float) -> bool:
        """Tell whether it looks often now, whatever else is heard."""
        return now < self._stirred + BUSY_FOR

    def put_off(self, until: float) -> None:
        """Do not look again before `until`: something failed."""
        self._not_before = until

    def looked(self, now: float, *, found: bool, serving: bool = True) -> None:
        """The networkdb was read at `now`; `found` tells whether it had changed, `serving` whether it has tasks."""
        self._looked = now
        if found:
            self._busy_every, self._stirred = BUSY_EVERY, now
        elif serving or self._busy_every < STORM_EVERY:
            self._busy_every = min(2 * self._busy_every, STORM_EVERY)
        else:
            self._busy_every = min(SLOWER * self._busy_every, self._quiet_every)

    def next_look(self, now: float) -> float:
        """Return when to read the networkdb next."""
        return max(self._looked + (self._busy_every if self.is_busy(now) else self._quiet_every), self._not_before)

    def nap(self, now: float, *, other: float | None = None) -> float:
        """Return for how many seconds there is nothing to do; `other` is when something else is due."""
        times = [self.next_look(now), now + GLANCE_EVERY]
        if other is not None:
            times.append(other)
        return max(0.0, min(times) - now)
