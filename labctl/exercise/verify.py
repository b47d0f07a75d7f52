"""The verifier, verified: every step's checks must fail untouched, name each common mistake, pass solved, and twice."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labctl.checks.report import CheckReport, CheckResult, told
from labctl.errors import LabctlError, LabError, NotYetError, SpecError, WaitTimeout
from labctl.events import Emit, Steps
from labctl.exercise.catalogue import ids_around
from labctl.exercise.checking import ANSWER, check_all, check_step, set_up
from labctl.exercise.language import differences, languages_of
from labctl.exercise.layout import missing_files
from labctl.exercise.linting import Check, read_checks
from labctl.exercise.model import Exercise, Mistake, Step, Way
from labctl.exercise.play import SOLVE_LIMIT, tell
from labctl.exercise.reading import AUTHORS_GUIDE, read_exercise, read_original
from labctl.exercise.sentences import untranslated
from labctl.exercise.session import Session
from labctl.exercise.stage import BlockFailed
from labctl.waiting import Pending, wait_until
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.checks.report import Outcome

__all__ = ["Verifier", "lint"]

MISTAKE_LIMIT = 30.0  # seconds from a mistake to the moment when it is told
MISTAKE_PAUSE = 0.5


def lint(exercise: Exercise) -> None:
    """Hold the exercise's steps and checks against each other. Raises SpecError with everything that does not fit.

    Every step needs a check that is its own, every check a step that is there, and a title. The checks are read, and
    nothing of them is run: an exercise may be anybody's.
    """
    found = read_checks(exercise)
    problems = [*found.problems, *_unbound_checks(exercise, found.checks), *_unchecked_steps(exercise, found.checks)]
    if not found.checks:
        problems.insert(0, f"{exercise.checks}: there is not one check in it")
    problems += [*_around(exercise), *_translations(exercise), *untranslated(exercise)]
    if problems:
        raise SpecError(problems, source=str(exercise.folder), hint=AUTHORS_GUIDE)


def _translations(exercise: Exercise) -> Iterator[str]:
    """What the exercise's other languages have otherwise."""
    original = read_original(exercise.folder)
    for code in languages_of(exercise.folder)[1:]:
        file = exercise.folder / f"exercise.{code}.md"
        for line, text in differences(original, read_exercise(exercise.folder, file)):
            yield f"{file}:{line}: {text}"


def _unbound_checks(exercise: Exercise, checks: list[Check]) -> list[str]:
    known = {step.id for step in exercise.steps}
    return [
        f"{exercise.checks}:{check.line}: {check.name}: there is no step {step}"
        for check in checks
        for step in check.steps
        if step not in known
    ]


def _unchecked_steps(exercise: Exercise, checks: list[Check]) -> list[str]:
    own = {step for check in checks if not check.guard for step in check.steps}
    own |= {step.id for step in exercise.steps if any(question.is_judged_here for question in step.questions)}
    path = exercise.folder / "exercise.md"
    return [
        f"{path}:{step.line}: step {step.id} has no check: nothing would tell whether it is done"
        for step in exercise.steps
        if step.id not in own
    ]


def _around(exercise: Exercise) -> list[str]:
    """What the exercise points at and is not there: exercises to do before, pictures and files."""
    path = exercise.folder / "exercise.md"
    lines = path.read_text(encoding="utf-8").split("\n")
    known = ids_around(exercise.folder)
    line = next((number for number, text in enumerate(lines, 1) if text.startswith("needs")), 1)
    problems = []
    for needed in exercise.front.needs:
        if needed not in known:
            near = difflib.get_close_matches(needed, sorted(known), n=1)
            offer = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(known))}"
            problems.append(f"{path}:{line}: needs: there is no exercise {needed}: {offer}")
    return [*problems, *(f"{path}:{number}: {text}" for number, text in missing_files(lines, exercise.folder))]


@dataclass
class Verifier:
    """Tries an exercise on a lab, from nothing; what the exercise made there before is taken away first.

    `reports` are those of the solved steps; what keeps the exercise from passing is in them too.
    """

    session: Session
    emit: Emit
    limit: float = SOLVE_LIMIT
    reports: list[CheckReport] = field(default_factory=list)

    def verify(self) -> None:
        """Do it, and raise at the first step that does not keep the rules.

        Raises NotYetError where a check passes untouched or fails solved, or a code block does not run, LabError when
        the lab is broken, SpecError when the exercise does not hold together.
        """
        folder = self.session.exercise.folder
        # In English, whatever the author's own language: a `wrong` block has the sentence that is told in English.
        exercise = read_original(folder)
        steps = Steps(self.emit, total=len(exercise.steps) + 4)
        with steps.step("Reading the exercise"):
            lint(exercise)
        with steps.step("Taking away what is there"), self._blamed():
            self.session.reset()
            lab = self.session.stage.lab.refresh()
            self.session = Session.begin(lab, exercise, steps.emit, steps.note)
        for step in exercise.steps:
            with steps.step(step.title), self._reported(step), self._blamed():
                self._step(step, steps)
        with steps.step("Checking everything once more"):
            self._check_end()
        with steps.step("Taking away what it made"), self._blamed():
            self.session.reset()
            self._check_reset(exercise)

    def _check_reset(self, exercise: Exercise) -> None:
        """What was not done before is not done any more: of the first step, all others build on something."""
        first = exercise.steps[0]
        if first.setup or not check_step(self.session.stage, first).is_done:
            return
        where = f"{exercise.folder / 'exercise.md'}:{exercise.reset[-1].line}" if exercise.reset else "there is none"
        raise NotYetError(
            f"after the reset ({where}) step {first.id} is done still: what the exercise made is left behind",
            hint="A block ```sh node=m1 reset takes it away. Until then `labctl exercise test` finds it done already.",
        )

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Tell a block that does not run as what it is: its author's, with its line."""
        try:
            yield
        except BlockFailed as failed:
            file = self.session.exercise.folder / "exercise.md"
            raise NotYetError(f"this block does not run ({file}:{failed.fence.line}): {failed.message}") from failed

    def _check_end(self) -> None:
        passing = {step.id for step in self.session.exercise.steps if step.passing}
        report = check_all(self.session.stage, wait=0 if passing else self.limit)
        lasting = tuple(result for result in report.results if result.step not in passing)
        self.reports.append(CheckReport(lasting, report.seconds))
        _refuse(self.reports[-1], "at the end")

    @contextlib.contextmanager
    def _reported(self, step: Step) -> Iterator[None]:
        """Let what goes wrong with a step stand in its report too: CI reads that, and not the last line."""
        before = len(self.reports)
        try:
            yield
        except LabctlError as problem:
            if all(report.is_done for report in self.reports[before:]):
                outcome: Outcome = "wrong" if isinstance(problem, NotYetError) else "broken"
                result = CheckResult(step.id, "the-rules", "The step keeps the rules", outcome, problem.message)
                self.reports.append(CheckReport((result,)))
            raise

    def _step(self, step: Step, steps: Steps) -> None:
        stage = self.session.stage
        if step.setup:
            steps.note("setting up")
            set_up(stage, step)
        steps.note("untouched")
        untouched = check_step(stage, step, observe="fresh")
        if untouched.is_done:
            raise NotYetError(f"step {step.id}: its checks pass before anything was done: they prove nothing")
        if untouched.outcome == "broken":
            self.reports.append(untouched)
            _refuse(untouched, f"step {step.id}, untouched")
        self._mistakes(step, steps, solved=False)
        for way in step.ways:
            steps.note(f"another way, line {way.gone_by.line}")
            self._way(step, way)
        for once_more in (False, True):
            if once_more:
                self._mistakes(step, steps, solved=True)
            steps.note("solved twice" if once_more else "solved")
            stage.play(step, may_fail=once_more)
            report = check_step(
                stage, step, wait=self.limit, observe="keep", heard=lambda one: steps.note(one.sentence())
            )
            self.reports.append(report)
            _refuse(report, f"step {step.id}, solved{' twice' if once_more else ''}")
        for result in self.reports[-1].results:
            tell(steps.emit, result)
        named = f", {counted(len(step.mistakes), 'mistake')} named" if step.mistakes else ""
        other = f", {counted(len(step.ways), 'other way')} taken" if step.ways else ""
        steps.note(f"fails untouched{named}{other}, passes solved, and solved twice")

    def _mistakes(self, step: Step, steps: Steps, *, solved: bool) -> None:
        """Make the mistakes that belong before the solution, or on top of it."""
        for mistake in step.mistakes:
            if mistake.made_by.solved == solved:
                steps.note(f"mistake: {mistake.told}")
                self._mistake(step, mistake)

    def _mistake(self, step: Step, mistake: Mistake) -> None:
        """Make a common mistake, see that it is told as what it is, and take it back."""
        stage = self.session.stage
        stage.run(mistake.made_by)
        stage.refresh()

        def look() -> None:
            first = check_step(stage, step).first
            if first is None or mistake.told not in first.sentence():
                raise Pending("that all is done" if first is None else first.sentence())

        try:
            wait_until("the mistake being told", look, limit=min(MISTAKE_LIMIT, self.limit), pause=MISTAKE_PAUSE)
        except WaitTimeout as late:
            place = f"{stage.exercise.folder / 'exercise.md'}:{mistake.made_by.line}"
            raise NotYetError(
                f"step {step.id}: this mistake ({place}) should be told as {mistake.told!r}; it says: {late.last_seen}"
            ) from None
        for fence in mistake.undone_by:
            stage.run(fence)
        stage.refresh()

    def _way(self, step: Step, way: Way) -> None:
        """Solve the step in another way, see that its checks pass too, and bring back what was there before."""
        stage = self.session.stage
        stage.run(way.gone_by)
        stage.refresh()
        report = _without_answers(check_step(stage, step, wait=self.limit, observe="keep"))
        if not report.is_done:
            self.reports.append(report)
        _refuse(report, f"step {step.id}, solved as in line {way.gone_by.line}")
        for fence in way.undone_by:
            stage.run(fence)
        set_up(stage, step)  # looks at the lab again, too
        if _without_answers(check_step(stage, step)).is_done:
            raise NotYetError(
                f"step {step.id}: its checks still pass when what line {way.gone_by.line} did is taken back"
            )


def _without_answers(report: CheckReport) -> CheckReport:
    """The report without the questions: a repair answers none."""
    return replace(report, results=tuple(one for one in report.results if not one.name.startswith(ANSWER)))


def _refuse(report: CheckReport, when: str) -> None:
    if report.is_done:
        return
    text = f"{when}: " + "\n".join(told(report))
    raise LabError(text) if report.outcome == "broken" else NotYetError(text)
