"""In which language a learner reads an exercise: `exercise.ko.md` beside `exercise.md`, which is in English.

Steps, blocks, ids and answers are the same in all languages; only the words differ.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from labctl.checks.sentences import ENGLISH
from labctl.exercise.model import GROUPS, HOST, Exercise, Fence, Step
from labctl.exercise.questions import Question

__all__ = [
    "CODE",
    "FILLED_IN",
    "Frame",
    "chosen",
    "differences",
    "file_in",
    "frame_of",
    "language_of",
    "languages_of",
    "set_chosen",
    "text_file",
]

FILLED_IN = re.compile(r"\{\{\s*(node|url)\.([^}\s]*)\s*\}\}")  # in a step's text: what only a lab knows
CODE = re.compile(r"[a-z]{2,3}")
_asked: ContextVar[str | None] = ContextVar("language", default=None)


@dataclass(frozen=True)
class Frame:
    """What labctl puts into a step's text, in the text's own language; {} is where a block runs."""

    on: str = "On **{}**:"
    on_changed: str = "On **{}**; change it first:"
    question: str = "Question"
    places: Mapping[str, str] = field(default_factory=lambda: {HOST: "this machine", **GROUPS})


FRAMES = {
    "ko": Frame(
        on="**{}**에서:",
        on_changed="**{}**에서, 알맞게 고쳐서:",
        question="질문",
        places={HOST: "내 컴퓨터", "@manager": "모든 매니저", "@worker": "모든 워커", "@all": "모든 노드"},
    )
}


def set_chosen(code: str | None) -> None:
    """Choose a language for what this command shows; None leaves it to the environment."""
    _asked.set(code)


def chosen() -> str:
    """The language that was chosen, else that of LABCTL_LANG, else the locale's; English where none is said."""
    asked = _asked.get() or os.environ.get("LABCTL_LANG")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        asked = asked or os.environ.get(name)
    code = re.split(r"[_.@-]", (asked or "").lower(), maxsplit=1)[0]
    return code if CODE.fullmatch(code) else ENGLISH


def text_file(folder: Path) -> Path:
    """The file with an exercise's text in the language that is chosen; the English one where there is no such file."""
    translated = file_in(folder, chosen())
    return translated if translated.is_file() else file_in(folder, ENGLISH)


def file_in(folder: Path, code: str) -> Path:
    """Where an exercise's text in a language is, or would be."""
    return folder / ("exercise.md" if code == ENGLISH else f"exercise.{code}.md")


def language_of(file: Path) -> str:
    """The language of a file with an exercise's text: "ko" of exercise.ko.md."""
    words = file.name.split(".")
    return words[1] if len(words) == 3 else ENGLISH


def frame_of(file: Path) -> Frame:
    """The words around the blocks and questions of a file with an exercise's text."""
    return FRAMES.get(language_of(file), Frame())


def languages_of(folder: Path) -> list[str]:
    """The languages that an exercise can be read in, English first."""
    others = (path.name.split(".")[1] for path in folder.glob("exercise.*.md"))
    return [ENGLISH, *sorted(code for code in others if CODE.fullmatch(code))]


def differences(original: Exercise, other: Exercise) -> Iterator[tuple[int, str]]:
    """What a translation has otherwise than the original, with its lines."""
    ids, others = [step.id for step in original.steps], [step.id for step in other.steps]
    if original.front.id != other.front.id:
        yield 1, f"id: it is {other.front.id}, and {original.front.id} in exercise.md"
    for key in ("lab", "images", "ports", "minutes", "level", "needs"):
        if getattr(original.front, key) != getattr(other.front, key):
            yield 1, f"{key}: it is not as in exercise.md"
    if ids != others:
        yield 1, f"its steps are {', '.join(others)}, and {', '.join(ids)} in exercise.md"
        return
    for one, translated in zip(original.steps, other.steps, strict=True):
        yield from _other_parts(one, translated)
        yield from _other_blocks(one.id, one.fences, translated.fences, translated.line)
        yield from _other_questions(one.id, one.questions, translated.questions, translated.line)


def _other_parts(one: Step, other: Step) -> Iterator[tuple[int, str]]:
    for what in ("minutes", "optional", "passing"):
        if getattr(one, what) != getattr(other, what):
            yield other.line, f"step {one.id}: {what} is not as in exercise.md"
    if len(one.hints) != len(other.hints):
        yield other.line, f"step {one.id}: {len(other.hints)} hints, and {len(one.hints)} in exercise.md"
    mine, theirs = (FILLED_IN.findall("\n".join([s.text, *s.hints, s.solution, s.debrief])) for s in (one, other))
    if set(mine) != set(theirs):
        lacking = next(iter(set(mine) ^ set(theirs)))
        yield other.line, f"step {one.id}: {{{{{lacking[0]}.{lacking[1]}}}}} stands in one language only"
    for part in ("solution", "debrief"):
        if bool(getattr(one, part)) != bool(getattr(other, part)):
            yield other.line, f"step {one.id}: there is a {part} in one language only"


def _other_blocks(
    step: str, blocks: tuple[Fence, ...], others: tuple[Fence, ...], line: int
) -> Iterator[tuple[int, str]]:
    if len(blocks) != len(others):
        yield line, f"step {step}: {len(others)} blocks that run, and {len(blocks)} in exercise.md"
        return
    for block, other in zip(blocks, others, strict=True):
        if {**vars(block), "line": 0, "code": _code(block)} != {**vars(other), "line": 0, "code": _code(other)}:
            yield other.line, f"step {step}: this block is not as in exercise.md, line {block.line}"


def _code(block: Fence) -> str:
    """The code of a block without its comments: these are words for the learner."""
    lines = (re.sub(r"(^|\s)#\s.*$", "", line).rstrip() for line in block.code.splitlines())
    return "\n".join(filter(None, lines))


def _other_questions(
    step: str, questions: tuple[Question, ...], others: tuple[Question, ...], line: int
) -> Iterator[tuple[int, str]]:
    if [one.id for one in questions] != [one.id for one in others]:
        yield line, f"step {step}: its questions are not those of exercise.md"
        return
    for question, other in zip(questions, others, strict=True):
        same = (question.pattern, question.wants_yes, [one.is_right for one in question.choices])
        if same != (other.pattern, other.wants_yes, [one.is_right for one in other.choices]):
            yield other.line, f"question {question.id}: its answers are not those of exercise.md"
        if bool(question.exact) != bool(other.exact):
            yield other.line, f"question {question.id}: its answers are not those of exercise.md"
