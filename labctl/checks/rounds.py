"""Watching: all checks of a step again and again, whenever something has happened in the lab.

A tick is what is true now, so that each round asks from the first check on. Between two rounds nothing is asked: the
lab's engines tell when something happens. What follows from it comes by and by, so a round follows soon, and others at
growing distances; then only seldom, for what no engine tells.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from labctl.checks.running import Running
    from labctl.lab import Lab

__all__ = ["Alarm", "watch"]

SOONEST = 0.25  # seconds; events come in bursts
PAUSES = (0.5, 0.5, 1.0, 1.0, 2.0, 4.0, 8.0)  # seconds between the rounds after something has happened
SELDOM = 30.0  # seconds between two rounds while nothing happens
AGAIN = 5.0  # seconds until a lab whose events cannot be followed is tried again
# What `Lab.events` does not tell; a manager does.
OBJECTS = {"type": ["secret", "config"]}


class Alarm:
    """Rings when something happens in the lab, and says how long to wait for that."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self.over = threading.Event()  # nobody wants to know any more
        self._quiet_rounds = 0

    def ring(self) -> None:
        """Something has happened."""
        self._rung.set()

    def end(self) -> None:
        """Nobody wants to know any more."""
        self.over.set()
        self._rung.set()

    def wait(self, most: float | None) -> None:
        """Wait until something happens, and no longer than is due; `most` seconds where that is less."""
        self.over.wait(SOONEST)
        due = PAUSES[self._quiet_rounds] if self._quiet_rounds < len(PAUSES) else SELDOM
        happened = self._rung.wait(min(due, most or due))
        self._rung.clear()
        self._quiet_rounds = 0 if happened else self._quiet_rounds + 1

    def follow(self, find: Callable[[], Lab]) -> None:
        """Ring at all that happens in the lab, from now on."""
        for listen in (self._listen_to_lab, self._listen_to_manager):
            threading.Thread(target=self._follow, args=(find, listen), daemon=True).start()

    def _follow(self, find: Callable[[], Lab], listen: Callable[[Lab], None]) -> None:
        while not self.over.is_set():
            with suppress(LabctlError):
                listen(find())
            self.over.wait(AGAIN)

    def _listen_to_lab(self, lab: Lab) -> None:
        with lab.events() as events:
            for _event in events:
                if self.over.is_set():
                    return
                self.ring()

    def _listen_to_manager(self, lab: Lab) -> None:
        for _event in lab.refresh().manager().engine.events(OBJECTS):
            self.ring()


def watch(session: pytest.Session, running: Running, all_done: Callable[[], None]) -> None:
    """Ask the checks of the session round by round until nobody wants to know any more.

    `all_done` is called once, after the first round in which every check was content.
    """
    items = session.items
    was_done = False
    over = running.alarm.over
    while items and not over.is_set():
        running.new_round()
        for number, item in enumerate(items):
            if over.is_set():
                return
            # After the last one nothing is kept of the round: a fixture of the exercise's own is asked for anew.
            following = items[number + 1] if number + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            _renew(item)
        if not was_done and running.is_done:
            was_done = True
            all_done()
        running.alarm.wait(running.shortest_pause)


def _renew(item: pytest.Item) -> None:
    """Let an item be run once more: its fixtures were taken down, and it is to ask for them again."""
    if isinstance(item, pytest.Function):
        item._initrequest()
