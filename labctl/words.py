"""Counts and lists in sentences, and commands in them that say which lab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

__all__ = ["EXTRA_VAGRANT", "counted", "in_ranges", "some", "with_lab"]

# Installs what labctl needs for virtual machines and SSH; "labctl" on PyPI is another program.
EXTRA_VAGRANT = "pip install 'swarm-labctl[vagrant]'"

# These take no -l, or go by other names.
WITHOUT_LAB = {"labs", "create", "doctor", "validate", "schema", "bundle", "completion"}
# Commands are told in `backticks`, or behind "look:" to the line's end.
COMMAND = re.compile(r"(?P<before>`|look:\s+)labctl (?P<rest>(?P<verb>[a-z][a-z-]*)[^`\n]*)")
SAYS_LAB = re.compile(r"(^|\s)(-l|--lab|--name)(\s|=)")

NUMBER = re.compile(r"(?<=[:>/ ])\d+(?=[ /]|$)")  # a port of "127.0.0.1:8000 -> 80/tcp"


def counted(count: int, one: str, many: str = "") -> str:
    """The count with its word: 1 node, 2 nodes; `many` is said for what takes no plain s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def with_lab(text: str, lab: str | None, *, commands: re.Pattern[str] = COMMAND) -> str:
    """Return the text with the lab in each command that wants to know it and does not say it.

    `commands` finds them: what stands `before`, and the `rest` of it, which begins with the `verb`.
    """
    if lab is None:
        return text

    def named(found: re.Match[str]) -> str:
        if found["verb"] in WITHOUT_LAB or SAYS_LAB.search(found["rest"].partition(" -- ")[0]):
            return found[0]
        return f"{found['before']}labctl -l {lab} {found['rest']}"

    return commands.sub(named, text)


def in_ranges(ways: Iterable[str]) -> list[str]:
    """Ways of neighbouring ports in one line each: "127.0.0.1:8000-8009 -> 80-89/tcp" for ten of them.

    Each is written "ADDRESS:PORT -> PORT/PROTOCOL", in the order of their ports.
    """

    def run(one: tuple[int, str]) -> tuple[str, tuple[int, ...]]:
        place, way = one
        return NUMBER.sub("", way), tuple(int(port) - place for port in NUMBER.findall(way))

    def told(first: str, last: str) -> str:
        ends = iter(NUMBER.findall(last))
        return NUMBER.sub(lambda port: f"{port[0]}-{next(ends)}", first)

    lines: list[str] = []
    for _, alike in groupby(enumerate(ways), run):
        found = [way for _, way in alike]
        lines.append(found[0] if len(found) == 1 else told(found[0], found[-1]))
    return lines
