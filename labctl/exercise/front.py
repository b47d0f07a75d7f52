"""The front matter of exercise.md, with the line of every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labctl.exercise.model import FORMAT, Front, LabNeeds, Level, Swarm, Track, check_id
from labctl.spec.document import BadYaml, Document, load
from labctl.spec.shapes import Read, between, each_of, of_kind, one_of, read_part, values_of

__all__ = ["Problem", "read_front"]

Problem = tuple[int, str]  # a line, from 1, and what is wrong there
FENCE = "---"


def read_front(lines: Sequence[str], folder: str) -> tuple[Front | None, int, list[Problem]]:
    """Read the front matter of the exercise in a folder of that name.

    Returns it (None where it is of no use), the number of lines that it takes, and what is wrong with it.
    """
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), 0)
    if not lines or lines[0].rstrip() != FENCE or not end:
        return None, 0, [(1, f"it begins with front matter between two lines {FENCE}: format, id, title, summary, ...")]
    try:
        document = load("\n".join(["", *lines[1:end]]))
    except BadYaml as bad:
        return None, end + 1, [(bad.line or 1, bad.problem)]
    value = document.value if isinstance(document.value, dict) else {}
    said = value.get("format", FORMAT)
    if said != FORMAT:
        line = document.line_of(("format",)) or 1
        return None, end + 1, [(line, f"format {said!r} is not known here: this labctl reads format {FORMAT}")]
    front, problems = _validated(document)
    problems += [(twice.line or 1, twice.problem) for twice in document.twice]
    if front is not None and front.id != folder:
        problems.append((document.line_of(("id",)) or 1, f"id: the folder is called {folder}, not {front.id}"))
    return front, end + 1, problems


def _validated(document: Document) -> tuple[Front | None, list[Problem]]:
    try:
        return Front(**read_part(document.value, FRONT)), []
    except (ValueError, TypeError):
        return _checked(document)  # with pydantic, which tells what is wrong


def _checked(document: Document) -> tuple[Front | None, list[Problem]]:
    from pydantic import ValidationError

    from labctl.exercise.checked import FrontModel

    try:
        return FrontModel.model_validate(document.value or {}).plain(), []
    except ValidationError as invalid:
        problems: list[Problem] = []
        for error in invalid.errors(include_url=False):
            where = error["loc"]
            text = _told(error["type"], error["msg"], list(FrontModel.model_fields))
            problems.append((document.line_of(where) or 1, f"{'.'.join(map(str, where))}: {text}"))
        return None, problems


def _told(kind: str, message: str, keys: Sequence[str]) -> str:
    if kind == "missing":
        return "it is missing"
    if kind == "extra_forbidden":
        return f"there is no such key; there is {', '.join(keys)}"
    return message.removeprefix("Value error, ").replace("Input should", "it should")


def _text(most: int) -> Read:
    def check(value: str) -> str:
        if not 1 <= len(value) <= most:
            raise ValueError(f"{len(value)} characters")
        return value

    return of_kind(str, check)


LAB: Mapping[str, Read] = {
    "managers": between(1, 7),
    "workers": between(0, 100),
    "spare": between(0, 100),
    "swarm": one_of(Swarm),
}
FRONT: Mapping[str, Read] = {
    "format": between(FORMAT, FORMAT),
    "id": of_kind(str, check_id),
    "title": _text(60),
    "summary": _text(120),
    "level": one_of(Level),
    "minutes": between(1, 180),
    "needs": each_of(of_kind(str)),
    "lab": lambda value: LabNeeds(**read_part(value, LAB)),
    "images": each_of(of_kind(str)),
    "ports": values_of(between(1, 65535)),
    "track": one_of(Track),
}
