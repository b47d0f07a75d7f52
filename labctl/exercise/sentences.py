"""The sentences that an exercise's checks may say, read from their file and never run; and their translations."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.checks.sentences import PLACE, read_catalog
from labctl.errors import UsageError
from labctl.exercise.language import languages_of
from labctl.exercise.linting import named_values, title_of
from labctl.exercise.model import Exercise

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

__all__ = ["Sentence", "sentences_of", "untranslated", "update_catalog"]

SAYING = ("wrong", "not_yet")
RESERVED = ("found", "look", "hint")
WIDTH = 120


@dataclass(frozen=True)
class Sentence:
    """Something that a check may say; `problem` tells why it cannot be translated."""

    file: str
    line: int
    text: str
    problem: str = ""


def sentences_of(exercise: Exercise) -> list[Sentence]:
    """Everything that the checks may say, in the order of their files. Raises SyntaxError for what is no Python."""
    files = [exercise.folder / "conftest.py", exercise.checks]
    return [sentence for file in files if file.is_file() for sentence in _Reader(file).read()]


def untranslated(exercise: Exercise) -> Iterator[str]:
    """What is wrong with the sentences of the checks and with their translations, each with its file and line."""
    sentences = sentences_of(exercise)
    others = languages_of(exercise.folder)[1:]
    for sentence in sentences:
        if sentence.problem and (others or sentence.text):
            yield f"{exercise.folder / sentence.file}:{sentence.line}: {sentence.problem}"
    wanted = {sentence.text: sentence for sentence in sentences if sentence.text}
    for code in others:
        yield from _gaps(exercise.folder / f"exercise.{code}.po", wanted)


def update_catalog(exercise: Exercise, language: str) -> tuple[Path, int]:
    """Write or update `exercise.LANGUAGE.po`; returns it, and how many sentences have no translation yet.

    What is translated stays; what is said no more is dropped. Raises UsageError for a language that nobody knows, and
    for a file that cannot be read or written.
    """
    from babel.core import UnknownLocaleError
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    file = exercise.folder / f"exercise.{language}.po"
    template = Catalog()
    for sentence in sentences_of(exercise):
        if sentence.text:
            template.add(sentence.text, locations=[(sentence.file, sentence.line)])
    written = io.BytesIO()
    try:
        catalog = read_catalog(file) if file.is_file() else Catalog(locale=language)
        catalog.update(template, no_fuzzy_matching=True)
        write_po(written, catalog, width=WIDTH, omit_header=True, include_lineno=False, ignore_obsolete=True)
        file.write_bytes(written.getvalue())
    except (OSError, ValueError, UnknownLocaleError) as problem:
        raise UsageError(f"cannot write {file}: {problem}") from problem
    return file, sum(not message.string for message in _messages(catalog))


def _gaps(file: Path, wanted: dict[str, Sentence]) -> Iterator[str]:
    if not file.is_file():
        code = file.name.split(".")[1]
        yield f"{file}: it is missing: `labctl exercise messages {file.parent} --lang {code}` writes it"
        return
    try:
        there = {str(message.id): message for message in _messages(read_catalog(file))}
    except (OSError, ValueError) as problem:
        yield f"{file}: this is no file of translations: {problem}"
        return
    for text, sentence in wanted.items():
        message = there.get(text)
        place = f"{file}:{message.lineno}" if message is not None and message.lineno else str(file)
        if message is None or not message.string:
            yield f"{place}: no translation of {text!r} ({sentence.file}:{sentence.line})"
        elif message.fuzzy:
            yield f"{place}: the translation is marked as fuzzy: read it again, and take the mark away"
        elif set(PLACE.findall(str(message.string))) != set(PLACE.findall(text)):
            yield f"{place}: the translation has not the places in braces of {text!r}"
    for text, message in there.items():
        if text not in wanted:
            yield f"{file}:{message.lineno or 1}: no check says {text!r} any more"


def _messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


class _Reader:
    """Finds what `wrong`, `not_yet`, an assert and a title say."""

    def __init__(self, file: Path) -> None:
        self._file = file.name
        self._tree = ast.parse(file.read_bytes(), filename=str(file))
        self._named = named_values(self._tree)

    def read(self) -> Iterator[Sentence]:
        """All of them, from top to bottom."""
        nodes = [node for node in ast.walk(self._tree) if isinstance(node, ast.stmt | ast.expr)]
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                if title := title_of(node):
                    yield Sentence(self._file, node.lineno, title)
            elif isinstance(node, ast.Assert) and node.msg is not None:
                yield from self._said(node.msg, set())
            elif isinstance(node, ast.Call) and _name(node.func) in SAYING:
                yield from self._call(node)

    def _call(self, node: ast.Call) -> Iterator[Sentence]:
        words = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        values = set(words) - set(RESERVED)
        said = [*node.args[:1], *filter(None, [words.get("hint")])]
        sentences = [sentence for one in said for sentence in self._said(one, values)]
        found = words.get("found")
        # What was found is a value, unless it is put in words.
        if isinstance(found, ast.Constant | ast.IfExp):
            sentences += [one for one in self._said(found, values) if " " in one.text]
        yield from sentences
        is_open = any(keyword.arg is None for keyword in node.keywords)
        used = {place for sentence in sentences for place in PLACE.findall(sentence.text)}
        if sentences and not is_open and values - used and not any(sentence.problem for sentence in sentences):
            unused = ", ".join(sorted(values - used))
            yield Sentence(self._file, node.lineno, "", f"{unused}: no sentence has a place in braces for it")

    def _said(self, node: ast.expr, values: set[str]) -> Iterator[Sentence]:
        """The sentences that an expression stands for."""
        if isinstance(node, ast.Name):
            node = self._named.get(node.id, node)
        if isinstance(node, ast.IfExp):
            yield from self._said(node.body, values)
            yield from self._said(node.orelse, values)
        elif isinstance(node, ast.Constant):
            text = str(node.value)
            lacking = sorted(set(PLACE.findall(text)) - values) if values else []
            problem = f"there is no value for {{{lacking[0]}}}" if lacking else ""
            if text:
                yield Sentence(self._file, node.lineno, text, problem)
        else:
            what = "an f-string" if isinstance(node, ast.JoinedStr) else "a sentence that only running it would tell"
            how = 'write wrong("{node} is drained", node=node.hostname)'
            yield Sentence(self._file, node.lineno, "", f"{what} cannot be translated: {how}")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
