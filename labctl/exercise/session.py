"""A learner's way through an exercise: which step is next, hints one after the other, check, solve, begin anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from labctl.checks.observer import FOLDER as OBSERVERS
from labctl.checks.report import CheckReport, CheckResult
from labctl.concurrent import each
from labctl.errors import UsageError
from labctl.events import Emit, Warned
from labctl.exercise.checking import check_step, set_up
from labctl.exercise.model import Exercise, Step
from labctl.exercise.progress import Progress, forget, note_ever, noted_by_newer
from labctl.exercise.questions import LONGEST, Judged
from labctl.exercise.stage import Stage, close_ports, known_urls, prepare
from labctl.lab import Lab

__all__ = ["Hint", "Session"]

# Arrow keys and Escape leave these in a line that is typed; none of them is meant.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Hint:
    """A hint, and how many of how many it is; one that a check gave to what it found has no number."""

    number: int
    total: int
    text: str


@dataclass
class Session:
    """An exercise, a lab that is ready for it, and what the learner has done."""

    stage: Stage
    progress: Progress
    _told_hint: str = ""  # the last one that a check gave

    @classmethod
    def begin(cls, lab: Lab, exercise: Exercise, emit: Emit, note: Callable[[str], None]) -> Self:
        """Make the lab ready and go on where the learner was. Raises UsageError when the lab lacks nodes."""
        stage = prepare(lab, exercise, emit, note)
        _warn_of_newer(lab.name, exercise, emit)
        session = cls(stage, Progress.of(lab.name, exercise))
        session.progress.save()
        return session

    @classmethod
    def resume(cls, lab: Lab, exercise: Exercise, emit: Emit) -> Self:
        """Go on with an exercise that was begun, without making anything ready."""
        _warn_of_newer(lab.name, exercise, emit)
        return cls(Stage(lab, exercise, emit, known_urls(lab, exercise)), Progress.of(lab.name, exercise))

    @property
    def exercise(self) -> Exercise:
        """The exercise."""
        return self.stage.exercise

    @property
    def current(self) -> Step:
        """The step that the learner is at."""
        return self.exercise.step(self.progress.current)

    @property
    def is_finished(self) -> bool:
        """Whether every step that has to be done was done once."""
        return self.left() is None

    def following(self) -> Step | None:
        """The step after the current one; None at the end."""
        number = self.exercise.number(self.current)
        return self.exercise.steps[number] if number < len(self.exercise.steps) else None

    def left(self) -> Step | None:
        """The first step that has to be done and was not; None where all were."""
        return next((step for step in self.exercise.required if step.id not in self.progress.done), None)

    def previous(self) -> Step | None:
        """The step before the current one; None at the beginning."""
        number = self.exercise.number(self.current)
        return self.exercise.steps[number - 2] if number > 1 else None

    def go_to(self, step: Step) -> None:
        """Make a step the current one."""
        self.progress.current = step.id
        self.progress.save()

    def wants_set_up(self, step: Step) -> bool:
        """Whether a step has something to be set up first, and that was not done yet."""
        return bool(step.setup) and step.id not in self.progress.prepared

    def set_up(self, step: Step) -> None:
        """Run what a step wants to have happened before the learner sees it, once, and see that its checks tell it.

        Raises LabError when it cannot be run, or when the checks are content all the same; NodeDown.
        """
        if not self.wants_set_up(step):
            return
        set_up(self.stage, step)
        self.progress.prepared.append(step.id)
        self.progress.save()

    def check(self, step: Step) -> CheckReport:
        """Ask the step's checks now, probes too, and remember whether it is done. A step that was not set up is first.

        Raises as `set_up` does.
        """
        self.set_up(step)
        report = check_step(self.stage, step, observe="keep")
        self.note(step, report)
        return report

    def answer(self, step: Step, question: str, text: str) -> Judged:
        """Take an answer. Raises NotFoundError for a question that is not there, UsageError for what is none."""
        asked = step.question(question)
        text = CONTROL.sub("", text).strip()
        if not text or len(text) > LONGEST:
            raise UsageError(f"an answer has 1 to {LONGEST} characters")
        asked = asked.filled(self.stage.fill)
        if not asked.takes(text):
            raise UsageError(f"{text!r} is none of the choices: type one of {', '.join(asked.letters)}")
        self.stage.answers.note(asked.id, text)
        return asked.judge(text)

    def note(self, step: Step, report: CheckReport, *, is_learner: bool = True) -> bool:
        """Remember that a step is done if a report says so; true where that is news."""
        if not report.is_done:
            return False
        is_news = self.progress.mark(step)
        if is_news:
            self.progress.save()
            if is_learner:  # what `--auto` did is done in this lab, and nobody's work
                note_ever(self.exercise.id, step.id)
        return is_news

    def note_all(self, report: CheckReport, *, is_learner: bool = True) -> None:
        """Remember what a report says of every step, and go to the first one that is not done."""
        for step in self.exercise.steps:
            self.note(step, report.of_step(step.id), is_learner=is_learner)
        self.progress.current = (self.left() or self.exercise.steps[-1]).id
        self.progress.save()

    def has_news(self, found: CheckResult | None) -> bool:
        """Whether a check has a hint to what it found, and it was not told yet."""
        return found is not None and bool(found.hint) and found.hint != self._told_hint

    def next_hint(self, step: Step, found: CheckResult | None = None) -> Hint | None:
        """The next hint of the step, the last one again when all were shown; None where there are none.

        What a check said to just what it `found` comes first, once; again only where the step has no hints.
        """
        own = found.hint if found is not None else ""
        if own and (self.has_news(found) or not step.hints):
            self._told_hint = own
            return Hint(0, 0, self.stage.fill(own))
        if not step.hints:
            return None
        number = min(self.progress.hints.get(step.id, 0) + 1, len(step.hints))
        self.progress.hints[step.id] = number
        self.progress.save()
        return Hint(number, len(step.hints), self.stage.fill(step.hints[number - 1]))

    def reset(self) -> None:
        """Take away what the exercise made in the lab, and what was remembered of it. Raises CommandFailed."""
        self.take_away()
        forget(self.stage.lab.name, self.exercise)

    def take_away(self) -> None:
        """Bring the lab back to how it was: take away what the exercise made there. Raises CommandFailed."""
        for fence in self.exercise.reset:
            self.stage.run(fence)
        close_ports(self.stage.lab, self.exercise)
        place = self.exercise.place
        running = [node for node in self.stage.lab.refresh().nodes if node.is_running]
        observers = f"{OBSERVERS}/{self.exercise.checks.stem}-*"
        ended = f"for pid in {observers}/pid; do [ -e $pid ] && kill -- -$(cat $pid) 2>/dev/null; done"
        each(running, lambda node: node.transport.run(f"{ended}; rm -rf {place} {observers}"))


def _warn_of_newer(lab: str, exercise: Exercise, emit: Emit) -> None:
    """Say that what a newer labctl noted is not lost, and why the learner is at the first step all the same."""
    if file := noted_by_newer(lab, exercise.id):
        told = f"what you have done of {exercise.id} in lab {lab} was noted by a newer labctl: {file.name}"
        told = f"{told} is kept as {file}.unread, and you begin at the first step"
        emit(Warned(f"{told}; to go on where you were, update labctl and rename that file back"))
