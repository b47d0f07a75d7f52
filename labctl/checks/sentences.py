"""What a check says, as sentences with named places, in the learner's language.

    wrong("{node} is drained", node=node.hostname)

The sentence is its own key: `exercise.ko.po` beside `exercise.ko.md` has it in Korean, with the same names. What is not
there is said in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.words import PLACE, filled

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

__all__ = ["ENGLISH", "PLACE", "Sentences", "filled", "read_catalog", "translated"]

ENGLISH = "en"

Sentences = Mapping[str, str]  # English -> the learner's language


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
