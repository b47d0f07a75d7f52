"""What a check may say when it is not content; raised, so that it ends there.

    not_yet("vote: 1 of 2 tasks run", look="docker service ps voting_vote")
    wrong("vote is on the wrong network", found="backend", look="docker service inspect voting_vote")

    wrong("the stack is called {stack}", stack=name, hint="`docker stack rm {stack}` takes it away.")

What stands in braces is filled in by name, so that a sentence can be translated; see labctl.checks.sentences. A plain
`assert` says "wrong" too, with less to go by for the learner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypeVar

from labctl.checks.sentences import Sentences
from labctl.errors import WaitTimeout
from labctl.waiting import Pending, wait_until
from labctl.words import Phrase, filled

__all__ = ["NOT_ANSWERED", "NotYet", "Unsatisfied", "Wrong", "not_yet", "patiently", "wrong"]

T = TypeVar("T")

NOT_ANSWERED = "the question is not answered yet: press a, or type `labctl exercise answer {question}` and the answer"


class Said(NamedTuple):
    """What a check says, in one language."""

    message: str
    found: str
    hint: str


class Unsatisfied(Exception):
    """The goal is not reached. `found` is the value that was seen, `look` a command that shows it.

    `hint` helps with just this, when the learner asks for a hint. `values` fill the places of the sentences.
    """

    def __init__(self, message: str, *, found: object = "", look: str = "", hint: str = "", **values: object) -> None:
        self._said = Said(message, "" if found is None else str(found), hint)
        self._values = values
        self.look = look
        self.message, self.found, self.hint = self.say({})
        super().__init__(self.message)

    def say(self, sentences: Sentences) -> Said:
        """What is said, in the language of the sentences."""
        return Said(*(self._in(text, sentences) for text in self._said))

    def _in(self, text: str, sentences: Sentences) -> str:
        if isinstance(text, Phrase):
            return text.said_in(sentences)
        return filled(sentences.get(text, text), self._values)


class NotYet(Unsatisfied):
    """It may still come by itself, or has not been begun."""


class Wrong(Unsatisfied):
    """It will not come right by itself: something was done that must be done otherwise."""


def not_yet(reason: str, *, found: object = "", look: str = "", hint: str = "", **values: object) -> NoReturn:
    """Say that the goal is not reached yet, and why. Raises NotYet."""
    raise NotYet(reason, found=found, look=look, hint=hint, **values)


def wrong(message: str, *, found: object = "", look: str = "", hint: str = "", **values: object) -> NoReturn:
    """Say that something is wrong, what was found, and which command shows it. Raises Wrong."""
    raise Wrong(message, found=found, look=look, hint=hint, **values)


def patiently(ask: Callable[[], T], *, seconds: float = 10.0) -> T:
    """Return what `ask` returns, and ask again while it answers "not yet": for a probe that waits for its own mark.

    A check that only reads has no need of it: it is asked again by itself. Raises NotYet when the seconds are over.
    """
    last: list[NotYet] = []

    def probe() -> T:
        try:
            return ask()
        except NotYet as answer:
            last[:] = [answer]
            raise Pending(answer.message) from None

    try:
        return wait_until("the probe", probe, limit=seconds, pause=0.1)
    except WaitTimeout:
        raise last[0] from None
