"""Questions that a step asks: typed answers, choices with a reason each, and a plain yes.

    ```question id=leader exact=manager1
    Which node is the leader?
    ```

    ```question id=odd
    Why three managers, and not two?

    ( ) Two are slower.
        Speed has nothing to do with it.
    (x) Two cannot lose one.
        A majority of two is two.
    ```

`exact` may stand there several times, `pattern` is a regular expression for the whole answer, `yes` asks for a yes.
With none of them, a check reads the answer and judges it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from labctl.exercise.hangul import as_typed

__all__ = ["LANGUAGE", "LONGEST", "YES", "Choice", "Judged", "Question", "read_question"]

LANGUAGE = "question"  # of the block
LONGEST = 500  # characters of an answer
KEYS = ("id", "exact", "pattern", "yes")
CHOICE = re.compile(r" {0,3}\(([ xX])\)\s+(\S.*)")
# "Yes" in the languages that exercises are written in; what a learner types is compared without case.
YES = ("y", "yes", "ok", "예", "네", "응")
NAMED = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Choice:
    """One of several answers, whether it is right, and why."""

    text: str
    is_right: bool
    reason: str


@dataclass(frozen=True)
class Judged:
    """What an answer is worth: `is_right`, and the reason in words, which may be empty."""

    is_right: bool
    reason: str = ""

    @property
    def told(self) -> str:
        """It in words, with a sign before them: a reason says itself whether that is right."""
        return f"✓ {self.reason or 'Right.'}" if self.is_right else f"✗ {self.reason or 'Not right.'}"


@dataclass(frozen=True)
class Question:
    """A question of a step. With neither `exact`, `pattern`, `choices` nor `wants_yes`, a check judges the answer."""

    id: str
    text: str
    line: int
    exact: tuple[str, ...] = ()
    pattern: str = ""
    choices: tuple[Choice, ...] = ()
    wants_yes: bool = False

    @property
    def is_judged_here(self) -> bool:
        """Whether the exercise's text knows the answer, and no check has to."""
        return bool(self.exact or self.pattern or self.choices or self.wants_yes)

    @property
    def solution(self) -> str:
        """An answer that is right; empty where only a check, or a person, knows one."""
        if self.choices:
            return self.letters[next(n for n, choice in enumerate(self.choices) if choice.is_right)]
        return self.exact[0] if self.exact else YES[1] if self.wants_yes else ""

    @property
    def letters(self) -> str:
        """What a learner types for each of the choices."""
        return "abcdefghijklmnopqrstuvwxyz"[: len(self.choices)]

    def takes(self, answer: str) -> bool:
        """Whether it is an answer at all, and can be judged: of choices, one of them."""
        return not self.choices or self._chosen(_plain(answer)) is not None

    def judge(self, answer: str) -> Judged:
        """Tell whether an answer is right. One that a check has to judge counts as right here."""
        said = _plain(answer)
        if self.choices:
            chosen = self._chosen(said)
            return Judged(chosen is not None and chosen.is_right, chosen.reason if chosen else "")
        if self.wants_yes:
            return Judged(said in YES, "" if said in YES else "type yes when it is so")
        if self.exact:
            return Judged(said in {_plain(one) for one in self.exact})
        return Judged(not self.pattern or re.fullmatch(self.pattern, said, re.IGNORECASE) is not None)

    def filled(self, fill: Callable[[str], str]) -> Question:
        """The same question with the names and addresses of a lab in its texts and answers, as `fill` puts them in."""
        choices = tuple(replace(one, text=fill(one.text), reason=fill(one.reason)) for one in self.choices)
        return replace(self, text=fill(self.text), exact=tuple(fill(one) for one in self.exact), choices=choices)

    def shown(self, word: str = "Question") -> str:
        """The question as Markdown for the learner; `word` says that it is one."""
        lines = [f"**{word}:** {self.text}"]
        if self.choices:
            chosen = zip(self.letters, self.choices, strict=True)
            lines.append("\n".join(f"- **{letter})** {choice.text}" for letter, choice in chosen))
        return "\n\n".join(lines)

    def _chosen(self, said: str) -> Choice | None:
        letter = as_typed(said.strip("()"))
        if len(letter) == 1 and letter in self.letters:
            return self.choices[self.letters.index(letter)]
        return next((choice for choice in self.choices if _plain(choice.text) == said), None)


def read_question(
    words: Sequence[tuple[str, str | None]], body: str, line: int
) -> tuple[Question | None, list[tuple[int, str]]]:
    """Read a question from the words behind its language and its lines; `line` is that of its fence, from 1.

    Returns it (None where it is of no use) and what is wrong with it, with the lines.
    """
    problems = list(_wrong_words(words, line))
    values: Mapping[str, str] = {key: value for key, value in words if value is not None}
    text, choices = _body(body)
    exact = tuple(value for key, value in words if key == "exact" and value)
    wants_yes = ("yes", None) in words
    kinds = sum((bool(exact), "pattern" in values, bool(choices), wants_yes))
    if not NAMED.fullmatch(values.get("id", "")):
        problems.append((line, "a question has an id: ```question id=leader"))
    if not text:
        problems.append((line, "the question is empty"))
    if kinds > 1:
        problems.append((line, "a question has exact answers, a pattern, choices or a yes, and one kind of them only"))
    problems += _wrong_pattern(values.get("pattern", ""), line) + _wrong_choices(choices, line)
    if problems:
        return None, problems
    return Question(values["id"], text, line, exact, values.get("pattern", ""), choices, wants_yes), []


def _wrong_words(words: Sequence[tuple[str, str | None]], line: int) -> Iterator[tuple[int, str]]:
    for key, value in words:
        if key not in KEYS or (value is None) != (key == "yes"):
            said = key if value is None else f"{key}={value}"
            yield line, f"{said!r} means nothing on a question; there is id=leader, exact=..., pattern=..., yes"


def _wrong_pattern(pattern: str, line: int) -> list[tuple[int, str]]:
    try:
        re.compile(pattern)
    except re.error as wrong:
        return [(line, f"pattern: this is no regular expression: {wrong}")]
    return []


def _wrong_choices(choices: Sequence[Choice], line: int) -> list[tuple[int, str]]:
    if not choices:
        return []
    problems = []
    right = sum(choice.is_right for choice in choices)
    if len(choices) < 2 or right != 1:
        problems.append((line, f"of two or more choices one is right, marked (x); here {right} of {len(choices)} are"))
    if any(not choice.reason for choice in choices):
        problems.append((line, "each choice has a reason below it, indented: why it is right, or why not"))
    return problems


def _body(body: str) -> tuple[str, tuple[Choice, ...]]:
    """The question's text, and the choices below it: a line with ( ) or (x), and its reason in the lines after it."""
    text: list[str] = []
    found: list[tuple[str, bool, list[str]]] = []
    for line in body.splitlines():
        choice = CHOICE.fullmatch(line)
        if choice:
            found.append((choice[2].strip(), choice[1] != " ", []))
        elif found:
            found[-1][2].append(line.strip())
        else:
            text.append(line)
    choices = tuple(Choice(said, right, " ".join(filter(None, reason))) for said, right, reason in found)
    return "\n".join(text).strip(), choices


def _plain(text: str) -> str:
    """An answer without what does not matter: case, spaces around and between, quotes, a full stop at its end."""
    folded = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return " ".join(folded.split()).strip("`'\"").rstrip(".").strip()
