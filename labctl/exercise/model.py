"""What an exercise is: its front matter, and its steps with their fences, hints and solutions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from labctl.errors import NotFoundError
from labctl.exercise.questions import Question

__all__ = [
    "FORMAT",
    "GROUPS",
    "HOST",
    "ID",
    "Exercise",
    "Fence",
    "Front",
    "LabNeeds",
    "Level",
    "Mistake",
    "Step",
    "Swarm",
    "Track",
    "Way",
    "check_id",
    "checks_name",
]

FORMAT = 1
Level = Literal["beginner", "intermediate", "advanced"]
Swarm = Literal["formed", "empty"]
# What the catalogue lists them under, in this order; one of somebody else's stands under the last.
Track = Literal["from-zero", "operate", "under-the-hood", "troubleshoot", "own"]
ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
HOST = "host"  # as a fence's node: the learner's own machine
GROUPS = {"@manager": "every manager", "@worker": "every worker", "@all": "every node"}


@dataclass(frozen=True)
class LabNeeds:
    """The lab that an exercise needs: so many nodes at least; `spare` ones are in no swarm.

    With `swarm` empty, init and join are the learner's.
    """

    managers: int = 1
    workers: int = 2
    spare: int = 0
    swarm: Swarm = "formed"

    @property
    def nodes(self) -> int:
        """How many nodes these are in all."""
        return self.managers + self.workers + self.spare

    @property
    def names(self) -> tuple[str, ...]:
        """What a lab that is just large enough calls these nodes, long and short."""
        counts = {"manager": self.managers, "worker": self.workers + self.spare}
        numbered = [(role, n + 1) for role, count in counts.items() for n in range(count)]
        return tuple(name for role, n in numbered for name in (f"{role[0]}{n}", f"{role}{n}"))


@dataclass(frozen=True)
class Front:
    """The front matter of exercise.md."""

    format: int
    id: str
    title: str
    summary: str
    minutes: int
    level: Level = "beginner"
    needs: tuple[str, ...] = ()
    lab: LabNeeds = field(default_factory=LabNeeds)
    images: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    track: Track = "own"


def check_id(value: str) -> str:
    """The id as it is. Raises ValueError for what is none."""
    if not ID.fullmatch(value):
        raise ValueError(f"{value!r} is no id: lower-case words with hyphens between, like voting-app")
    return value


@dataclass(frozen=True)
class Fence:
    """A code block that runs: on a node, on each of a group (`@manager`, `@all`), or on the learner's machine (`host`).

    solve    only the solution types it; a learner does not see it before the solution
    edit     shown, and must be changed before it is typed: it never runs by itself
    fail_ok  it may end with an error
    reset    takes away what the exercise made; nobody sees it
    setup    runs before the learner sees the step, a fault for example; nobody sees it
    undo     takes back the `wrong` or `right` block before it; nobody sees it
    wrong    a common mistake, and what the learner is told of it; typed only to verify the exercise
    solved   the mistake is made when the step is solved, on top of that
    right    another way to solve the step; typed only to verify the exercise
    answer   the id of the question that what it prints answers: rightly in a `solve` block, wrongly in a `wrong` one
    """

    node: str
    code: str
    language: str
    line: int
    solve: bool = False
    edit: bool = False
    fail_ok: bool = False
    reset: bool = False
    setup: bool = False
    undo: bool = False
    right: bool = False
    wrong: str = ""
    solved: bool = False
    answer: str = ""

    @property
    def is_seen(self) -> bool:
        """Whether the text of the step shows it to the learner."""
        return not (self.solve or self.is_behind_the_scenes)

    @property
    def is_labctls(self) -> bool:
        """Whether labctl runs it, and no person types it, rightly or wrongly."""
        return self.reset or self.setup or self.undo

    @property
    def is_behind_the_scenes(self) -> bool:
        """Whether it is no part of the way through the exercise."""
        return bool(self.is_labctls or self.right or self.wrong)


@dataclass(frozen=True)
class Mistake:
    """A common mistake: the block that makes it, what the learner is told then, and the blocks that take it back.

    It is made before the step is solved, or on top of the solution.
    """

    made_by: Fence
    undone_by: tuple[Fence, ...]

    @property
    def told(self) -> str:
        """What the check says of it: a part of its sentence."""
        return self.made_by.wrong


@dataclass(frozen=True)
class Way:
    """Another way to solve a step: the block that goes it, and the blocks that take it back."""

    gone_by: Fence
    undone_by: tuple[Fence, ...]


@dataclass(frozen=True)
class Step:
    """One step: `text` is Markdown without hints and solution, `fences` are all of its runnable blocks in order.

    `debrief` tells, once it is done, what happened and why. `minutes` is how long it takes (0: not said). An
    `optional` step need not be done. What a `passing` step leaves behind may be taken away by a later one: it counts
    as done because it was seen done.
    """

    id: str
    title: str
    line: int
    text: str
    fences: tuple[Fence, ...]
    hints: tuple[str, ...] = ()
    solution: str = ""
    debrief: str = ""
    minutes: int = 0
    optional: bool = False
    passing: bool = False
    questions: tuple[Question, ...] = ()

    @property
    def played(self) -> tuple[Fence, ...]:
        """What solves the step: every block that runs as it stands."""
        return tuple(fence for fence in self.fences if not fence.edit and not fence.is_behind_the_scenes)

    @property
    def setup(self) -> tuple[Fence, ...]:
        """What runs before the learner sees the step."""
        return tuple(fence for fence in self.fences if fence.setup)

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The common mistakes, each with what takes it back."""
        return tuple(Mistake(made_by, undone_by) for made_by, undone_by in self._tried if made_by.wrong)

    @property
    def ways(self) -> tuple[Way, ...]:
        """Other ways to solve it, each with what takes it back."""
        return tuple(Way(gone_by, undone_by) for gone_by, undone_by in self._tried if gone_by.right)

    @property
    def _tried(self) -> Iterator[tuple[Fence, tuple[Fence, ...]]]:
        """The blocks that only verify the exercise, each with the `undo` blocks behind it."""
        behind = [fence for fence in self.fences if fence.wrong or fence.right or fence.undo]
        for number, fence in enumerate(behind):
            if not fence.undo:
                yield fence, tuple(takewhile(lambda one: one.undo, behind[number + 1 :]))

    def question(self, name: str) -> Question:
        """The question of that id. Raises NotFoundError with the nearest id."""
        for question in self.questions:
            if question.id == name:
                return question
        raise NotFoundError("question", name, [question.id for question in self.questions])


@dataclass(frozen=True)
class Exercise:
    """An exercise as its folder holds it, in one language.

    `stale` tells what the translation that was asked for lacks; this is the original then.
    """

    folder: Path
    front: Front
    intro: str
    steps: tuple[Step, ...]
    reset: tuple[Fence, ...] = ()
    language: str = "en"
    stale: str = ""

    @property
    def id(self) -> str:
        """Its name on the command line."""
        return self.front.id

    @property
    def checks(self) -> Path:
        """The file with its checks."""
        return self.folder / checks_name(self.id)

    @property
    def files(self) -> dict[str, Path]:
        """What is put on the nodes: relative path -> file."""
        top = self.folder / "files"
        found = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else []
        return {path.relative_to(top).as_posix(): path for path in found}

    @property
    def place(self) -> str:
        """Where a node has its files."""
        return f"/exercise/{self.id}"

    def step(self, name: str) -> Step:
        """The step of that id or number, from 1. Raises NotFoundError with the nearest id."""
        if name.isdigit() and 1 <= int(name) <= len(self.steps):
            return self.steps[int(name) - 1]
        for step in self.steps:
            if step.id == name:
                return step
        known = [step.id for step in self.steps]
        hint = f"Steps have numbers too, 1 to {len(self.steps)}."
        raise NotFoundError("step", name, known, hint=hint, in_order=True)

    def number(self, step: Step) -> int:
        """The step's number, from 1."""
        return self.steps.index(step) + 1

    @property
    def required(self) -> tuple[Step, ...]:
        """The steps that make the exercise done."""
        return tuple(step for step in self.steps if not step.optional)


def checks_name(id_: str) -> str:
    """The name of the file with an exercise's checks."""
    return f"test_{id_.replace('-', '_')}.py"
