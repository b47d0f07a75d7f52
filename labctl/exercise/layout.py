"""What is left open in exercise.md, and files that are not there: found before, and without, reading its steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["missing_files", "unclosed"]

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
TAG = re.compile(r"<(/?)details\b", re.IGNORECASE)
STEP = re.compile(r" {0,3}##\s")
FILE = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)|<img\b[^>]*\bsrc=[\"']?([^\"'\s>]+)", re.IGNORECASE)
CODE = re.compile(r"`[^`]*`")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)

Problem = tuple[int, str]  # a line, from 1, and what is wrong there


@dataclass(frozen=True)
class _Line:
    """A line outside of code blocks."""

    number: int
    text: str


def unclosed(lines: Sequence[str], begin: int = 0) -> list[Problem]:
    """The code blocks and the <details> that are opened and never closed; `begin` lines are the front matter's."""
    text, opened = _outside(lines, begin)
    if opened is not None:
        return [(opened[0], f"the code block that begins here is not closed by {opened[1]}")]
    problems: list[Problem] = []
    open_at = 0
    for line in text:
        if open_at and STEP.match(line.text):
            problems.append((open_at, "<details> is not closed by </details> before the next step"))
            open_at = 0
        for tag in TAG.finditer(CODE.sub("", line.text)):
            if tag[1]:
                open_at = 0
            elif open_at:
                problems.append(
                    (open_at, f"<details> is not closed by </details> before the one in line {line.number}")
                )
                open_at = line.number
            else:
                open_at = line.number
    if open_at:
        problems.append((open_at, "<details> is not closed by </details>"))
    return problems


def missing_files(lines: Sequence[str], folder: Path) -> list[Problem]:
    """The pictures and files that the text leads to, and that are not there."""
    return [
        (line.number, f"the file {name} is not there")
        for line in _outside(lines, 0)[0]
        for name in _files(line.text)
        if not ELSEWHERE.match(name) and not (folder / name).is_file()
    ]


def _files(text: str) -> Iterator[str]:
    for found in FILE.finditer(CODE.sub("", text)):
        yield found[1] or found[2]


def _outside(lines: Sequence[str], begin: int) -> tuple[list[_Line], tuple[int, str] | None]:
    """The lines that are in no code block, and where a block begins that nothing closes."""
    found: list[_Line] = []
    opened: tuple[int, str] | None = None
    for number, text in enumerate(lines[begin:], begin + 1):
        fence = FENCE.match(text.lstrip(" ") if opened else text)
        if opened is not None:
            same = fence is not None and fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1])
            if same and fence is not None and fence[2].strip():
                return found, opened  # another one begins: what would show fences has a longer one around it
            opened = None if same else opened
        elif fence and not (fence[1][0] == "`" and "`" in fence[2]):
            opened = number, fence[1]
        else:
            found.append(_Line(number, text))
    return found, opened
