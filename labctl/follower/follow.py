"""The follower's loop: what is published is open, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from .files import (
    CANDIDATES,
    FIXED,
    PORTS,
    STATE,
    State,
    Way,
    Wish,
    drop_pins,
    load_json,
    read_pins,
    read_untils,
    save_json,
)
from .managers import ANSWER_LIMIT, CONNECT_LIMIT, ManagersError, Seen
from .plan import MOST_WAYS, is_free, plan

__all__ = ["Follower", "Proxy", "Swarm", "longest_silence"]

QUIET = 30.0  # seconds between two looks while nothing happens
NOBODY = 3.0  # while no manager answers
# A service's ports may be given a moment after the service is made, so a change is looked at again.
AFTER_CHANGE = (0.05, 0.4, 1.5)
TRIES = 5


def longest_silence(candidates: int) -> float:
    """For how many seconds a follower that is well may write nothing: a nap, a look at each candidate, and nginx."""
    return 2 * QUIET + candidates * (CONNECT_LIMIT + ANSWER_LIMIT)


class Swarm(Protocol):
    """Who knows what is published."""

    def look(self, candidates: Iterable[str]) -> Seen:
        """Say what is published. Raises ManagersError."""
        ...


class Proxy(Protocol):
    """Who carries the bytes."""

    def serve(self, ways: Sequence[Way], nodes: Sequence[str]) -> set[int]:
        """Carry these ways; returns the ports that turned out to be taken."""
        ...


class Follower:
    """Keeps the proxy as the swarm and the pins say."""

    def __init__(
        self,
        swarm: Swarm,
        proxy: Proxy,
        folder: str,
        *,
        beacon: tuple[int, str] = (0, ""),
        free: Callable[[int, str], bool] = is_free,
        most: int = MOST_WAYS,
    ) -> None:
        self._swarm = swarm
        self._proxy = proxy
        self._folder = folder
        self._free = free
        self._most = most
        self._listening: set[tuple[int, str]] = set()
        try:  # what the one before knew holds until a manager answers
            before = State.of(load_json(self._path(STATE)))
        except ValueError:
            before = State()
        self.state = before._replace(ways=(), source="", looks=0, beacon=beacon[0], token=beacon[1])
        self._again: list[float] = []

    def stir(self, now: float) -> None:
        """Something changed: look soon, and again a little later."""
        self._again = [now + pause for pause in AFTER_CHANGE]

    def nap(self, now: float) -> float:
        """How many seconds there is nothing to do."""
        usual = now + (QUIET if self.state.source else NOBODY)
        return max(0.0, min([usual, *self._again[:1]]) - now)

    def begin(self) -> None:
        """Open what was open before, ahead of any manager's answer."""
        self._finish(self.state)

    def step(self, now: float) -> None:
        """Look at the swarm and the pins, and do what they say."""
        self._again = [moment for moment in self._again if moment > now]
        state = self.state._replace(error="", source="")
        untils = read_untils(self._folder)  # before the look: of a later one's service it may not know
        try:
            seen = self._swarm.look([*state.managers, *self._candidates()])
            state = state._replace(
                published=seen.published, nodes=seen.nodes, managers=seen.managers, source=seen.source
            )
            drop_pins(self._folder, untils, seen.hosted)
        except ManagersError as problem:
            state = state._replace(error=str(problem))
        self._finish(state._replace(looks=state.looks + 1))

    def _finish(self, state: State) -> None:
        ways, warnings = self._serve(state)
        self.state = state._replace(ways=tuple(ways), warnings=tuple(warnings), updated=time.time())
        save_json(self._path(STATE), self.state.to_json())

    def _serve(self, state: State) -> tuple[list[Way], list[str]]:
        pins = read_pins(self._folder)
        nodes = state.nodes or tuple(self._candidates())
        fixed = load_json(self._path(FIXED))
        if fixed is not None:
            ways = [Way(*way) for way in fixed]
            self._proxy.serve(ways, nodes)
            return ways, []
        taken: set[int] = set()
        for _ in range(TRIES):
            ways, too_many = self._planned([*pins, *state.published], taken)
            found = self._proxy.serve(ways, nodes) if nodes else set()
            if not found:
                self._listening = {(way.host, way.protocol) for way in ways}
                warnings = [f"{too_many} published ports are not open here: {self._most} is the most"]
                return ways, warnings if too_many else []
            taken |= found
        return list(self.state.ways), [f"ports {sorted(taken)} of this host are taken again and again"]

    def _planned(self, wishes: Sequence[Wish], taken: set[int]) -> tuple[list[Way], int]:
        memory = dict(load_json(self._path(PORTS)) or {})
        before = dict(memory)
        free = lambda port, protocol: port not in taken and self._free(port, protocol)  # noqa: E731  # three words
        ways, too_many = plan(wishes, memory, self._listening, free=free, most=self._most)
        if memory != before:
            save_json(self._path(PORTS), memory)
        return ways, too_many

    def _candidates(self) -> list[str]:
        return [str(address) for address in load_json(self._path(CANDIDATES)) or ()]

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)
