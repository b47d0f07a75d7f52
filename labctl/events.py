"""What happened, as values. The command line, JSON and later the browser all draw the same events.

A long piece of work is a list of named steps (`Steps`). While one runs, something is said at least
every `Steps.quiet` seconds, so that nobody stares at a silent terminal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

__all__ = [
    "CheckFinished",
    "CommandShown",
    "Emit",
    "Event",
    "NodeJoined",
    "NodeReady",
    "NodeRemoved",
    "NodeStarted",
    "Noted",
    "StepFinished",
    "StepProgress",
    "StepStarted",
    "Steps",
    "TaskConverged",
    "Warned",
    "quiet",
    "to_dict",
]


@dataclass(frozen=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True)
class StepStarted(Event):
    """A step with a name that a user sees has begun: number `number` of `total`."""

    step: str
    number: int
    total: int


@dataclass(frozen=True)
class StepProgress(Event):
    """The step goes on; `note` is the last thing seen, `seconds` how long it has taken so far."""

    step: str
    note: str
    seconds: float


@dataclass(frozen=True)
class StepFinished(Event):
    """The step is done, in `seconds`; `note` is what came of it, where there is something to say."""

    step: str
    number: int
    total: int
    seconds: float
    ok: bool = True
    note: str = ""


@dataclass(frozen=True)
class NodeStarted(Event):
    """The node's machine runs; its engine does not answer yet."""

    node: str


@dataclass(frozen=True)
class NodeReady(Event):
    """The node's engine answers."""

    node: str
    version: str


@dataclass(frozen=True)
class NodeJoined(Event):
    """The node is in the swarm, as `role`."""

    node: str
    role: str


@dataclass(frozen=True)
class NodeRemoved(Event):
    """The node is gone, with all that was its own."""

    node: str


@dataclass(frozen=True)
class TaskConverged(Event):
    """A service has `running` of `wanted` tasks; `reason` is the scheduler's own where some are missing.

    `count` is how Docker counts them where tasks have completed: 0/1 (1/1 completed).
    """

    service: str
    running: int
    wanted: int
    reason: str = ""
    count: str = ""


@dataclass(frozen=True)
class CheckFinished(Event):
    """A check of an exercise's step gave its answer: done, not-yet, wrong or broken."""

    step: str
    check: str
    outcome: str
    message: str = ""


@dataclass(frozen=True)
class CommandShown(Event):
    """A command as a person would type it. `where` is the node it runs on, or "host"."""

    where: str
    command: str


@dataclass(frozen=True)
class Noted(Event):
    """Worth saying, nothing to do."""

    text: str


@dataclass(frozen=True)
class Warned(Event):
    """Something that a user should know before it hurts."""

    text: str


Emit = Callable[[Event], None]


def quiet(_event: Event) -> None:
    """Hear an event and say nothing."""


def to_dict(event: Event) -> dict[str, object]:
    """Return the event as JSON can carry it; `event` holds its kind."""
    return {"event": type(event).__name__, **asdict(event)}


class Steps:
    """Runs named steps one after the other and tells of them.

    `total` is how many there will be. While a step runs, a StepProgress is emitted at least every
    `quiet` seconds with the last note (`note()` sets it, from any thread).
    """

    def __init__(self, emit: Emit, total: int, *, quiet: float = 1.0) -> None:
        self._emit = emit
        self._total = total
        self._quiet = quiet
        self._number = 0
        self._note = ""
        self._last_word = time.monotonic()
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        """Pass an event on; it counts as a sign of life. Safe from any thread."""
        with self._lock:
            self._last_word = time.monotonic()
            self._emit(event)

    def note(self, text: str) -> None:
        """Remember what the step is at; it is told with the next sign of life."""
        self._note = text

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run the block as the next step, called `name`."""
        self._number += 1
        number, began = self._number, time.monotonic()
        self._note = ""
        self.emit(StepStarted(name, number, self._total))
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, began, over), daemon=True)
        ticker.start()
        ok = False
        try:
            yield
            ok = True
        finally:
            over.set()
            ticker.join()
            took = time.monotonic() - began
            self.emit(StepFinished(name, number, self._total, took, ok, self._note))

    def _tick(self, name: str, began: float, over: threading.Event) -> None:
        while not over.wait(self._quiet / 4):
            if time.monotonic() - self._last_word >= self._quiet:
                self.emit(StepProgress(name, self._note, time.monotonic() - began))
