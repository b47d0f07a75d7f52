"""Plays of lessons: what a learner saw, when which key was pressed, and all that was shown; recorded, and played again.

    python -m tests.integration.plays first-service LAB [LANGUAGE [COLUMNS ROWS]]     records one, on a lab that fits

A recording is YAML: the terminal's size, the acts in order, and the text of the session. An act waits for what the
learner `see`s, and then presses a key, types a line, or runs a command on a node in another window. `typed: ~` types
what the last command printed: an answer that only the lab knows. A page that is full is read on, wherever it ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from labctl.events import quiet
from labctl.exercise.model import Exercise, Fence, Step
from labctl.exercise.stage import Stage, known_urls
from labctl.lab import Lab
from tests.integration.verbs import LABCTL, Terminal, labctl, terminal

__all__ = ["Act", "Recording", "normal", "play", "written"]

LIMIT = 300.0  # seconds for a tick, on a busy machine
MORE = "── more"
READY = "Making the lab ready"  # in the last line before the guide begins
CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>]")
# What another run, on another lab, shows otherwise.
OTHERWISE = (
    (re.compile(r"Next: labctl \S+ \S+\s+exercise\s+\S+|Next: labctl\s+exercise\s+\S+"), "NEXT"),
    (re.compile(r"(-l|lab) [\w-]+"), "LAB"),
    (re.compile(r"\b(manager|worker)\d"), "NODE"),
    (re.compile(r"https?://[\d.]+(:\d+)?"), "URL"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+\b"), "ADDRESS"),
    (re.compile(r"\b([0-9a-f]{12,64}|[0-9a-z]{25})\b"), "ID"),
    (re.compile(r"\bin \d+ minutes?\b"), "TIME"),
    (re.compile(r"\b\d\d:\d\d\b"), "TIME"),
)


@dataclass(frozen=True)
class Act:
    """What was done when the guide showed `see`: a key, a line that was typed, or a command on a node.

    What a command with an `answer` printed is typed as {answer}.
    """

    see: str = ""
    press: str = ""
    typed: str = ""
    node: str = ""
    run: str = ""
    answer: str = ""


@dataclass
class Recording:
    """A play: of which lesson, on which terminal, what was done, and what was shown."""

    lesson: str
    language: str
    columns: int
    rows: int
    acts: list[Act] = field(default_factory=list)
    text: str = ""

    @classmethod
    def read(cls, file: Path) -> Recording:
        """Read it from a file."""
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        return cls(**{**raw, "acts": [Act(**act) for act in raw["acts"]]})

    def write(self, file: Path) -> None:
        """Write it to a file."""
        acts = [{key: value for key, value in asdict(act).items() if value != ""} for act in self.acts]
        raw = {**vars(self), "acts": acts}
        file.write_text(yaml.dump(raw, Dumper=_Blocks, allow_unicode=True, sort_keys=False, width=1000), "utf-8")


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _as_block)


def written(exercise: Exercise, language: str, columns: int, rows: int) -> Recording:
    """The acts of a learner who solves each step by its own blocks, asks for a hint first, and looks at the map."""
    recording = Recording(exercise.id, language, columns, rows)
    for number, step in enumerate(exercise.steps, 1):
        recording.acts += _acts(step, number, len(exercise.steps))
    return recording


def _acts(step: Step, number: int, total: int) -> Iterator[Act]:
    # What is below the text is drawn when all of that was read, with the hint that fits what was found.
    yield Act(f"{number} of {total}: ")
    yield Act("Not yet:")
    if step.hints:
        yield Act("[h] hint", press="h")
        yield Act("Hint")
    for fence in step.played:
        yield Act(node=fence.node, run=fence.code, answer=fence.answer)
    if step.questions:
        yield Act("[a] answer", press="a")
    for question in step.questions:
        yield Act("> ", typed=question.solution or f"{{{question.id}}}")
    yield Act("[n] finish" if number == total else "[n] next", press="n")


def play(recording: Recording, exercise: Exercise, lab: Lab) -> str:
    """Do what was done, each time when the guide shows what it showed then; returns the text of the session."""
    labctl("exercise", "reset", "-x", str(exercise.folder), "--yes", lab=lab.name)
    command = [*LABCTL, "exercise", exercise.id, "-l", lab.name, "--lang", recording.language]
    shown: list[str] = []
    with terminal(command, lines=recording.rows, columns=recording.columns) as seat:
        seat.heard = shown.append
        learner = _Learner(lab, exercise, seat)
        for act in recording.acts:
            learner.do(act)
        assert seat.wait(limit=LIMIT) == 0, "".join(shown)[-2000:]
    return _text("".join(shown)).rpartition(READY)[2].partition("\n")[2]


@dataclass
class _Learner:
    """Somebody at two windows: the guide in one, the nodes in the other."""

    lab: Lab
    exercise: Exercise
    seat: Terminal
    answers: dict[str, str] = field(default_factory=dict)

    def do(self, act: Act) -> None:
        """Wait for what is to be seen, read on where a page is full, and do it."""
        # Between two words there may be colours, and on a narrow terminal the end of a line.
        seen = r"(?:\s|\x1b\[[0-9;?]*[A-Za-z])+".join(map(re.escape, act.see.split()))
        while act.see and self.seat.wait_for(f"{MORE}|{seen}", limit=LIMIT) == MORE:
            self.seat.type(" ")
        if act.run:
            stage = Stage(self.lab.refresh(), self.exercise, quiet, known_urls(self.lab, self.exercise))
            results = stage.run(Fence(act.node, act.run, "sh", 0), may_fail=True)
            self.answers[act.answer] = "".join(result.stdout for result in results).strip()
        elif act.press:
            self.seat.type(act.press)
        elif act.typed:
            self.seat.type(f"{act.typed.format(**self.answers)}\n")


def normal(text: str) -> list[str]:
    """The words of a session, wherever the lines end, without what another lab and another day have otherwise."""
    text = " ".join(text.split())
    for pattern, word in OTHERWISE:
        text = pattern.sub(word, text)
    return text.split()


def _text(shown: str) -> str:
    """What stands on an endless sheet of paper when a terminal has shown that: what was drawn over is gone."""
    paper: list[list[str]] = [[]]
    row = column = 0
    for plain, code in _pieces(shown):
        for letter in plain:
            if letter == "\r":
                column = 0
            elif letter == "\n":
                row += 1
                paper += [[] for _ in range(row + 1 - len(paper))]
            elif letter == "\b":
                column = max(0, column - 1)
            elif letter.isprintable():
                wide = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
                line = paper[row]
                line += [" "] * (column - len(line))
                line[column : column + wide] = [letter, *[""] * (wide - 1)]
                column += wide
        row, column = _moved(paper, row, column, code)
    return "\n".join("".join(line).rstrip() for line in paper).strip() + "\n"


def _pieces(shown: str) -> Iterator[tuple[str, str]]:
    """Text, and the code behind it: its letter after its number."""
    end = 0
    for found in CONTROL.finditer(shown):
        yield shown[end : found.start()], f"{found[1]}{found[2] or ''}"
        end = found.end()
    yield shown[end:], ""


def _moved(paper: list[list[str]], row: int, column: int, code: str) -> tuple[int, int]:
    """Do what a code says that moves the cursor or takes something away; returns where the cursor is then."""
    number, letter = code[:-1], code[-1:]
    count = int(number) if number.isdigit() else 1
    if letter == "A":
        return max(0, row - count), column
    if letter == "C":
        return row, column + count
    if letter == "D":
        return row, max(0, column - count)
    if letter == "K":
        paper[row][0 if number == "2" else column :] = []
    elif letter == "J" and number in ("", "0"):
        paper[row][column:] = []
        paper[row + 1 :] = []
    return row, column
