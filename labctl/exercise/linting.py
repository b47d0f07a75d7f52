"""An exercise's checks as their file describes them, read and never run, held against the exercise's steps."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labctl.errors import SpecError
from labctl.exercise.methods import misspelt
from labctl.exercise.model import Exercise

__all__ = ["Check", "Checks", "named_values", "read_checks", "title_of"]

FIXTURES = (
    "lab",
    "node",
    "managers",
    "workers",
    "swarm",
    "answer",
    "observer",
    "request",
    "capsys",
    "capfd",
    "pytestconfig",
)
MARKS = ("step", "guard", "probe", "every", "observer", "parametrize")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Check:
    """A check as its file describes it."""

    name: str
    title: str
    steps: tuple[str, ...]
    guard: bool
    line: int


@dataclass
class Checks:
    """All checks of a file, and what is wrong with them, each with its line."""

    checks: list[Check] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_checks(exercise: Exercise) -> Checks:
    """Read the exercise's file of checks. Raises SpecError, with the line, for what is no Python."""
    path = exercise.checks
    tree = _parsed(path)
    beside = path.with_name("conftest.py")
    shared = _parsed(beside) if beside.is_file() else ast.Module([], [])
    reader = _Reader(path, tree, {*FIXTURES, *_fixtures(tree), *_fixtures(shared)})
    reader.problems += [*_missing_modules(beside, shared), *_missing_modules(path, tree)]
    reader.problems += [*_unknown_names(beside, shared), *_unknown_names(path, tree)]
    for function in _functions(tree):
        reader.read(function)
    return Checks(reader.checks, reader.problems)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as wrong:
        problem = f"{path}:{wrong.lineno or 1}: this is no Python: {wrong.msg}"
    except ValueError as wrong:
        problem = f"{path}: this is no Python: {wrong}"
    raise SpecError([problem], source=str(path), hint="`python3 -m py_compile FILE` tells the same.")


def _missing_modules(path: Path, tree: ast.Module) -> Iterator[str]:
    """The modules that a file imports as it is read and that are not there, by their first words: nothing is run."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for first in (name.partition(".")[0] for name in names):
            is_beside = path.with_name(f"{first}.py").is_file() or path.with_name(first).is_dir()
            if not is_beside and importlib.util.find_spec(first) is None:
                yield f"{path}:{node.lineno}: there is no module {first} to import"


def _unknown_names(path: Path, tree: ast.Module) -> Iterator[str]:
    """The names that stand for nothing; found without running a line."""
    from pyflakes.checker import Checker
    from pyflakes.messages import UndefinedName

    for message in Checker(tree, filename=str(path)).messages:
        if isinstance(message, UndefinedName):
            yield f"{path}:{message.lineno}: there is no name {message.message_args[0]}"


def _functions(tree: ast.Module) -> Iterator[FUNCTION]:
    """The functions that pytest takes for tests."""
    for node in tree.body:
        if isinstance(node, FUNCTION) and node.name.startswith("test"):
            yield node
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from (one for one in node.body if isinstance(one, FUNCTION) and one.name.startswith("test"))


def _fixtures(tree: ast.Module) -> Iterator[str]:
    """The fixtures that a file defines, and what it imports: that may be one too."""
    for node in tree.body:
        if isinstance(node, FUNCTION) and any(_dotted(one)[-1:] == ["fixture"] for one in node.decorator_list):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (name.asname or name.name for name in node.names)


def _dotted(node: ast.expr) -> list[str]:
    """`pytest.mark.step("a")` as ["pytest", "mark", "step"]; empty for what is no such name."""
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return [*before, node.attr] if before else []
    return [node.id] if isinstance(node, ast.Name) else []


def named_values(tree: ast.Module) -> dict[str, ast.expr]:
    """What the names of a module stand for that are given a value at its top."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def title_of(function: FUNCTION) -> str:
    """What a learner sees ticked: the first line of the docstring; empty without one."""
    doc = (ast.get_docstring(function) or "").strip()
    return doc.splitlines()[0].strip() if doc else ""


class _Reader:
    def __init__(self, path: Path, tree: ast.Module, fixtures: set[str]) -> None:
        self.path = path
        self.fixtures = fixtures
        self.checks: list[Check] = []
        self.problems: list[str] = []
        # Names of the module that stand for something simple: `step = pytest.mark.step`, `LATER = ("a", "b")`.
        self._named = named_values(tree)
        everywhere = self._named.get("pytestmark")
        self._everywhere = list(everywhere.elts) if isinstance(everywhere, ast.List | ast.Tuple) else [everywhere]

    def read(self, function: FUNCTION) -> None:
        """Take in a test function."""
        marks = list(self._marks(function))
        steps = tuple(step for name, node in marks if name == "step" for step in self._steps(node))
        guard = any(name == "guard" for name, _ in marks)
        if not steps and not guard and not any(name == "step" for name, _ in marks):
            self._problem(function, f'{function.name} belongs to no step: @pytest.mark.step("id") is missing')
        title = title_of(function)
        if not title:
            self._problem(
                function, f"{function.name}: it has no docstring: its first line is what the learner sees ticked"
            )
        self.checks.append(Check(function.name, title, steps, guard, function.lineno))
        self._check_arguments(function, marks)
        for line, text in misspelt(function):
            self.problems.append(f"{self.path}:{line}: {function.name}: {text}")

    def _marks(self, function: FUNCTION) -> Iterator[tuple[str, ast.expr]]:
        for node in [*function.decorator_list, *filter(None, self._everywhere)]:
            bare = node.func if isinstance(node, ast.Call) else node
            meant = self._named.get(bare.id, bare) if isinstance(bare, ast.Name) else bare
            words = _dotted(meant)
            if len(words) < 3 or words[:2] != ["pytest", "mark"]:
                continue
            if words[2] not in MARKS:
                near = difflib.get_close_matches(words[2], MARKS, n=1)
                offer = f"did you mean {near[0]}?" if near else f"there is {', '.join(MARKS)}"
                self._problem(node, f"{function.name}: there is no mark {words[2]}: {offer}")
            # `once = pytest.mark.step("a")` has its words where it was named.
            yield words[2], node if isinstance(node, ast.Call) else meant

    def _steps(self, node: ast.expr) -> Iterator[str]:
        for argument in node.args if isinstance(node, ast.Call) else ():
            try:
                yield from self._texts(argument)
            except ValueError:
                self._problem(argument, "the ids of steps stand there as they are: they are read, and nothing is run")

    def _texts(self, node: ast.expr) -> Iterator[str]:
        """The strings that an argument stands for. Raises ValueError where only running it would tell."""
        if isinstance(node, ast.Starred):
            node = node.value
        if isinstance(node, ast.Name):
            node = self._named.get(node.id, node)
        value = ast.literal_eval(node)
        yield from (str(one) for one in value) if isinstance(value, list | tuple) else (str(value),)

    def _check_arguments(self, function: FUNCTION, marks: Sequence[tuple[str, ast.expr]]) -> None:
        own = {name for kind, node in marks if kind == "parametrize" for name in _parameters(node)}
        arguments = [*function.args.posonlyargs, *function.args.args]
        arguments = arguments[: len(arguments) - len(function.args.defaults)] + function.args.kwonlyargs
        for argument in arguments:
            name = argument.arg
            if name == "host":
                self._problem(argument, f'{function.name}: `host` would be the learner\'s own machine: take node("m1")')
            elif name not in self.fixtures | own | {"self"}:
                near = difflib.get_close_matches(name, sorted(self.fixtures), n=1)
                offer = f"did you mean {near[0]}?" if near else f"there is {', '.join(FIXTURES[:7])}"
                self._problem(argument, f"{function.name}: there is no fixture {name}: {offer}")

    def _problem(self, node: ast.expr | ast.arg | FUNCTION, text: str) -> None:
        self.problems.append(f"{self.path}:{node.lineno}: {text}")


def _parameters(node: ast.expr) -> list[str]:
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    try:
        names = ast.literal_eval(first) if first is not None else ""
    except ValueError:
        return []
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else [str(name) for name in names]
