"""A step's checks and its questions, asked in one: on a lab, as the exercise has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from labctl.checks.answers import NOT_ANSWERED
from labctl.checks.report import CheckReport, CheckResult
from labctl.checks.runner import CheckRun, Heard, Observe, Request, run_checks
from labctl.checks.sentences import Sentences, filled, translated
from labctl.errors import LabError, WaitTimeout
from labctl.exercise.linting import read_checks
from labctl.exercise.model import Exercise, Step
from labctl.exercise.questions import Question
from labctl.exercise.stage import BlockFailed, Stage
from labctl.waiting import Pending, wait_until

__all__ = ["ANSWER", "check_all", "check_step", "has_checks", "hold_step", "request_of", "set_up", "with_answers"]

ANSWER = "answer:"  # what the name of a result begins with that is no check's, but a question's
NOT_THE_ANSWER = "that is not the answer"
AUTHOR = "`labctl exercise reset` takes away what it did; its author has to mend it."
SYMPTOM_LIMIT = 30.0  # seconds from a step's set-up to the moment when its checks say so


def check_step(
    stage: Stage, step: Step, *, wait: float = 0.0, observe: Observe = "no", heard: Heard | None = None
) -> CheckReport:
    """Run the checks of one step, and judge the answers to its questions; see Request."""
    report = CheckReport(())
    if has_checks(stage.exercise, step):
        report = run_checks(request_of(stage, [step], wait=wait, observe=observe), heard=heard).of_step(step.id)
    return with_answers(stage, [step], report)


def check_all(
    stage: Stage, *, wait: float = 0.0, heard: Heard | None = None, steps: Sequence[Step] = ()
) -> CheckReport:
    """Run all checks of the exercise, and judge all answers; of those `steps` only, where some are named."""
    report = run_checks(request_of(stage, steps, wait=wait), heard=heard)
    return with_answers(stage, steps or stage.exercise.steps, report)


def hold_step(stage: Stage, step: Step, *, wait: float, observe: Observe, heard: Heard) -> CheckRun | None:
    """Get the checks of a step ready, to begin them at `go`; None for a step that only asks questions."""
    if not has_checks(stage.exercise, step):
        return None
    return CheckRun(request_of(stage, [step], wait=wait, observe=observe), heard=heard, hold=True)


def request_of(
    stage: Stage, steps: Iterable[Step], *, wait: float = 0.0, observe: Observe = "no", probes: bool = True
) -> Request:
    """What to ask: the checks of those steps, of all where none is named."""
    return Request(
        stage.exercise.checks,
        stage.lab.name,
        steps=tuple(step.id for step in steps),
        wait=wait,
        probes=probes,
        observe=observe,
        nodes=stage.exercise.front.lab.names,
        answers=stage.answers.file,
        language=stage.exercise.language,
    )


def has_checks(exercise: Exercise, step: Step) -> bool:
    """Whether a step has checks beside questions that its own text judges."""
    return not step.questions or any(step.id in check.steps for check in read_checks(exercise).checks)


def with_answers(stage: Stage, steps: Iterable[Step], report: CheckReport) -> CheckReport:
    """The report with what the learner's answers to the steps' questions are worth, of those that no check judges."""
    given = stage.answers.all()
    sentences = translated(stage.exercise.folder, stage.exercise.language)
    results = [
        _judged(step, question.filled(stage.fill), given.get(question.id), sentences)
        for step in steps
        for question in step.questions
        if question.is_judged_here
    ]
    return replace(report, results=(*report.results, *results)) if results else report


def _judged(step: Step, question: Question, given: str | None, sentences: Sentences) -> CheckResult:
    name, title = f"{ANSWER}{question.id}", question.text.splitlines()[0]
    if given is None:
        message = filled(sentences.get(NOT_ANSWERED, NOT_ANSWERED), {"question": question.id})
        return CheckResult(step.id, name, title, "not-yet", message)
    worth = question.judge(given)
    if worth.is_right:
        return CheckResult(step.id, name, title, "done")
    reason = worth.reason or sentences.get(NOT_THE_ANSWER, NOT_THE_ANSWER)
    return CheckResult(step.id, name, title, "wrong", reason, found=given)


def set_up(stage: Stage, step: Step) -> None:
    """Run a step's set-up, and wait until its checks tell of it: a learner must find what the text speaks of.

    Raises LabError when it cannot be run, or when the checks are content all the same; NodeDown.
    """
    for fence in step.setup:
        try:
            stage.run(fence)
        except BlockFailed as failed:
            where = f"step {step.id} cannot be set up (exercise.md:{fence.line})"
            raise LabError(f"the exercise is at fault: {where}: {failed.message}", hint=AUTHOR) from None
    stage.refresh()

    def look() -> None:
        if step.setup and check_step(stage, step).is_done:
            raise Pending("its checks are content")

    try:
        wait_until(f"the symptom of step {step.id}", look, limit=SYMPTOM_LIMIT)
    except WaitTimeout:
        raise LabError(
            f"the exercise is at fault: step {step.id} was set up, and its checks are content all the same",
            hint=AUTHOR,
        ) from None
