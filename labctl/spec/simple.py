"""YAML as it is mostly written, read without ruamel: keys with plain words, lists of them, and keys below keys.

What is written in any other way is left to `labctl.spec.document`, and so is everything that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["read_simple"]

Where = tuple[str | int, ...]
LONGEST = 20_000  # characters
DEEPEST = 6
# Nothing that YAML means something by: at the beginning of a word, or within it.
WORD = r"[A-Za-z0-9/.](?:[^\x00-\x1f\x7f-\xa0:#\ud800-\udfff\ufeff\u2028\u2029]|:(?=[^\s,\]])|(?<=[^\s])#)*"
PLAIN = re.compile(WORD)
QUOTED = re.compile(r'"([^"\\\x00-\x1f\x7f-\xa0\ud800-\udfff\ufeff\u2028\u2029]*)"')
KEY = re.compile(r'(?:([A-Za-z_][A-Za-z0-9_-]*)|"([A-Za-z0-9_-]+)"):(?: +(\S.*))?')
PAIR = re.compile(r'\{([A-Za-z_][A-Za-z0-9_-]*): ("[A-Za-z0-9._-]*")\}')
FLOW = re.compile(r"\[([^\[\]{},\"'&*!|>%@`]+(?:, [^\[\]{},\"'&*!|>%@`]+)*)\]")


class _Line(NamedTuple):
    indent: int
    text: str
    number: int


class _Other(Exception):
    """It is written in some other way."""


def read_simple(text: str, resolve: Callable[[str], Any]) -> tuple[Any, dict[Where, int]] | None:
    """Read a mapping and the line of each key and item; None for what is written in another way.

    `resolve` makes of a word what it stands for.
    """
    if len(text) > LONGEST or "\t" in text or "\r" in text:
        return None
    lines = [
        _Line(len(line) - len(line.lstrip(" ")), line.strip(" "), number)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip(" ") and not line.lstrip(" ").startswith("#")
    ]
    reader = _Reader(lines, resolve)
    try:
        value = reader.mapping(0, ()) if lines else None
    except _Other:
        return None
    return (value, reader.lines) if value is not None and not reader.left else None


class _Reader:
    def __init__(self, lines: list[_Line], resolve: Callable[[str], Any]) -> None:
        self.left = lines[::-1]
        self.lines: dict[Where, int] = {}
        self._resolve = resolve

    def mapping(self, indent: int, where: Where) -> dict[str, Any]:
        """The keys at this indent, up to a line that is further out."""
        found: dict[str, Any] = {}
        while self.left and self.left[-1].indent >= indent:
            line = self.left.pop()
            said = KEY.fullmatch(line.text)
            if line.indent != indent or said is None or len(where) >= DEEPEST:
                raise _Other
            key = said[1] or said[2]
            if key in found:
                raise _Other
            inner = (*where, key)
            self.lines[inner] = line.number
            found[key] = self._below(indent, inner) if said[3] is None else self._said(said[3], inner, line)
        return found

    def _said(self, text: str, where: Where, line: _Line) -> Any:
        if self.left and self.left[-1].indent > line.indent:
            raise _Other  # the word goes on there
        if pair := PAIR.fullmatch(text):
            self.lines[*where, pair[1]] = line.number
            return {pair[1]: self._word(pair[2])}
        flow = FLOW.fullmatch(text)
        if flow is None:
            return self._word(text)
        words = flow[1].split(", ")
        self.lines |= {(*where, index): line.number for index in range(len(words))}
        return [self._word(word) for word in words]

    def _below(self, indent: int, where: Where) -> Any:
        """What stands below a key that says nothing itself."""
        if not self.left or self.left[-1].indent < indent:
            return None
        first = self.left[-1]
        if first.text.startswith("- "):
            return self._list(first.indent, where)
        return self.mapping(first.indent, where) if first.indent > indent else None

    def _list(self, indent: int, where: Where) -> list[Any]:
        found: list[Any] = []
        while self.left and self.left[-1].indent == indent and self.left[-1].text.startswith("- "):
            line = self.left.pop()
            self.lines[*where, len(found)] = line.number
            found.append(self._word(line.text[2:].lstrip(" ")))
        if self.left and self.left[-1].indent > indent:
            raise _Other
        return found

    def _word(self, text: str) -> Any:
        if quoted := QUOTED.fullmatch(text):
            return quoted[1]
        if not PLAIN.fullmatch(text):
            raise _Other
        return self._resolve(text)
