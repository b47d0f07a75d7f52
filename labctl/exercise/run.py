"""A run of an exercise: takes what a learner asks for, watches the lab, and tells all who follow it.

It knows no screen and no key. Commands may come from several threads; what they do is told to every follower, and so is
what the checks see meanwhile. A tick is what is true now; that a step is done stays, since it was seen.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from labctl.checks.report import CheckReport, CheckResult, told
from labctl.checks.runner import CheckRun, Observe
from labctl.errors import LabctlError
from labctl.events import quiet
from labctl.exercise.catalogue import entries, next_after
from labctl.exercise.checking import check_all, has_checks, request_of, with_answers
from labctl.exercise.leftovers import left_in
from labctl.exercise.model import Exercise, Step
from labctl.exercise.reading import read_in
from labctl.exercise.session import Session
from labctl.exercise.telling import (
    Answered,
    Checked,
    DoneBefore,
    Finished,
    HintGiven,
    Listed,
    Preparing,
    RunEvent,
    SolutionGiven,
    StepDone,
    StepShown,
    Trouble,
)

__all__ = ["Following", "Run"]

MOST_WAITING = 1000  # events that a follower has not taken; one who takes none hears no more of them
LOOK = 2.0  # seconds between two looks whether the checks still run; what they say is heard at once


class Following:
    """What one follower has not heard yet. Begins with where the run is."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._events: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()

    def put(self, event: RunEvent | None) -> None:
        """Let it hear an event; None for the end."""
        if self._events.qsize() < MOST_WAITING or event is None:
            self._events.put(event)

    def take(self, seconds: float = 0.0) -> RunEvent | None:
        """The next event, or None when none comes in time."""
        try:
            return self._events.get(timeout=seconds) if seconds > 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def __iter__(self) -> Iterator[RunEvent]:
        """All events until the run is closed."""
        while (event := self._events.get()) is not None:
            yield event

    def close(self) -> None:
        """Hear no more."""
        self._run.leave(self)


@dataclass
class Run:
    """A learner's run of an exercise. `start` shows the step that the learner is at; `close` ends the watching."""

    session: Session
    _followers: list[Following] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _checks: CheckRun | None = None
    _shown: StepShown | None = None
    _checked: Checked | None = None
    _news: threading.Event = field(default_factory=threading.Event)
    _is_over: bool = False

    @property
    def exercise(self) -> Exercise:
        """The exercise."""
        return self.session.exercise

    @property
    def step(self) -> Step:
        """The step that the learner is at."""
        return self.session.current

    @property
    def is_done(self) -> bool:
        """Whether that step was seen done."""
        return self.step.id in self.session.progress.done

    @property
    def first_failure(self) -> CheckResult | None:
        """The first check of the step that is not content now."""
        results = self._checked.results if self._checked is not None else ()
        return CheckReport(results).first

    # -- who follows

    def follow(self) -> Following:
        """Follow the run, from where it is."""
        with self._lock:
            following = Following(self)
            for event in filter(None, (self._shown, self._checked)):
                following.put(event)
            self._followers.append(following)
            return following

    def leave(self, following: Following) -> None:
        """Let a follower hear no more."""
        with self._lock, contextlib.suppress(ValueError):
            self._followers.remove(following)
        following.put(None)

    def _tell(self, event: RunEvent) -> None:
        with self._lock:
            if isinstance(event, StepShown):
                self._shown, self._checked = event, None
            elif isinstance(event, Checked):
                self._checked = event
            for following in self._followers:
                following.put(event)

    # -- what a learner asks for

    def start(self) -> None:
        """Show the step that the learner is at, and begin to watch."""
        self.session.stage.emit = quiet  # what a set-up types is behind the scenes, and no line of anybody's screen
        self._enter(self.step, observe="keep")
        threading.Thread(target=self._watch, name="labctl-run", daemon=True).start()

    def next(self) -> None:
        """Go to the next step; behind the last one to the first that is not done, or finish where all are."""
        following = self.session.following() or self.session.left()
        if following is None:
            self.finish()
        else:
            self._enter(following, observe="fresh" if following.id not in self.session.progress.done else "keep")

    def back(self) -> None:
        """Go to the step before; at the first one, show it again."""
        self._enter(self.session.previous() or self.step, observe="keep")

    def again(self) -> None:
        """Show the step again."""
        self._tell(self._as_shown(self.step))

    def go_to(self, step: Step) -> None:
        """Go to a step."""
        self._enter(step, observe="keep")

    def read_in(self, code: str) -> None:
        """Tell the exercise in another of its languages from now on; place, ticks and answers stay.

        Raises NotFoundError for a language that it is not told in, SpecError for a text that cannot be read.
        """
        exercise = read_in(self.exercise.folder, code)
        with self._lock:
            self.session.stage.exercise = exercise
        self.again()

    def check(self) -> None:
        """Look now, and ask the probes too. Checks that ended for want of a lab are begun again."""
        with self._lock:
            if self._checks is None:
                self._begin_checks("keep")
            if self._checks is not None:
                self._checks.look_now()

    def hint(self) -> None:
        """Give the next hint: what the first check that is not content has to say to just that, else the step's."""
        found = self.session.next_hint(self.step, self.first_failure)
        if found is not None:
            self._tell(HintGiven(self.step.id, found.number, found.total, found.text))

    def solution(self) -> None:
        """Show what solves the step."""
        if self.step.solution:
            self._tell(SolutionGiven(self.step.id, self.session.stage.fill(self.step.solution)))

    def answer(self, question: str, text: str) -> None:
        """Take an answer to a question of the step. Raises NotFoundError, UsageError for what is no answer."""
        worth = self.session.answer(self.step, question, text)
        self._tell(Answered(self.step.id, question, text.strip(), worth.is_right, worth.reason))
        with self._lock:
            if self._checks is not None:
                self._checks.look_now()
            self._look()

    def list(self) -> None:
        """Ask all checks, and tell what of the steps that were done is not so any more."""
        self._tell(Listed(self.step.id, self._standing(check_all(self.session.stage))))

    def reset(self) -> None:
        """Take away what the exercise made, forget what was done in this lab, and begin anew. Raises CommandFailed."""
        with self._lock:
            self._end_checks()
        self.session.reset()
        self.session = Session.begin(
            self.session.stage.lab.refresh(), self.exercise, self.session.stage.emit, lambda _: None
        )
        self._enter(self.step, observe="fresh")

    def finish(self) -> None:
        """Ask all checks once more, and tell how it went."""
        with self._lock:
            self._end_checks()
        report = check_all(self.session.stage)
        self.session.note_all(report)
        gone = tuple(f"{step.title}: {step.no_longer}" for step in self._standing(report) if step.no_longer)
        progress = self.session.progress
        minutes = max(1, round((max(progress.done.values(), default=time.time()) - progress.began) / 60))
        following = next_after(entries(), self.exercise.id)
        left = left_in(self.session.stage.lab)
        self._tell(Finished(self.step.id, minutes, sum(progress.hints.values()), gone, following, left))

    def close(self) -> None:
        """End the watching; followers hear the end."""
        self._is_over = True
        self._news.set()
        with self._lock:
            self._end_checks()
            for following in self._followers:
                following.put(None)

    # -- what goes on

    def _enter(self, step: Step, *, observe: Observe) -> None:
        with self._lock:
            self._end_checks()
            self.session.go_to(step)
        try:
            if self.session.wants_set_up(step):
                self._tell(Preparing(step.id))
                self.session.set_up(step)
        except LabctlError as problem:
            self._tell(self._as_shown(step))
            self._tell(Trouble(step.id, problem.message))
            return
        self._tell(self._as_shown(step))
        with self._lock:
            self._begin_checks(observe)

    def _as_shown(self, step: Step) -> StepShown:
        fill, number = self.session.stage.fill, self.exercise.number(step)
        return StepShown(
            step.id,
            number,
            len(self.exercise.steps),
            step.title,
            fill(step.text),
            fill(self.exercise.intro) if number == 1 else "",
            step.minutes,
            step.optional,
            tuple(question.id for question in step.questions),
            fill(step.debrief) if step.id in self.session.progress.done else "",
        )

    def _begin_checks(self, observe: Observe) -> None:
        if has_checks(self.exercise, self.step):
            request = request_of(self.session.stage, [self.step], observe=observe, probes=False)
            self._checks = CheckRun(request, heard=lambda _result: self._news.set(), watch=True)
        else:
            self._look()

    def _end_checks(self) -> None:
        if self._checks is not None:
            self._checks.close()
            self._checks = None

    def _watch(self) -> None:
        while not self._is_over:
            self._news.wait(LOOK)
            self._news.clear()
            with self._lock:
                if self._checks is not None:
                    self._look()

    def _look(self) -> None:
        """Take in what the checks have said; tell it if it is news."""
        report = CheckReport(())
        if self._checks is not None and self._checks.is_over:
            checks, self._checks = self._checks, None
            try:
                report = checks.result().of_step(self.step.id)
            except LabctlError as broken:
                self._tell(Trouble(self.step.id, broken.message))
                return
        elif self._checks is not None:
            report = self._checks.report().of_step(self.step.id)
            if not report.results:
                return
        report = with_answers(self.session.stage, [self.step], report)
        shown = tuple(result for result in report.results if not result.guard or result.outcome == "broken")
        checked = Checked(self.step.id, shown, tuple(told(report)))
        if checked == self._checked:
            return
        is_news = self.session.note(self.step, report)  # first: who sees the last tick sees the step done
        self._tell(checked)
        if is_news:
            when = self.session.progress.done[self.step.id]
            self._tell(StepDone(self.step.id, when, self.session.stage.fill(self.step.debrief)))

    def _standing(self, report: CheckReport) -> tuple[DoneBefore, ...]:
        done = self.session.progress.done
        found = []
        for step in self.exercise.steps:
            first = report.of_step(step.id).first
            gone = first.sentence() if first is not None and step.id in done and not step.passing else ""
            number = self.exercise.number(step)
            found.append(DoneBefore(step.id, number, step.title, done.get(step.id, 0.0), gone, step.optional))
        return tuple(found)
