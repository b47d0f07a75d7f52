"""A learner's way through an exercise: which step is next, hints one after the other, check, solve, begin anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from labctl.checks.observer import FOLDER as OBSERVERS
from labctl.checks.report import CheckReport
from labctl.checks.runner import CheckRun, Heard, Observe, Request, run_checks
from labctl.concurrent import each
from labctl.events import Emit
from labctl.exercise.model import Exercise, Step
from labctl.exercise.progress import Progress, forget
from labctl.exercise.stage import Stage, close_ports, known_urls, prepare
from labctl.lab import Lab

__all__ = ["Hint", "Session", "check_all", "check_step", "hold_step"]


@dataclass(frozen=True)
class Hint:
    """A hint, and how many of how many it is."""

    number: int
    total: int
    text: str


@dataclass
class Session:
    """An exercise, a lab that is ready for it, and what the learner has done."""

    stage: Stage
    progress: Progress

    @classmethod
    def begin(cls, lab: Lab, exercise: Exercise, emit: Emit, note: Callable[[str], None]) -> Self:
        """Make the lab ready and go on where the learner was. Raises UsageError when the lab lacks nodes."""
        stage = prepare(lab, exercise, emit, note)
        session = cls(stage, Progress.of(lab.name, exercise))
        session.progress.save()
        return session

    @classmethod
    def resume(cls, lab: Lab, exercise: Exercise, emit: Emit) -> Self:
        """Go on with an exercise that was begun, without making anything ready."""
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
        """Whether every step was done once."""
        return len(self.progress.done) == len(self.exercise.steps)

    def following(self) -> Step | None:
        """The step after the current one; None at the end."""
        number = self.exercise.number(self.current)
        return self.exercise.steps[number] if number < len(self.exercise.steps) else None

    def go_to(self, step: Step) -> None:
        """Make a step the current one."""
        self.progress.current = step.id
        self.progress.save()

    def check(self, step: Step) -> CheckReport:
        """Ask the step's checks now, probes too, and remember whether it is done."""
        report = check_step(self.stage, step, observe="keep")
        self.note(step, report)
        return report

    def note(self, step: Step, report: CheckReport) -> None:
        """Remember what a report says of a step."""
        self.progress.mark(step, done=report.is_done)
        self.progress.save()

    def note_all(self, report: CheckReport) -> None:
        """Remember what a report says of every step, and go to the first one that is not done."""
        for step in self.exercise.steps:
            self.progress.mark(step, done=report.of_step(step.id).is_done)
        left = [step for step in self.exercise.steps if step.id not in self.progress.done]
        self.progress.current = (left or self.exercise.steps[-1:])[0].id
        self.progress.save()

    def next_hint(self, step: Step) -> Hint | None:
        """The next hint of the step, the last one again when all were shown; None where there are none."""
        if not step.hints:
            return None
        number = min(self.progress.hints.get(step.id, 0) + 1, len(step.hints))
        self.progress.hints[step.id] = number
        self.progress.save()
        return Hint(number, len(step.hints), self.stage.fill(step.hints[number - 1]))

    def reset(self) -> None:
        """Take away what the exercise made in the lab, and what was remembered of it. Raises CommandFailed."""
        for fence in self.exercise.reset:
            self.stage.run(fence)
        close_ports(self.stage.lab, self.exercise)
        place = self.exercise.place
        running = [node for node in self.stage.lab.refresh().nodes if node.is_running]
        observers = f"{OBSERVERS}/{self.exercise.checks.stem}-*"
        ended = f"for pid in {observers}/pid; do [ -e $pid ] && kill -- -$(cat $pid) 2>/dev/null; done"
        each(running, lambda node: node.transport.run(f"{ended}; rm -rf {place} {observers}"))
        forget(self.stage.lab.name, self.exercise)


def check_step(
    stage: Stage, step: Step, *, wait: float = 0.0, observe: Observe = "no", heard: Heard | None = None
) -> CheckReport:
    """Run the checks of one step; see Request."""
    return run_checks(_request(stage, step, wait, observe), heard=heard).of_step(step.id)


def hold_step(stage: Stage, step: Step, *, wait: float, observe: Observe, heard: Heard) -> CheckRun:
    """Get the checks of a step ready, to begin them at `go`."""
    return CheckRun(_request(stage, step, wait, observe), heard=heard, hold=True)


def _request(stage: Stage, step: Step, wait: float, observe: Observe) -> Request:
    return Request(
        stage.exercise.checks,
        stage.lab.name,
        steps=(step.id,),
        wait=wait,
        observe=observe,
        nodes=stage.exercise.front.lab.names,
    )


def check_all(stage: Stage, *, wait: float = 0.0, heard: Heard | None = None) -> CheckReport:
    """Run all checks of the exercise."""
    return run_checks(
        Request(stage.exercise.checks, stage.lab.name, wait=wait, nodes=stage.exercise.front.lab.names), heard=heard
    )
