"""`--auto`: look at every step, solve what is not done by the exercise's own code blocks, and check it all."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace

from labctl.checks.report import CheckReport, CheckResult, joined, told
from labctl.checks.runner import CheckRun, Heard, Observe
from labctl.errors import LabctlError, LabError, NotYetError
from labctl.events import CheckFinished, Emit, Steps, quiet
from labctl.exercise.checking import check_all, check_step, hold_step, set_up, with_answers
from labctl.exercise.model import Step
from labctl.exercise.stage import Stage
from labctl.waiting import stretched
from labctl.words import counted

__all__ = ["SOLVE_LIMIT", "Player", "failure", "tell"]

SOLVE_LIMIT = 180.0  # seconds from the last code block of a step to its checks being content

FAILED = ("not-yet", "wrong")
END_LIMIT = 10.0  # seconds that a step which was done may take to be so again


@dataclass
class Player:
    """Plays an exercise on a stage.

    `report` is what is known of its checks by now, `played` what was solved, `seconds` how long each step took until
    its checks were content. `seen` are the steps that were seen done before: of one that a later step may take back,
    and of one that is set up first, only that tells.
    """

    stage: Stage
    emit: Emit
    limit: float = field(default_factory=lambda: stretched(SOLVE_LIMIT))
    seen: set[str] = field(default_factory=set)
    played: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    _reports: list[CheckReport] = field(default_factory=list)
    _held: dict[str, CheckRun | None] = field(default_factory=dict)
    _ahead: list[str] = field(default_factory=list)  # steps whose turn has not come

    @property
    def report(self) -> CheckReport:
        """The last answer of every check; those of a step whose turn did not come are not run, unless they passed."""
        whole = joined(self._reports)
        return replace(whole, results=tuple(self._as_far_as_played(result) for result in whole.results))

    def _as_far_as_played(self, result: CheckResult) -> CheckResult:
        if self._was_enough(result):
            return replace(result, outcome="done", message="", found="", look="")
        if result.step not in self._ahead or result.is_done or result.guard:
            return result
        return replace(result, outcome="not-run", message="its step was not reached", found="", look="")

    def play(self) -> None:
        """Solve every step that is not done, in order, and check all of them at the end.

        Where all is done already nothing is changed. Raises NotYetError when a step's checks are not content after
        its solution, LabError when the lab is broken.
        """
        exercise = self.stage.exercise
        steps = self._steps(len(exercise.steps) + 2)
        with steps.step("Checking what is there"):
            report = self._known(check_all(self.stage))
            _refuse_broken_guard(report)
            todo = [step for step in exercise.steps if not self._is_done(step, report)]
            steps.note("already solved: checked only" if not todo else f"{len(todo)} of {len(exercise.steps)} to do")
        if not todo:
            for result in report.results:
                tell(self.emit, result)
            return
        self._ahead = [step.id for step in todo]
        try:
            for step in exercise.steps:
                with steps.step(step.title):
                    if step in todo:
                        later = todo[todo.index(step) + 1 :]
                        self._solve(step, report, steps, following=later[0] if later else None)
                    else:
                        steps.note("done before")
        finally:
            self._drop_held()
        with steps.step("Checking everything once more"):
            self._check_end(steps)

    def _check_end(self, steps: Steps) -> None:
        """Check all steps; solving an early one may have undone a later one, which is then solved again, once.

        What a later step takes away by right is not waited for: that step was seen done.
        """
        lasting = [step for step in self.stage.exercise.steps if not step.passing]
        wait = min(stretched(END_LIMIT), self.limit)
        report = self._known(check_all(self.stage, wait=wait, heard=_heard(quiet, steps), steps=lasting))
        again = [step for step in self.stage.exercise.steps if not self._is_done(step, report)]
        for step in again if report.outcome != "broken" else ():
            self._solve(step, report, steps)
        self._known(check_all(self.stage) if again else report)
        if not self.report.is_done:
            raise failure(self.report)
        steps.note(counted(len(report.results), "check"))

    def _is_done(self, step: Step, report: CheckReport) -> bool:
        """Whether nothing has to be done for a step."""
        if step.passing:
            return step.id in self.seen
        return report.of_step(step.id).is_done and (not step.setup or step.id in self.seen)

    def _was_enough(self, result: CheckResult) -> bool:
        """Whether a check that is not content now was so when its step was done, and need not be any more."""
        step = next((step for step in self.stage.exercise.steps if step.id == result.step), None)
        return step is not None and step.passing and step.id in self.seen and result.outcome != "broken"

    def solve(self, step: Step) -> None:
        """Solve one step, whatever its state. Errors as in `play`; NotYetError when an earlier one has to be first."""
        steps = self._steps(1)
        with steps.step(step.title):
            before = check_all(self.stage)
            _refuse_broken_guard(before)
            self._refuse_unfounded(step, before)
            self._solve(step, before, steps)

    def _refuse_unfounded(self, step: Step, before: CheckReport) -> None:
        """A check that several steps share is the ground that they stand on, and an earlier step lays it."""
        shared = Counter(result.name for result in before.results)
        lacking = [r for r in before.of_step(step.id).results if r.outcome in FAILED and shared[r.name] > 1]
        earlier = self.stage.exercise.steps[: self.stage.exercise.number(step) - 1]
        first = next((other for other in earlier if not before.of_step(other.id).is_done), None)
        if lacking and first is not None:
            raise NotYetError(
                f"{lacking[0].sentence().rstrip('.')}; {first.title!r} comes before {step.title!r}",
                hint=f"`labctl exercise solve {first.id}` first, or `labctl exercise {self.stage.exercise.id} --auto`.",
            )

    def _steps(self, total: int) -> Steps:
        """Steps that all who speak during one speak through: checks are heard in a thread of their own."""
        steps = Steps(self.emit, total=total)
        self.stage.emit = steps.emit
        return steps

    def _solve(self, step: Step, before: CheckReport, steps: Steps, *, following: Step | None = None) -> None:
        """Solve a step and check it; the checks of the following one are made ready meanwhile."""
        began = time.monotonic()
        self._ahead = [one for one in self._ahead if one != step.id]
        if step.setup and step.id not in self.seen:
            steps.note("setting up")
            set_up(self.stage, step)
        run = self._held.pop(step.id, None) or self._hold(step, before, steps)
        try:
            if _observed(step, before):
                steps.note("starting the observer")
                check_step(self.stage, step, observe="fresh")
            # Of a step that is half done, what makes the other half may well fail: its work is done.
            is_begun = any(result.is_done and not result.guard for result in before.of_step(step.id).results)
            self.stage.play(step, may_fail=is_begun, note=steps.note)
            steps.note("checking")
            if run is not None:
                run.go()
            if following is not None:
                self._held[following.id] = self._hold(following, before, steps)
            asked = run.result().of_step(step.id) if run is not None else CheckReport(())
            report = self._known(with_answers(self.stage, [step], asked))
        finally:
            if run is not None:
                run.close()
        self.played.append(step.id)
        self.seconds[step.id] = time.monotonic() - began
        if not report.is_done:
            tell(steps.emit, report.first or report.results[0])
            raise failure(report)
        self.seen.add(step.id)
        steps.note("")

    def _hold(self, step: Step, before: CheckReport, steps: Steps) -> CheckRun | None:
        observe: Observe = "keep" if _observed(step, before) else "no"
        hear = _heard(steps.emit, steps)

        def heard(result: CheckResult) -> None:
            if result.is_done:  # what passed is known, also when the rest is cut short
                self._reports.append(CheckReport((result,)))
            hear(result)

        return hold_step(self.stage, step, wait=self.limit, observe=observe, heard=heard)

    def _drop_held(self) -> None:
        for run in filter(None, self._held.values()):
            run.close()
        self._held.clear()

    def _known(self, report: CheckReport) -> CheckReport:
        self._reports.append(report)
        return report


def tell(emit: Emit, result: CheckResult) -> None:
    """Emit a check's answer, unless it was not asked, or is a guard that is content."""
    if result.outcome != "not-run" and not (result.guard and result.is_done):
        emit(CheckFinished(result.step, result.title, result.outcome, result.sentence()))


def failure(report: CheckReport) -> LabctlError:
    """The error that tells the report's first failure."""
    text = "\n".join(told(report)) or "no check was run"
    return LabError(text) if report.outcome == "broken" else NotYetError(text)


def _observed(step: Step, before: CheckReport) -> bool:
    """Whether a check of the step wants an observer."""
    return any(result.observed for result in before.of_step(step.id).results)


def _heard(emit: Emit, steps: Steps) -> Heard:
    def hear(result: CheckResult) -> None:
        if result.is_done:
            tell(emit, result)
        else:
            steps.note(result.sentence())

    return hear


def _refuse_broken_guard(report: CheckReport) -> None:
    if any(result.guard and not result.is_done for result in report.results):
        raise failure(report)
