"""The house keeps itself small and told: no long file, no long function, nothing public without a word on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import labctl

ROOT = Path(labctl.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "_data" not in path.parts)
UNITS = Path(__file__).parent
LONGEST_FILE = 400  # lines
LONGEST_FUNCTION = 40
# The command line's boundary: whatever arrives there is told as a bug.
MAY_CATCH_ALL = ["cli/main.py"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public_parts(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public functions and classes, and the public methods of these."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public_parts(node.body, f"{node.name}.")


def length_of(function: Function) -> int:
    """Lines from `def` to the end; decorators are no part of what a function does."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_no_file_is_long() -> None:
    lengths = {place(path): len(text_of(path).splitlines()) for path in FILES}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    lengths = {
        f"{place(path)}: {node.name}": length_of(node)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, Function)
    }

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_every_file_begins_with_what_it_is() -> None:
    assert [place(path) for path in FILES if not ast.get_docstring(tree_of(path))] == []


def test_everything_public_says_what_it_is() -> None:
    silent = [
        f"{place(path)}: {name}"
        for path in FILES
        for name, node in public_parts(tree_of(path).body)
        if not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_error_is_swallowed_whole() -> None:
    blind = [
        place(path)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    ]

    assert blind == MAY_CATCH_ALL


def test_unit_tests_are_where_what_they_test_is() -> None:
    folders = {path.parent.relative_to(UNITS) for path in UNITS.rglob("test_*.py")}

    assert [str(folder) for folder in folders if not (ROOT / folder).is_dir()] == []
