"""What an exercise is: its front matter, and its steps with their fences, hints and solutions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from labctl.errors import NotFoundError

__all__ = ["FORMAT", "GROUPS", "HOST", "ID", "Exercise", "Fence", "Front", "LabNeeds", "Step"]

FORMAT = 1
ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
HOST = "host"  # as a fence's node: the learner's own machine
GROUPS = {"@manager": "every manager", "@worker": "every worker", "@all": "every node"}


class _Part(BaseModel):
    """Strict about what it is given: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabNeeds(_Part):
    """The lab that an exercise needs: so many nodes at least."""

    managers: Annotated[int, Field(ge=1, le=7, description="how many managers, at least")] = 1
    workers: Annotated[int, Field(ge=0, le=100, description="how many workers, at least")] = 2
    spare: Annotated[int, Field(ge=0, le=100, description="how many nodes that are in no swarm")] = 0
    swarm: Literal["formed", "empty"] = Field("formed", description="empty: init and join are the learner's")

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


class Front(_Part):
    """The front matter of exercise.md."""

    format: Literal[1] = Field(description="the version of the format; 1")
    id: str = Field(description="the exercise's name for the command line, and its folder's")
    title: str = Field(min_length=1, max_length=60, description="what it is called")
    summary: str = Field(min_length=1, max_length=120, description="what a learner gets out of it, in one line")
    level: Literal["beginner", "intermediate", "advanced"] = "beginner"
    minutes: Annotated[int, Field(ge=1, le=180, description="how long it takes a learner")]
    needs: tuple[str, ...] = Field((), description="ids of the exercises to do before")
    lab: LabNeeds = LabNeeds()
    images: tuple[str, ...] = Field((), description="the images that it uses")
    ports: dict[str, Annotated[int, Field(ge=1, le=65535)]] = Field(
        default_factory=dict, description="published ports that the learner's browser shall reach, by name"
    )

    @field_validator("id")
    @classmethod
    def _check_id(cls, value: str) -> str:
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
    """

    node: str
    code: str
    language: str
    line: int
    solve: bool = False
    edit: bool = False
    fail_ok: bool = False
    reset: bool = False


@dataclass(frozen=True)
class Step:
    """One step: `text` is Markdown without hints and solution, `fences` are all of its runnable blocks in order."""

    id: str
    title: str
    line: int
    text: str
    fences: tuple[Fence, ...]
    hints: tuple[str, ...] = ()
    solution: str = ""

    @property
    def played(self) -> tuple[Fence, ...]:
        """What solves the step: every block that runs as it stands."""
        return tuple(fence for fence in self.fences if not fence.edit and not fence.reset)


@dataclass(frozen=True)
class Exercise:
    """An exercise as its folder holds it."""

    folder: Path
    front: Front
    intro: str
    steps: tuple[Step, ...]
    reset: tuple[Fence, ...] = ()

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


def checks_name(id_: str) -> str:
    """The name of the file with an exercise's checks."""
    return f"test_{id_.replace('-', '_')}.py"
