"""Commands that labctl tells people to type: they name the lab where it was named to labctl."""

from __future__ import annotations

import re
from typing import Any

import click

from labctl.cli.commands import SECTIONS

__all__ = ["lesson_with_lab", "named_lab", "note_lab", "with_lab", "with_lab_within"]

META = "labctl.lab"
WORDS = [word for words in SECTIONS.values() for word in words]
# A lesson's commands also stand in lines of their own.
LINE = re.compile(
    rf"(?P<before>^[ \t]*(?:\$ )?)labctl (?P<rest>(?P<verb>(?:{'|'.join(WORDS)})\b)[^`\n]*)", re.MULTILINE
)


def note_lab(name: str) -> None:
    """Remember the lab that this command was told to be about."""
    click.get_current_context().find_root().meta[META] = name


def named_lab(context: click.Context | None) -> str | None:
    """The lab that the command was told to be about; None where it was left to labctl."""
    return None if context is None else context.find_root().meta.get(META)


def lesson_with_lab(text: str) -> str:
    """Return a lesson's text with the lab that this command was told of in each of labctl's commands."""
    lab = named_lab(click.get_current_context(silent=True))
    return with_lab(with_lab(text, lab), lab, commands=LINE)


def with_lab(text: str, lab: str | None, *, commands: re.Pattern[str] | None = None) -> str:
    """As `labctl.words.with_lab`, which completion need not load."""
    if lab is None:
        return text
    from labctl import words

    return words.with_lab(text, lab, commands=commands or words.COMMAND)


def with_lab_within(value: Any, lab: str | None) -> Any:
    """Return what is going to be JSON with the lab in the commands of each text in it, as `with_lab` has it.

    It is for what labctl itself says: what nodes wrote stays as it is.
    """
    if isinstance(value, str):
        return with_lab(value, lab)
    if isinstance(value, dict):
        return {key: with_lab_within(one, lab) for key, one in value.items()}
    return [with_lab_within(one, lab) for one in value] if isinstance(value, (list, tuple)) else value
