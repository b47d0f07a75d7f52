"""What a check says, as sentences with named places, in the learner's language.

    wrong("{node} is drained", node=node.hostname)

The sentence is its own key: `exercise.ko.po` beside `exercise.ko.md` has it in Korean, with the same names. What is not
there is said in English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

__all__ = ["ENGLISH", "PLACE", "Sentences", "filled", "read_catalog", "translated"]

ENGLISH = "en"
# Not `{{.Hostname}}` of a Go template, nor `%{http_code}` of curl: these are commands, and stay as they are.
PLACE = re.compile(r"(?<![{%$])\{([a-z][a-z0-9_]*)\}(?!\})")

Sentences = Mapping[str, str]  # English -> the learner's language


def filled(sentence: str, values: Mapping[str, object]) -> str:
    """The sentence with its values; a place without a value stays as it is."""
    return PLACE.sub(lambda place: str(values.get(place[1], place[0])), sentence)


@cache
def translated(folder: Path, language: str) -> Sentences:
    """The sentences of an exercise's checks in a language, and labctl's own beside them; empty for English."""
    if language == ENGLISH:
        return {}
    sentences: dict[str, str] = {}
    for file in (Path(__file__).with_name(f"sentences.{language}.po"), folder / f"exercise.{language}.po"):
        if file.is_file():
            sentences |= {
                message.id: message.string
                for message in read_catalog(file)
                if isinstance(message.id, str) and isinstance(message.string, str) and message.id and message.string
                if "fuzzy" not in message.flags
            }
    return sentences


def read_catalog(file: Path) -> Catalog:
    """A file of translations as Babel has it. Raises OSError, or ValueError for what is no such file."""
    from babel.core import UnknownLocaleError
    from babel.messages.pofile import PoFileError, read_po

    try:
        with file.open("rb") as lines:
            return read_po(lines, locale=file.name.split(".")[1], abort_invalid=True)
    except (PoFileError, UnknownLocaleError) as problem:
        raise ValueError(str(problem)) from problem
