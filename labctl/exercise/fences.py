"""The words behind the language of a code block in exercise.md: where it runs, and what it is for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from labctl.exercise.model import GROUPS, HOST, Fence

__all__ = ["NODE", "RUNS", "Words", "read_fence", "words_of"]

RUNS = ("sh", "bash", "shell", "console")
NODE = re.compile(r"[mw][1-9]\d*|host|@manager|@worker|@all")
FLAGS = {
    "solve": "solve",
    "edit": "edit",
    "fail=ok": "fail_ok",
    "reset": "reset",
    "setup": "setup",
    "undo": "undo",
    "solved": "solved",
    "right": "right",
}
VALUES = {"wrong": 'wrong="what is said"', "answer": "answer=ID"}
# Of these a block is one at most: each says who types it.
TYPISTS = ("solve", "edit", "reset", "setup", "undo", "wrong", "right")

Words = list[tuple[str, str | None]]
Problem = tuple[int, str]


def words_of(info: str) -> tuple[str, Words] | None:
    """The language of a block, and `key=value` or a bare word each; None where a quote is not closed."""
    try:
        language, *rest = shlex.split(info) or [""]
    except ValueError:
        return None
    pairs = (word.partition("=") for word in rest)
    return language, [(key, value if sign else None) for key, sign, value in pairs]


def read_fence(language: str, words: Words, code: str, line: int) -> tuple[Fence | None, list[Problem]]:
    """Read a block that may run, and what is wrong with it; None for one that is only to be read."""
    nodes = [value or "" for key, value in words if key == "node"]
    flags: dict[str, Any] = {FLAGS[said]: True for said in map(_said, words) if said in FLAGS}
    values: dict[str, Any] = {key: value for key, value in words if key in VALUES and value}
    problems = [(line, _meaningless(said)) for said in _unknown(words)]
    if len(nodes) != 1:
        if nodes or language in RUNS or words:
            problems.append((line, "a block that runs says where, once: ```sh node=m1 (or ```text if it does not run)"))
        return None, problems
    if not NODE.fullmatch(nodes[0]):
        problems.append((line, f"node={nodes[0]}: there is m1, m2, ..., w1, w2, ..., {', '.join(GROUPS)}, and {HOST}"))
    if not code.strip():
        problems.append((line, "the code block is empty"))
    kinds = [kind for kind in TYPISTS if kind in flags or kind in values]
    if len(kinds) > 1:
        problems.append((line, f"a block is one of {' and '.join(kinds)}, not both"))
    if "answer" in values and "solve" not in flags and "wrong" not in values:
        problems.append((line, "a block with answer= gives a question's answer away: it is a `solve` block"))
    if "solved" in flags and "wrong" not in values:
        problems.append((line, '`solved` says when a mistake is made: it stands beside wrong="what is said"'))
    return Fence(nodes[0], code.rstrip("\n"), language, line, **flags, **values), problems


def _said(word: tuple[str, str | None]) -> str:
    return word[0] if word[1] is None else f"{word[0]}={word[1]}"


def _unknown(words: Sequence[tuple[str, str | None]]) -> list[str]:
    return [
        _said((key, value))
        for key, value in words
        if key != "node" and _said((key, value)) not in FLAGS and not (key in VALUES and value)
    ]


def _meaningless(said: str) -> str:
    there = ", ".join(["node=m1", *FLAGS, *VALUES.values()])
    return f"{said!r} means nothing on a code block; there is {there}"
