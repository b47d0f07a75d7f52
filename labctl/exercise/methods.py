"""Words on `swarm` that it does not have, found by following a check's own names; nothing is run."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterator
from functools import cache

__all__ = ["misspelt"]


@cache
def _classes() -> dict[str, type]:
    from labctl.checks import swarm

    return {name: getattr(swarm, name) for name in swarm.__all__}


def misspelt(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """The lines of a check that ask `swarm`, or what came of it, for a word that is not there."""
    if "swarm" not in {argument.arg for argument in function.args.args}:
        return
    kinds = {"swarm": "Swarm"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, kind = node.targets[0].id, _kind_of(node.value, kinds)
            # A name that stands for two things stands for nothing that is known.
            kinds[name] = kind if kinds.get(name, kind) == kind else ""
    for node in ast.walk(function):
        if not isinstance(node, ast.Attribute):
            continue
        kind = _kind_of(node.value, kinds)
        words = _words(kind)
        if words and node.attr not in words:
            near = difflib.get_close_matches(node.attr, sorted(words), n=1)
            offer = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(words))}"
            yield node.lineno, f"{ast.unparse(node.value)} has no {node.attr}: {offer}"


def _words(kind: str) -> set[str]:
    found = _classes().get(kind)
    if found is None:
        return set()
    return {name for name in (*dir(found), *inspect.get_annotations(found)) if not name.startswith("_")}


def _kind_of(node: ast.expr, kinds: dict[str, str]) -> str:
    """Which of the classes of `swarm` an expression is; empty for all else."""
    if isinstance(node, ast.Name):
        return kinds.get(node.id, "")
    called = isinstance(node, ast.Call)
    target = node.func if isinstance(node, ast.Call) else node
    if not isinstance(target, ast.Attribute):
        return ""
    found = _classes().get(_kind_of(target.value, kinds))
    if found is None:
        return ""
    member = inspect.getattr_static(found, target.attr, None)
    if called:
        told = getattr(member, "__annotations__", {}).get("return", "")
    else:
        getter = getattr(member, "fget", None) or getattr(member, "func", None)
        told = getattr(getter, "__annotations__", {}).get("return", inspect.get_annotations(found).get(target.attr, ""))
    return told if isinstance(told, str) and told in _classes() else ""
