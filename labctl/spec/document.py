"""YAML as plain values, with the line of each.

Only what a lab.yaml needs of YAML: text, numbers, true and false, null, lists, and mappings whose keys are text
and stand once. Anchors and merge keys work; what would build more than was written without bound does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from labctl.spec.simple import read_simple

__all__ = ["BadYaml", "Document", "Where", "load"]

Where = tuple[str | int, ...]

DEEPEST = 20  # levels of nesting; a lab.yaml has five
MOST = 50_000  # values, those that aliases repeat counted each time
LONGEST_NUMBER = 30  # characters; anything longer is text, and will be refused as such
CORE = "tag:yaml.org,2002:"
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


class BadYaml(Exception):
    """The text is not YAML, or not of the kind that is read here; `line` counts from 1, None where it is unknown."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass(frozen=True)
class Document:
    """What the text says: a plain value, None for an empty text, and the line of each key and list item.

    `twice` tells of keys that stand there again; the first one counts.
    """

    value: Any
    lines: dict[Where, int] = field(default_factory=dict)
    twice: tuple[BadYaml, ...] = ()

    def line_of(self, where: Where) -> int | None:
        """The line of the innermost part of `where` that has one; None for none."""
        known = (where[:length] for length in range(len(where), 0, -1))
        return next((self.lines[part] for part in known if part in self.lines), None)


def load(text: str) -> Document:
    """Read a YAML text of one document. Raises BadYaml."""
    simple = read_simple(text, _resolved)
    return _whole(text) if simple is None else Document(*simple)


def _whole(text: str) -> Document:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _Reader(text).document()
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        said = (problem.problem or problem.context or "this is not YAML").split("\n")[0]
        if "\\t" in said:
            said = "a tab; YAML indents with spaces"
        raise BadYaml(said, mark.line + 1 if mark else None) from None
    except YAMLError as problem:
        raise BadYaml(f"this is not YAML: {str(problem).splitlines()[0]}") from None


class _Reader:
    """Builds the value from the parser's events, so that nothing is made before it was looked at."""

    def __init__(self, text: str) -> None:
        from ruamel.yaml import YAML

        self._events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        self._lines: dict[Where, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._twice: list[BadYaml] = []
        self._count = 0

    def document(self) -> Document:
        next(self._events)  # the stream begins
        first = next(self._events)
        if _kind(first) == "StreamEnd":
            return Document(None)
        value = self._value(next(self._events), ())
        next(self._events)  # the document ends
        following = next(self._events)
        if _kind(following) != "StreamEnd":
            raise BadYaml("a second document begins; a lab.yaml has one", _line(following))
        return Document(value, self._lines, tuple(self._twice))

    def _value(self, event: Any, where: Where) -> Any:
        if len(where) > DEEPEST:
            raise BadYaml(f"nested more than {DEEPEST} levels deep", _line(event))
        if _kind(event) == "Alias":
            return self._repeated(event)
        before = self._count
        self._counted(1, event)
        build = {"Scalar": self._scalar, "SequenceStart": self._list, "MappingStart": self._mapping}[_kind(event)]
        _refuse_tag(event)
        value = build(event, where)
        if event.anchor:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _counted(self, more: int, event: Any) -> None:
        self._count += more
        if self._count > MOST:
            raise BadYaml(f"more than {MOST} values", _line(event))

    def _repeated(self, alias: Any) -> Any:
        if alias.anchor not in self._anchors:
            raise BadYaml(f"*{alias.anchor} stands for nothing that is complete before it", _line(alias))
        value, weight = self._anchors[alias.anchor]
        self._counted(weight, alias)
        return value

    def _scalar(self, event: Any, _where: Where) -> Any:
        text = _text(event)
        return _resolved(text) if event.implicit[0] else text

    def _list(self, _event: Any, where: Where) -> list[Any]:
        items: list[Any] = []
        while _kind(event := next(self._events)) != "SequenceEnd":
            inner = (*where, len(items))
            self._lines[inner] = _line(event)
            items.append(self._value(event, inner))
        return items

    def _mapping(self, _event: Any, where: Where) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while _kind(event := next(self._events)) != "MappingEnd":
            key = self._key(event)
            inner = (*where, key)
            if key == "<<" and event.implicit[0]:
                merged = _merge(self._value(next(self._events), inner), event) | merged
                continue
            if key in own:
                self._twice.append(BadYaml(f"{key!r} is there twice, in line {self._lines[inner]} first", _line(event)))
                self._value(next(self._events), (*where, key, "again"))
                continue
            self._lines[inner] = _line(event)
            own[key] = self._value(next(self._events), inner)
        return {**merged, **own}

    def _key(self, event: Any) -> str:
        if _kind(event) != "Scalar":
            raise BadYaml("a key must be text", _line(event))
        _refuse_tag(event)
        return _text(event)


def _kind(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _text(event: Any) -> str:
    """The scalar's text; half of a surrogate pair, which an escape can write, is none."""
    text = str(event.value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadYaml("an escape that stands for no character", _line(event)) from None
    return text


def _refuse_tag(event: Any) -> None:
    tag = str(event.tag or "")
    if tag not in ("", "!", f"{CORE}str", f"{CORE}seq", f"{CORE}map"):
        raise BadYaml(f"the tag {tag.replace(CORE, '!!')} is not known here", _line(event))


def _merge(value: Any, event: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            raise BadYaml("`<<` takes keys with values, or a list of such", _line(event))
        merged = {**one, **merged}
    return merged


def _resolved(text: str) -> Any:
    """A plain scalar as YAML 1.2's core schema has it."""
    if text in WORDS:
        return WORDS[text]
    if len(text) <= LONGEST_NUMBER:
        if INTEGER.fullmatch(text):
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if FLOAT.fullmatch(text):
            return float(text)
    return text
