"""Counts and lists in sentences, sentences that know what they were made of, and commands that say which lab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

__all__ = ["EXTRA_VAGRANT", "PLACE", "Phrase", "counted", "filled", "in_ranges", "some", "with_lab"]

# Installs what labctl needs for virtual machines and SSH; "labctl" on PyPI is another program.
EXTRA_VAGRANT = "pip install 'swarm-labctl[vagrant]'"

# These take no -l, or go by other names.
WITHOUT_LAB = {"labs", "create", "doctor", "validate", "schema", "bundle", "completion"}
# Commands are told in `backticks`, or behind "look:" to the line's end.
COMMAND = re.compile(r"(?P<before>`|look:\s+)labctl (?P<rest>(?P<verb>[a-z][a-z-]*)[^`\n]*)")
SAYS_LAB = re.compile(r"(^|\s)(-l|--lab|--name)(\s|=)")

# Not `{{.Hostname}}` of a Go template, nor `%{http_code}` of curl: these are commands, and stay as they are.
PLACE = re.compile(r"(?<![{%$])\{([a-z][a-z0-9_]*)\}(?!\})")

NUMBER = re.compile(r"(?<=[:>/ ])\d+(?=[ /]|$)")  # a port of "127.0.0.1:8000 -> 80/tcp"


def filled(sentence: str, values: Mapping[str, object]) -> str:
    """The sentence with its values; a place without a value stays as it is."""
    return PLACE.sub(lambda place: str(values.get(place[1], place[0])), sentence)


class Phrase(str):
    """Words in English that know the sentence and the values they were made of: others can say it in other words.

    Phrase("{count} pending: {reason}", count=2, reason="no suitable node")
    """

    __slots__ = ("sentence", "values")
    sentence: str
    values: Mapping[str, object]

    def __new__(cls, sentence: str, /, **values: object) -> Phrase:
        """Fill in the values; one that is a Phrase itself is said in the other language too."""
        made = super().__new__(cls, filled(sentence, values))
        made.sentence, made.values = sentence, values
        return made

    @classmethod
    def listed(cls, phrases: Sequence[Phrase]) -> Phrase:
        """Several of them, with commas between."""
        named = {f"p{number}": phrase for number, phrase in enumerate(phrases)}
        return cls(", ".join(f"{{{name}}}" for name in named), **named)

    def said_in(self, sentences: Mapping[str, str]) -> str:
        """The same in the language of the sentences: English -> the other; what is not there is said in English."""
        values = {
            name: value.said_in(sentences) if isinstance(value, Phrase) else value
            for name, value in self.values.items()
        }
        return filled(sentences.get(self.sentence, self.sentence), values)


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
