"""All that one server has: the lab, its consoles, the lesson; and what a page asks of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labctl.concurrent import within
from labctl.errors import LabctlError, UsageError
from labctl.events import Event, StepProgress, StepStarted, Warned
from labctl.exercise.run import Run
from labctl.lab import Lab
from labctl.transport import Terminal
from labctl.waiting import unhurried
from labctl.web.console import Console
from labctl.web.deeds import DEEDS, QUIET
from labctl.web.hub import Hub
from labctl.web.lesson import Lesson
from labctl.web.scene import Scene

__all__ = ["Desk"]

MOST_CONSOLES = 100
MOST_AT_ONCE = 40  # things that are done for pages
END_LIMIT = 15.0  # seconds that ending all shells may take


class Desk:
    """What the pages of a server share."""

    def __init__(self, lab: Lab, run: Run | None, language: str = "en") -> None:
        self.hub = Hub()
        self.lab = lab
        self.scene = Scene(lab, self.hub)
        self.scene.on_back = self._nudge
        self.lesson = Lesson(run, self.hub, language) if run is not None else None
        self.pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="labctl-web")
        self._consoles: dict[str, Console] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def start(self) -> None:
        """Begin to follow the lab and the run."""
        self.hub.tell({"type": "hello", "lab": self.lab.name, "exercise": self.lesson is not None}, keep=True)
        self.scene.start()
        if self.lesson is not None:
            threading.Thread(target=self._begin_lesson, name="labctl-web-begin", daemon=True).start()

    def _begin_lesson(self) -> None:
        """Setting up the first step may take a while, and the page need not wait for it."""
        assert self.lesson is not None
        try:
            self.lesson.start()
        except LabctlError as problem:
            self.hub.tell({"type": "trouble", "text": problem.message}, keep=True)

    def close(self) -> None:
        """End what runs for pages: shells and the watching. The lab stays."""
        with self._lock:
            self._is_over, consoles = True, list(self._consoles.values())
        self.scene.close()
        if self.lesson is not None:
            self.lesson.run.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        within(unhurried(END_LIMIT), *(console.close for console in consoles))

    # -- terminals

    def console(self, name: str, size: tuple[int, int]) -> Console:
        """The terminal of a node, which is opened where it is not. Raises NotFoundError for no such node."""
        with self._lock:
            known = self._consoles.get(name)
        if known is not None:
            known.resize(*size)
            return known
        self.scene.now().node(name)
        with self._lock:
            if self._is_over or len(self._consoles) >= MOST_CONSOLES:
                raise UsageError("no more terminals are opened here")
            if name not in self._consoles:
                console = Console(name, lambda rows, columns: self._open(name, rows, columns), self._tell_console)
                self._consoles[name] = console
                console.resize(*size)
                console.start()
            return self._consoles[name]

    def _open(self, name: str, rows: int, columns: int) -> Terminal:
        return self.scene.now().node(name).terminal(rows=rows, columns=columns)

    def _tell_console(self, console: Console) -> None:
        self.hub.tell({"type": "terminal", "node": console.node, "state": console.state, "why": console.why})

    def _nudge(self, node: str) -> None:
        with self._lock:
            console = self._consoles.get(node)
        if console is not None:
            console.nudge()

    # -- what a page asks

    def do(self, verb: str, said: Mapping[str, Any]) -> Any:
        """Do what a page asks, and return what it is told. Raises LabctlError. It may take minutes."""
        if verb not in DEEDS:
            if self.lesson is None:
                raise UsageError(f"the page asked for {verb!r}, which means nothing without an exercise")
            return self.lesson.ask(verb, said)
        try:
            return DEEDS[verb](self.scene.now(), said, lambda event: self._tell_progress(verb, said, event))
        finally:
            if verb not in QUIET:
                self.scene.look(faults=True)

    def _tell_progress(self, verb: str, said: Mapping[str, Any], event: Event) -> None:
        text = ""
        match event:
            case StepStarted():
                text = event.step
            case StepProgress():
                text = f"{event.step}: {event.note}"
            case Warned():
                text = event.text
        if text:
            self.hub.tell({"type": "doing", "verb": verb, "node": said.get("node", ""), "text": text})
