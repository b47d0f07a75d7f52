"""docs/tutorials.md is true: a row for each thing of the tutorials, and what it quotes is run where it says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.exercise import Exercise, Step, read_exercise
from labctl.spec import read_mapping
from labctl.swarm.stackfile import read_stack_file

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorials.md"
# How many things each of the five tutorials lets people type or see. The first one is numbered from 0.
COUNTS = {0: 7, 1: 18, 2: 23, 3: 20, 4: 9}
IDS = [f"{tutorial}-{number}" for tutorial, last in COUNTS.items() for number in range(1, last + 1)]

AS_WRITTEN, WORD, CORRECTED = "as written", "labctl's word", "corrected"
NOT_RUNNABLE, NOT_PLAYED = "not runnable", "not played yet"
KINDS = {AS_WRITTEN, WORD, CORRECTED, NOT_RUNNABLE, NOT_PLAYED}
NO_LESSON = "not in a lesson yet"

LINKED = re.compile(r"\[[^]]+\]\(([^)]+)\)([^[]*)")  # a link, and what stands behind it up to the next one
SPAN = re.compile(r"`([^`]+)`")
LESSON = re.compile(r"\.\./exercises/([a-z0-9-]+)/exercise\.md")
OTHERS = "…"  # in a quotation: whatever stands there


@dataclass(frozen=True)
class Place:
    """Where something is played: an exercise's step, or a test."""

    name: str
    text: str  # its commands, a line each
    stacks: tuple[Any, ...]  # the stack files that it deploys, read

    def has(self, quoted: str) -> bool:
        """Whether it runs a command, or deploys a file with some keys."""
        keys = yaml.safe_load(quoted) if ": " in quoted and OTHERS not in quoted else None
        if isinstance(keys, dict):
            return any(holds(stack, keys) for stack in self.stacks)
        return bool(pattern(quoted).search(self.text))


@dataclass(frozen=True)
class Row:
    """A row of one of the tables."""

    id: str
    what: str
    quoted: tuple[str, ...]
    where: str
    kind: str
    note: str

    @property
    def places(self) -> list[Place]:
        """The steps and the tests that it names; each of them has to be there."""
        found: list[Place] = []
        for link, behind in LINKED.findall(self.where):
            make = in_lesson if LESSON.fullmatch(link) else in_test
            found += [make(link, name) for name in SPAN.findall(behind)]
        return found


def rows() -> Iterator[Row]:
    """The rows of all tables whose first cell is an id."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and re.fullmatch(r"\d-\d+", cells[0]):
            id_, what, quoted, where, last = cells
            kind, note = re.fullmatch(r"([a-z' ]+)(.*)", last).groups()  # type: ignore[union-attr]  # fails as it should
            yield Row(id_, what, tuple(SPAN.findall(quoted)), where, kind, note.strip(" :."))


def pattern(quoted: str) -> re.Pattern[str]:
    """What finds a quoted command, with any spaces between its words, and not as a part of longer words."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in quoted.split(OTHERS)]
    return re.compile(r"(?<![\w-])" + r".*?".join(parts) + r"(?![\w-])")


def holds(whole: Any, keys: Any) -> bool:
    """Whether the keys with these values stand together somewhere in a document."""
    if contains(whole, keys):
        return True
    inner = whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ()
    return any(holds(value, keys) for value in inner)


def contains(whole: Any, part: Any) -> bool:
    """Whether a document has all that is in a part of one: of a mapping the keys, of a list the items."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(item in whole for item in part)
    return bool(whole == part)


@cache
def exercise(name: str) -> Exercise:
    """An exercise of labctl's, by its id."""
    return read_exercise(ROOT / "exercises" / name)


def in_lesson(link: str, name: str) -> Place:
    """The step of that id: what a learner runs as it stands, what the solution runs, and what sets it up."""
    lesson = exercise(LESSON.fullmatch(link)[1])  # type: ignore[index]  # asked before
    step: Step = lesson.step(name)
    assert step.id == name
    text = "\n".join(fence.code for fence in (*step.played, *step.setup)).replace("\\\n", " ")
    files = [path for file, path in lesson.files.items() if f"{lesson.place}/{file}" in text]
    stacks = tuple(yaml.safe_load(path.read_text()) for path in files if path.suffix == ".yml")
    return Place(f"{lesson.id} {name}", text, stacks)


def in_test(link: str, name: str) -> Place:
    """The test of that name, and the stack files that its module holds."""
    source = (PAGE.parent / link).read_text()
    body = ast.parse(source).body
    (found,) = (part for part in body if isinstance(part, ast.FunctionDef) and part.name == name)
    texts = [part.value.value for part in body if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant)]
    read = [yaml.safe_load(text) for text in texts if isinstance(text, str) and "services:" in text]
    return Place(name, ast.get_source_segment(source, found) or "", tuple(read))


ROWS = list(rows())
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def test_everything_has_one_row_in_the_tutorials_order() -> None:
    assert [row.id for row in ROWS] == IDS


@each_row
def test_a_row_says_what_it_is_and_where(row: Row) -> None:
    assert row.kind in KINDS
    assert row.what and row.where
    assert row.note or row.kind in (AS_WRITTEN, WORD, NOT_PLAYED), "what was wrong, or why not"
    in_lessons = any(LESSON.fullmatch(link) for link, _ in LINKED.findall(row.where))
    assert in_lessons or NO_LESSON in row.where
    assert not (row.kind == NOT_PLAYED and row.places)
    assert row.places or row.kind in (NOT_RUNNABLE, NOT_PLAYED)


@each_row
def test_what_a_row_quotes_is_run_where_it_says(row: Row) -> None:
    """Of labctl's own words, tests/unit/test_docs.py sees that they are commands."""
    if row.kind in (NOT_PLAYED, NOT_RUNNABLE):
        return
    quoted = [text for text in row.quoted if "labctl " not in text]
    for text in quoted:
        assert any(place.has(text) for place in row.places), f"nobody runs {text}"
    for place in row.places:
        is_free = row.kind == WORD and place.name.startswith("test_")  # it may say the words one by one
        assert is_free or any(place.has(text) for text in row.quoted), f"{place.name} has nothing of the row"


def test_each_row_that_is_played_quotes_something() -> None:
    silent = [row.id for row in ROWS if not row.quoted and row.kind in (AS_WRITTEN, CORRECTED)]

    assert silent == []


def blocks() -> list[str]:
    """The page's blocks of YAML: a lab, and a stack."""
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_lab_with_the_tutorials_names_is_the_one_that_is_tested() -> None:
    from tests.integration.test_seeds import NODES

    lab = yaml.safe_load(blocks()[0])

    assert lab == {"name": "compose", "nodes": NODES, "swarm": "empty", "bare_names": True}
    assert [node.name for node in read_mapping(lab).all_nodes()] == [node["name"] for node in NODES]


def test_the_corrected_stack_file_has_what_the_rows_name(tmp_path: Path) -> None:
    (tmp_path / "psql-password.txt").write_text("x")
    path = tmp_path / "docker-stack.yml"
    path.write_text(blocks()[1])

    assert read_stack_file(path, {}).services == ("web", "agent", "db")
    stack = yaml.safe_load(blocks()[1])
    missing = [row.id for row in ROWS if row.kind == NOT_PLAYED for keys in _keys(row) if not holds(stack, keys)]
    assert missing == []


def _keys(row: Row) -> list[dict[str, Any]]:
    read = [yaml.safe_load(text) for text in row.quoted if ": " in text]
    return [keys for keys in read if isinstance(keys, dict)]


@pytest.mark.parametrize(
    ("quoted", "has"),
    [
        ("docker swarm join", True),
        ("docker swarm", True),
        ("docker swarm join-token", False),
        ("docker   swarm … ip:2377", True),
        ("swarm jo", False),
        ("image: nginx", True),
        ("deploy: {replicas: 2}", True),
        ("deploy: {replicas: 3}", False),
        ("networks: [back]", True),
        ("networks: [other]", False),
    ],
)
def test_a_quotation_is_found_as_words_or_as_keys(quoted: str, has: bool) -> None:
    stack = {"services": {"web": {"image": "nginx", "deploy": {"replicas": 2, "mode": "x"}, "networks": ["a", "back"]}}}

    assert Place("here", "x\ndocker swarm join --token 1 ip:2377\n", (stack,)).has(quoted) is has
