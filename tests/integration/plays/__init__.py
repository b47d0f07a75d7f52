"""Plays of lessons: a learner's terminal with what it showed and what was typed, recorded once and played again.

    python -m tests.integration.plays first-swarm LAB [LANGUAGE]     records one, on a lab that fits

A recording is an asciicast of version 2, which `asciinema play` shows: "o" is what the guide printed, "i" what was
typed to it, "m" (a marker) what was typed on a node meanwhile, as "m1$ docker node ls". A marker "type" types what the
last of these printed: an answer that only the lab knows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from labctl.events import quiet
from labctl.exercise import read_exercise
from labctl.exercise.model import Exercise, Fence
from labctl.exercise.stage import Stage, known_urls
from labctl.lab import Lab

from ..verbs import LABCTL, Terminal, labctl, terminal

__all__ = ["Recording", "record", "replay"]

LINES, COLUMNS = 40, 100
LIMIT = 300.0  # seconds for a tick, on a busy machine
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
# What a learner waits for: a heading, how many steps are done, the key that leads on, a line to type an answer in.
# While a step's text is printed, what was below the last one is drawn below each part of it.
MARKS = re.compile(r"\d+ of \d+: |\d+/\d+(?=  )|\[n\] (?:next|finish)|Your answer")
TICK = re.compile(r"✓ (.*\S)")


@dataclass
class Recording:
    """What was shown and typed: time, kind and text of each."""

    lesson: str
    language: str
    events: list[tuple[float, str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Recording:
        """Read it from a file."""
        head, *lines = file.read_text(encoding="utf-8").splitlines()
        about = json.loads(head)
        return cls(about["title"], about["env"]["LABCTL_LANG"], [tuple(json.loads(line)) for line in lines])

    def write(self, file: Path) -> None:
        """Write it to a file."""
        about = {"version": 2, "width": COLUMNS, "height": LINES, "title": self.lesson}
        about |= {"env": {"TERM": "xterm", "LABCTL_LANG": self.language}}
        rows = [json.dumps(row, ensure_ascii=False) for row in (about, *self.events)]
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")

    def parts(self) -> Iterator[tuple[str, str, str]]:
        """What was shown, and what was done then: its kind and text; at the end nothing."""
        shown = ""
        for _, kind, text in self.events:
            if kind == "o":
                shown += text
                continue
            yield shown, kind, text
            shown = ""
        yield shown, "", ""

    def ticks(self) -> set[str]:
        """The facts that were ticked."""
        return ticks("".join(text for _, kind, text in self.events if kind == "o"))


def ticks(shown: str) -> set[str]:
    """The facts that a terminal showed as ticked."""
    return set(TICK.findall(CONTROL.sub("", shown)))


def marks(shown: str) -> list[str]:
    """What a learner waited for in it, each once, in order."""
    return list(dict.fromkeys(MARKS.findall(CONTROL.sub("", shown))))


@dataclass
class _Player:
    """Somebody at two windows: the guide in one, the nodes in the other."""

    lab: Lab
    exercise: Exercise
    seat: Terminal
    printed: str = ""

    def on_node(self, text: str) -> None:
        """Type something on a node: `m1$ docker node ls`."""
        node, _, code = text.partition("$ ")
        stage = Stage(self.lab.refresh(), self.exercise, quiet, known_urls(self.lab, self.exercise))
        results = stage.run(Fence(node, code, "sh", 0), may_fail=True)
        self.printed = "".join(result.stdout for result in results).strip()

    def until(self, mark: str) -> None:
        """Wait until the guide shows it."""
        # Between two words there may be colours, and on a narrow terminal the end of a line.
        words = r"(?:\s|\x1b\[[0-9;?]*[A-Za-z])+".join(map(re.escape, mark.split()))
        self.seat.wait_for(words, limit=LIMIT)


def record(lesson: Path, lab: Lab, language: str) -> Recording:
    """Play a lesson from its first step to its end, and record it."""
    exercise = read_exercise(lesson, lesson / ("exercise.md" if language == "en" else f"exercise.{language}.md"))
    recording, began = Recording(exercise.id, language), time.monotonic()

    def note(kind: str, text: str) -> None:
        recording.events.append((round(time.monotonic() - began, 3), kind, text))

    with _guide(exercise.id, lab, language) as seat:
        seat.heard = lambda text: note("o", text)
        player = _Player(lab, exercise, seat)

        def press(keys: str) -> None:
            note("i", keys)
            seat.type(keys)

        for number, step in enumerate(exercise.steps, 1):
            player.until(f"{number} of {len(exercise.steps)}:")
            for fence in step.played:
                note("m", f"{fence.node}$ {fence.code}")
                player.on_node(f"{fence.node}$ {fence.code}")
            if step.questions:
                press("a")
            for question in step.questions:
                player.until("Your answer")
                if question.solution:
                    press(f"{question.solution}\n")
                else:
                    note("m", "type")
                    seat.type(f"{player.printed}\n")
            player.until(f"{number}/{len(exercise.steps)}")
            player.until("[n] next" if number < len(exercise.steps) else "[n] finish")
            press("n")
        seat.wait(limit=LIMIT)
    return recording


def replay(recording: Recording, lesson: Path, lab: Lab) -> set[str]:
    """Do what was done, each time when the guide shows what it showed then; returns what was ticked."""
    exercise = read_exercise(lesson)
    shown: list[str] = []
    with _guide(exercise.id, lab, recording.language) as seat:
        seat.heard = shown.append
        player = _Player(lab, exercise, seat)
        for before, kind, text in recording.parts():
            for mark in marks(before):
                player.until(mark)
            if kind == "i":
                seat.type(text)
            elif text == "type":
                seat.type(f"{player.printed}\n")
            elif kind == "m":
                player.on_node(text)
        assert seat.wait(limit=LIMIT) == 0
    return ticks("".join(shown))


def _guide(lesson: str, lab: Lab, language: str) -> AbstractContextManager[Terminal]:
    assert labctl("exercise", "reset", "-x", lesson, "--yes", lab=lab.name).code in (0, 2)  # 2: it was not begun
    return terminal([*LABCTL, "exercise", lesson, "-l", lab.name, "--lang", language], lines=LINES, columns=COLUMNS)
