"""A node that the swarm waits for in vain: its own engine knows, and nobody need wait for the whole limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labctl.errors import LabError
from labctl.node import Node
from labctl.swarm.states import memberships, state_problems
from labctl.waiting import Clock, SystemClock, stretched

__all__ = ["Stuck"]

ASK_AFTER = 5.0  # seconds; by then most are there, and need not be asked
# Seconds. To be let in takes one or two; a worker whose managers were away may stay so for ever (moby#33580).
LET_IN_LIMIT = 30.0
LEFT_LIMIT = 10.0  # seconds; one that is in no swarm at all was not let in, or has left
LIMITS = {"pending": LET_IN_LIMIT, "inactive": LEFT_LIMIT}


class Stuck:
    """Asks the engines of nodes that are not ready yet, now and then while they are waited for."""

    def __init__(self, nodes: Sequence[Node], clock: Clock | None = None) -> None:
        self._nodes = [node for node in nodes if node.is_running]
        self._clock = clock or SystemClock()
        self._asked = self._clock.now()
        self._since: dict[str, float] = {}

    def check(self, missing: Collection[str]) -> None:
        """Raise LabError, with what helps, for those that no longer wait helps: each in a line."""
        now = self._clock.now()
        if now - self._asked < stretched(ASK_AFTER):
            return
        seen = memberships([node for node in self._nodes if node.name in missing])
        self._since = {name: self._since.get(name, now) for name, one in seen.items() if one.state in LIMITS}
        self._asked = self._clock.now()
        told = state_problems(seen)
        lost = [
            told[name]
            for name, one in seen.items()
            if name in told
            and (one.state == "error" or now - self._since.get(name, now) >= stretched(LIMITS.get(one.state, 0)))
        ]
        if lost:
            raise LabError("\n".join(lost))
