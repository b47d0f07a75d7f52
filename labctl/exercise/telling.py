"""What a run of an exercise tells those who follow it: typed events, which are the same for a terminal and a page.

Every text is as the learner is to read it: Markdown, with addresses and names filled in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from labctl.checks.report import CheckResult
from labctl.exercise.model import Step
from labctl.words import counted

__all__ = [
    "Answered",
    "Checked",
    "DoneBefore",
    "Finished",
    "HintGiven",
    "Listed",
    "Preparing",
    "RunEvent",
    "SolutionGiven",
    "StepDone",
    "StepShown",
    "Trouble",
    "as_json",
    "heading",
    "led",
]


PARAGRAPH = "\n\n"
BLOCKS = ("```", "~~~", "|", "- ", "* ", "> ", "1. ")  # what begins a line of Markdown that is no sentence


def heading(number: int, total: int, step: Step | StepShown) -> str:
    """The heading of a step: where it stands, its title, how long it takes."""
    about = f" (about {counted(step.minutes, 'minute')})" if step.minutes else ""
    return f"## {number} of {total}: {step.title}{about}{', optional' if step.optional else ''}"


def led(word: str, text: str) -> str:
    """A text with a word before it that says what it is; one that begins with a picture or a list stays that."""
    return f"**{word}**{PARAGRAPH if text.startswith(BLOCKS) else ' '}{text}"


@dataclass(frozen=True)
class RunEvent:
    """Something that happened in a run. `step` is the id of the step that it is about, empty for none."""

    step: str


@dataclass(frozen=True)
class Preparing(RunEvent):
    """A step is set up: what the learner will find there is made. StepShown follows."""


@dataclass(frozen=True)
class StepShown(RunEvent):
    """The learner is at a step now. `intro` is that of the exercise, with the first step only.

    `debrief` comes with a step that was done before.
    """

    number: int
    total: int
    title: str
    text: str
    intro: str = ""
    minutes: int = 0
    optional: bool = False
    questions: tuple[str, ...] = ()
    debrief: str = ""


@dataclass(frozen=True)
class Checked(RunEvent):
    """What is true now of the step's checks; `failure` has the first that is not content, in lines for the learner."""

    results: tuple[CheckResult, ...]
    failure: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDone(RunEvent):
    """The step was seen done for the first time in this lab, at `when` (seconds since 1970)."""

    when: float
    debrief: str = ""


@dataclass(frozen=True)
class HintGiven(RunEvent):
    """A hint; `number` is 0 for one that a check gave to just what it found."""

    number: int
    total: int
    text: str


@dataclass(frozen=True)
class SolutionGiven(RunEvent):
    """The solution of the step."""

    text: str


@dataclass(frozen=True)
class Answered(RunEvent):
    """An answer was taken; `is_right` and the reason are what the exercise's text knows, a check may say more."""

    question: str
    answer: str
    is_right: bool
    reason: str = ""


@dataclass(frozen=True)
class DoneBefore:
    """A step in a list: when it was seen done (0: not yet), and what is not so any more (empty: it still is)."""

    id: str
    number: int
    title: str
    when: float
    no_longer: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Listed(RunEvent):
    """All steps, and what is true of them now; `step` is where the learner is."""

    steps: tuple[DoneBefore, ...]


@dataclass(frozen=True)
class Trouble(RunEvent):
    """The checks cannot be asked: the lab, or the exercise, is broken."""

    message: str


@dataclass(frozen=True)
class Finished(RunEvent):
    """Every step was done: how long it took in minutes, how many hints were shown, and what to do next.

    `left` tells what the next lesson would find otherwise than in a fresh lab: nodes without work, faults.
    """

    minutes: int
    hints: int
    no_longer: tuple[str, ...] = ()
    following: str = ""
    left: tuple[str, ...] = ()


def as_json(event: RunEvent) -> dict[str, Any]:
    """The event as JSON can carry it; `event` is its kind: step-shown, checked, ..."""
    kind = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(event).__name__)
    return {"event": kind.lstrip("-"), **asdict(event)}
