"""An exercise as Markdown from beginning to end: what a learner reads, and what only its authors see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labctl.checks.sentences import translated
from labctl.errors import LabctlError
from labctl.exercise.linting import read_checks
from labctl.exercise.model import Exercise, Fence, Step
from labctl.exercise.reading import read_original
from labctl.exercise.telling import heading, led
from labctl.exercise.verify import lint

__all__ = ["preview", "problems_of", "stamp"]


def preview(exercise: Exercise, step: Step | None = None) -> Iterator[str]:
    """The whole exercise, or one step of it; {{node.m1.ip}} and the like stay as they are: there is no lab."""
    if step is None:
        yield f"# {exercise.front.title}\n\n{exercise.front.summary}"
        if exercise.intro:
            yield exercise.intro
    for shown in exercise.steps if step is None else (step,):
        yield from _step(exercise, shown)


def problems_of(folder: Path) -> list[str]:
    """What `lint` says of the exercise in a folder, in all its languages; empty when it is content."""
    try:
        lint(read_original(folder))
    except LabctlError as problem:
        return problem.message.splitlines()
    return []


def stamp(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Tells one state of an exercise's files from another."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return frozenset((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def _step(exercise: Exercise, step: Step) -> Iterator[str]:
    yield heading(exercise.number(step), len(exercise.steps), step)
    yield step.text
    sentences = translated(exercise.folder, exercise.language)
    titles = [check.title for check in read_checks(exercise).checks if step.id in check.steps]
    ticked = [sentences.get(title, title) for title in titles]
    if ticked:
        yield "\n".join(["**Ticked:**", "", *(f"- {title}" for title in ticked)])
    for number, hint in enumerate(step.hints, 1):
        yield led(f"Hint {number} of {len(step.hints)}.", hint)
    if step.solution:
        yield f"**Solution.**\n\n{step.solution}"
    for fence in step.fences:
        if not fence.is_seen and fence.code.strip() not in step.solution:
            yield _unseen(fence)
    if step.debrief:
        yield led("Debrief.", step.debrief)


def _unseen(fence: Fence) -> str:
    """A block that only its author sees, and when it runs."""
    if fence.wrong:
        why = f"a mistake, told as “{fence.wrong}”"
    else:
        why = next(what for what in ("setup", "undo", "reset", "right", "solve") if getattr(fence, what))
    return f"**Not shown** ({why}), on {fence.node}:\n\n```{fence.language}\n{fence.code.rstrip()}\n```"
