"""The guided loop: one of those who follow a run. It shows the step, draws what the checks say, and listens to keys.

What it looks like is the Screen's affair; which keys there are, and what they ask of the run, is decided here. Only
keys that do something now are offered, each gives a sign, and nobody is moved on: `n` is the learner's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from labctl.checks.report import CheckResult
from labctl.errors import LabctlError
from labctl.exercise.leftovers import open_again
from labctl.exercise.model import Step
from labctl.exercise.questions import YES, Judged
from labctl.exercise.run import Run
from labctl.exercise.session import Session
from labctl.exercise.telling import (
    Answered,
    Checked,
    Finished,
    HintGiven,
    Listed,
    Preparing,
    RunEvent,
    SolutionGiven,
    StepDone,
    StepShown,
    Trouble,
    heading,
    led,
)
from labctl.words import counted

__all__ = ["Screen", "View", "Watch"]

TICK = 0.2  # seconds between two looks at the keyboard
SIGN_SECONDS = 5.0  # for which what a key said stays on the screen
HELP = {
    "n": "next step, once this one is done",
    "b": "back to the step before",
    "r": "read this step again",
    "h": "hint; what fits what was found comes first",
    "a": "answer a question of the step",
    "c": "check now; this also tries what labctl tries itself, like casting a vote",
    "s": "show the solution",
    "l": "list of steps and what is true of them now; then a number goes there",
    "m": "map of nodes and tasks",
    "x": "reset: says what it takes away, and does so when x is pressed once more",
    "q": "quit; what was done is kept",
}
RESET = """**Reset?** It takes away what {title!r} made in lab {lab}: services, secrets, files on the nodes. Your steps
and answers in this lab are forgotten, and you begin at step 1. `labctl exercise list` still counts what you did."""


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
    sign: str = ""


class Screen(Protocol):
    """Where the learner looks and types."""

    def show(self, markdown: str) -> None:
        """Show text that stays, from its beginning."""
        ...

    def draw(self, view: View) -> None:
        """Draw the live part, in the place of what was drawn before."""
        ...

    def key(self, seconds: float) -> str:
        """Return the key that is pressed within so many seconds; empty for none."""
        ...

    def ask(self, question: str) -> str:
        """Ask for a line of text; empty where the learner gives none."""
        ...

    def show_map(self) -> None:
        """Show the nodes and their tasks."""
        ...


@dataclass
class Watch:
    """Guides a learner through an exercise on a screen."""

    session: Session
    screen: Screen
    _checked: Checked | None = None
    _trouble: str = ""
    _sign: str = ""
    _signed: float = 0.0  # when, by the clock that only goes forward
    _is_listed: bool = False
    _wants_reset: bool = False
    _going: bool = True
    _run: Run = field(init=False)

    def __post_init__(self) -> None:
        self._run = Run(self.session)

    def run(self) -> int:
        """Guide until the learner quits or all is done; returns the exit code."""
        following = self._run.follow()
        try:
            self._run.start()
            while self._going:
                while (event := following.take()) is not None:
                    self._hear(event)
                if self._going:
                    if time.monotonic() - self._signed > SIGN_SECONDS and not self._wants_reset:
                        self._sign = ""
                    self.screen.draw(self._view())
                    self._act(self.screen.key(TICK))
        finally:
            self._run.close()
        return 0

    # -- what is heard

    def _hear(self, event: RunEvent) -> None:
        match event:
            case Preparing():
                self._sign = "setting the step up …"
                self.screen.draw(self._view())
            case StepShown():
                self._checked, self._trouble, self._sign = None, "", ""
                self._show_step(event)
            case Checked():
                self._checked, self._trouble = event, ""
            case StepDone() if event.debrief:
                self.screen.show(led("Done.", event.debrief))
            case Trouble():
                self._trouble = event.message
            case Finished():
                self.screen.show(self._ending(event))
                self._going = False
                if event.left:
                    self._offer_to_take_away(event.left)
            case _:
                self._show_asked(event)

    def _show_asked(self, event: RunEvent) -> None:
        """Show what the learner asked for."""
        match event:
            case HintGiven():
                which = f"Hint {event.number} of {event.total}." if event.number else "Hint."
                self.screen.show(led(which, event.text))
            case SolutionGiven():
                self.screen.show(f"**Solution.**\n\n{event.text}")
            case Listed():
                self._is_listed = True
                self.screen.show(_listed(event))
            case Answered():
                self.screen.show(self._told_answer(event))
            case _:
                pass

    def _show_step(self, shown: StepShown) -> None:
        if shown.intro and not self._run.session.progress.done:
            self.screen.show(shown.intro)
        self.screen.show(f"{heading(shown.number, shown.total, shown)}\n\n{shown.text}")
        if shown.debrief:
            self.screen.show(led("Done before.", shown.debrief))

    # -- what is seen

    @property
    def _step(self) -> Step:
        return self._run.step

    def _view(self) -> View:
        exercise, step = self._run.exercise, self._step
        done = self._run.session.progress.done
        failure = (self._trouble,) if self._trouble else self._checked.failure if self._checked else ()
        when = done.get(step.id)
        if when is not None and failure:
            failure = (f"Done, seen {_clock(when)}; it is no longer so.", *failure)
        return View(
            number=exercise.number(step),
            total=len(exercise.steps),
            title=step.title,
            checks=self._checked.results if self._checked else (),
            failure=failure,
            keys=tuple(self._keys().items()),
            is_done=when is not None,
            steps_done=len(done),
            sign=self._sign,
        )

    def _keys(self) -> dict[str, str]:
        """The keys that do something now."""
        keys: dict[str, str] = {}
        step, session = self._step, self._run.session
        if step.id in session.progress.done or step.optional:
            keys["n"] = "next" if session.following() or session.left() else "finish"
        if session.previous():
            keys["b"] = "back"
        shown = session.progress.hints.get(step.id, 0)
        found = self._run.first_failure
        if step.hints and not session.has_news(found):
            keys["h"] = f"hint {min(shown + 1, len(step.hints))} of {len(step.hints)}"
        elif found is not None and found.hint:
            keys["h"] = "hint"
        if step.questions:
            keys["a"] = "answer"
        keys["c"] = "check now"
        if step.solution:
            keys["s"] = "solution"
        return keys | {"r": "read again", "l": "list", "m": "map", "x": "reset", "?": "keys", "q": "quit"}

    # -- what the learner asks for

    def _act(self, key: str) -> None:
        if not key:
            return
        wanted_reset, self._wants_reset = self._wants_reset, False
        if wanted_reset and key != "x":
            self._signed, self._sign = time.monotonic(), "nothing was reset"
            return
        if self._is_listed and key.isdigit() and 1 <= int(key) <= len(self._run.exercise.steps):
            self._is_listed = False
            self._run.go_to(self._run.exercise.steps[int(key) - 1])
            return
        self._signed = time.monotonic()
        if key not in self._keys():
            self._sign = f"{key!r} does nothing here; ? lists the keys" if key.isprintable() and key.strip() else ""
            return
        self._sign = ""
        try:
            self._do(key, wanted_reset=wanted_reset)
        except LabctlError as problem:
            self._sign = problem.message

    def _do(self, key: str, *, wanted_reset: bool) -> None:
        run = self._run
        simple = {"n": run.next, "b": run.back, "r": run.again, "h": run.hint, "s": run.solution, "l": run.list}
        match key:
            case "c":
                self._sign = "checking …"
                run.check()
            case "a":
                self._answer()
            case "m":
                self.screen.show_map()
            case "?":
                offered = self._keys()
                rows = [f"- `{one}` {meaning}" for one, meaning in HELP.items() if one in offered]
                self.screen.show("\n".join(rows))
            case "x":
                self._reset(sure=wanted_reset)
            case "q":
                self._going = False
            case _:
                self._sign = "one moment …"
                self.screen.draw(self._view())
                simple[key]()
                self._sign = ""

    def _answer(self) -> None:
        given = self._run.session.stage.answers.all()
        for question in self._step.questions:
            said = f" (so far: {given[question.id]})" if question.id in given else ""
            asked = question.filled(self._run.session.stage.fill).shown()
            typed = self.screen.ask(f"{asked}\n\nYour answer{said}:")
            if typed.strip():
                self._run.answer(question.id, typed)

    def _told_answer(self, answered: Answered) -> str:
        said = f"You answered: {answered.answer}."
        if not self._step.question(answered.question).is_judged_here:
            return f"{said} labctl is checking it."
        return f"{said}  \n{Judged(answered.is_right, answered.reason).told}"

    def _reset(self, *, sure: bool) -> None:
        lab, exercise = self._run.session.stage.lab.name, self._run.exercise
        if not sure:
            self._wants_reset = True
            self.screen.show(RESET.format(title=exercise.front.title, lab=lab))
            self._sign = "x once more: reset; any other key: leave all as it is"
            return
        self._sign = "taking away what the exercise made …"
        self.screen.draw(self._view())
        done = len(self._run.session.progress.done)
        self._run.reset()
        steps = f", {counted(done, 'step')} open again" if done else ""
        self.screen.show(f"**Reset.** What {exercise.front.title!r} made in lab {lab} is gone{steps}.")

    def _ending(self, finished: Finished) -> str:
        exercise = self._run.exercise
        hints = "no hint" if not finished.hints else counted(finished.hints, "hint")
        took = counted(finished.minutes, "minute")
        lines = [f"**{exercise.front.title}: done**, in {took}, with {hints}. {exercise.front.summary}."]
        lines += [f"No longer as it was: {gone}" for gone in finished.no_longer]
        if finished.following:
            lines.append(f"Next: `labctl exercise {finished.following}`.")
        return "\n\n".join([*lines, "`labctl map` shows what you built; `labctl exercise reset` takes it away."])

    def _offer_to_take_away(self, left: tuple[str, ...]) -> None:
        """Offer to bring the lab back to how it was; what was done stays done."""
        told = f"Another lesson would find this otherwise than in a new lab: {'; '.join(left)}."
        typed = self.screen.ask(f"{told} Bring the lab back to how it was, and take away what was built? (y/N)")
        if typed.strip().casefold() not in YES:
            self.screen.show(
                "All is left as it is. `labctl exercise reset` brings it back, and begins the lesson anew."
            )
            return
        try:
            self._run.session.take_away()
            open_again(self._run.session.stage.lab)
        except LabctlError as problem:
            self.screen.show(problem.message)
        else:
            self.screen.show("All of it is taken away, every node gets work again. What you have done stays done.")


def _clock(when: float) -> str:
    """A moment by the learner's clock."""
    return time.strftime("%H:%M", time.localtime(when))


def _listed(listed: Listed) -> str:
    rows = []
    for one in listed.steps:
        sign = "✓" if one.when else "○"
        seen = f" (done, seen {_clock(one.when)})" if one.when else ""
        here = "  ← you are here" if one.id == listed.step else ""
        gone = f"  \n    no longer so: {one.no_longer}" if one.no_longer else ""
        rows.append(f"{sign} {one.number}. {one.title}{', optional' if one.optional else ''}{seen}{here}{gone}")
    return "  \n".join([*rows, "", "A number goes to that step."])
