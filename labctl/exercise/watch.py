"""The guided loop: shows a step, watches its checks while the learner works elsewhere, and listens to single keys.

What it looks like is the Screen's affair; what keys there are, and what they do, is decided here. Only keys that do
something now are offered, and nobody is moved on: `n` is the learner's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from labctl.checks.report import CheckReport, CheckResult, told
from labctl.checks.runner import CheckRun, Observe, Request
from labctl.errors import LabError
from labctl.exercise.model import Step
from labctl.exercise.session import Session, check_all
from labctl.words import counted

__all__ = ["Screen", "View", "Watch"]

TICK = 0.2  # seconds between two looks at the keyboard


@dataclass(frozen=True)
class View:
    """What the learner sees below the text: the checks, the first failure in words, and the keys that work."""

    number: int
    total: int
    title: str
    checks: tuple[CheckResult, ...]
    failure: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    is_done: bool
    steps_done: int


class Screen(Protocol):
    """Where the learner looks and types."""

    def show(self, markdown: str) -> None:
        """Show text that stays."""
        ...

    def draw(self, view: View) -> None:
        """Draw the live part, in the place of what was drawn before."""
        ...

    def key(self, seconds: float) -> str:
        """Return the key that is pressed within so many seconds; empty for none."""
        ...


@dataclass
class Watch:
    """Guides a learner through an exercise on a screen."""

    session: Session
    screen: Screen
    _run: CheckRun | None = None
    _report: CheckReport = field(default_factory=lambda: CheckReport(()))
    _trouble: str = ""
    _going: bool = True

    def run(self) -> int:
        """Guide until the learner quits or all is done; returns the exit code."""
        if not self.session.progress.done:
            self._show(self.session.exercise.intro)
        try:
            self._enter(self.session.current, observe="keep")
            while self._going:
                self._look()
                self.screen.draw(self._view())
                self._act(self.screen.key(TICK))
        finally:
            self._close()
        return 0

    @property
    def _step(self) -> Step:
        return self.session.current

    @property
    def _is_done(self) -> bool:
        return self._step.id in self.session.progress.done

    # -- what goes on

    def _enter(self, step: Step, *, observe: Observe) -> None:
        """Show a step and begin to watch it."""
        self._close()
        self.session.go_to(step)
        self._report = CheckReport(())
        number, total = self.session.exercise.number(step), len(self.session.exercise.steps)
        self._show(f"## {number} of {total}: {step.title}\n\n{step.text}")
        self._watch(observe)

    def _watch(self, observe: Observe) -> None:
        self._trouble = ""
        request = Request(
            self.session.exercise.checks,
            self.session.stage.lab.name,
            steps=(self._step.id,),
            probes=False,
            observe=observe,
            nodes=self.session.exercise.front.lab.names,
        )
        self._run = CheckRun(request, watch=True)

    def _look(self) -> None:
        """Take in what the checks have said."""
        if self._run is None:
            return
        over = self._run.is_over
        if over:
            try:
                self._report = self._run.result().of_step(self._step.id)
            except LabError as broken:
                self._trouble = broken.message
            self._run = None
        else:
            self._report = self._run.report().of_step(self._step.id)
        if self._report.is_done and not self._is_done:
            self.session.note(self._step, self._report)

    def _close(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None

    # -- what is seen

    def _view(self) -> View:
        exercise, step = self.session.exercise, self._step
        results = tuple(result for result in self._report.results if not result.guard or result.outcome == "broken")
        failure = (self._trouble,) if self._trouble else tuple(told(self._report))
        return View(
            number=exercise.number(step),
            total=len(exercise.steps),
            title=step.title,
            checks=results,
            failure=failure,
            keys=tuple(self._keys().items()),
            is_done=self._is_done,
            steps_done=len(self.session.progress.done),
        )

    def _keys(self) -> dict[str, str]:
        """The keys that do something now."""
        keys: dict[str, str] = {}
        step = self._step
        if self._is_done:
            keys["n"] = "next" if self.session.following() else "finish"
        shown = self.session.progress.hints.get(step.id, 0)
        if step.hints and not self._is_done:
            keys["h"] = f"hint {min(shown + 1, len(step.hints))} of {len(step.hints)}"
        keys["c"] = "check now"
        if step.solution:
            keys["s"] = "solution"
        return keys | {"l": "list", "q": "quit"}

    def _show(self, text: str) -> None:
        if text:
            self.screen.show(self.session.stage.fill(text))

    # -- what the learner asks for

    def _act(self, key: str) -> None:
        if key not in self._keys():
            return
        match key:
            case "n":
                self._next()
            case "h":
                hint = self.session.next_hint(self._step)
                assert hint is not None  # the key was offered
                self._show(f"**Hint {hint.number} of {hint.total}.** {hint.text}")
            case "c":
                self._check_now()
            case "s":
                self._show(f"**Solution.**\n\n{self._step.solution}")
            case "l":
                self._show(self._list())
            case _:
                self._going = False

    def _next(self) -> None:
        following = self.session.following()
        if following is not None:
            self._enter(following, observe="fresh")
            return
        self._close()
        report = check_all(self.session.stage)
        self.session.note_all(report)
        self._show(self._ending(report))
        self._going = False

    def _check_now(self) -> None:
        if self._run is None:
            self._watch("keep")
        assert self._run is not None
        self._run.look_now()

    def _list(self) -> str:
        done, current = self.session.progress.done, self._step
        rows = [
            f"{'✓' if step.id in done else '○'} {number}. {step.title}{'  ← you are here' if step == current else ''}"
            for number, step in enumerate(self.session.exercise.steps, 1)
        ]
        return "  \n".join(rows)

    def _ending(self, report: CheckReport) -> str:
        hints = sum(self.session.progress.hints.values())
        told_hints = "no hint" if not hints else counted(hints, "hint")
        lines = [
            f"**{self.session.exercise.front.title}: done**, with {told_hints}. `labctl map` shows what you built."
        ]
        if not report.is_done:
            lines.append("One thing is no longer as it was: " + " ".join(told(report)))
        return "\n\n".join(lines)
