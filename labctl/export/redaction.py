"""Secrets out of what people post in public: join tokens, private keys, passwords in variables and URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["HIDDEN", "Redactor"]

HIDDEN = "***"
SHORTEST = 8  # characters; a shorter value would be found, and hidden, in half of all words
# Bounded on both sides, so that a log of very long words costs no more than another.
WORD = r"[\w.-]{0,60}"
SURE = "PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|CREDENTIAL|AUTHORIZATION|API_?KEY|_KEY|UNLOCKKEY"
NAME = f"{WORD}(?:{SURE}){WORD}"
MEMBER = re.compile(NAME, re.IGNORECASE)
# A variable's name may say KEY in any way; in prose that would hide too much.
VARIABLE = re.compile(rf"(?P<name>{WORD}(?:{SURE}|KEY|PASS){WORD})=(?P<value>.+)", re.IGNORECASE)
FLAG = re.compile(rf"--?{NAME}", re.IGNORECASE)
IN_TEXT = (
    # Docker's own: join tokens, and the key of a locked swarm.
    (re.compile(r"\b(SWMTKN|SWMKEY)-[\w-]+"), rf"\1-{HIDDEN}"),
    (re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL), rf"[{HIDDEN} \1]"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@:]{1,100}:[^\s/@]{1,100}@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(
            rf"\b(?P<name>{NAME})(?P<sign>\\?[\"']?\s?[=:]\s?)(?:\\?\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}}\]]+)", re.IGNORECASE
        ),
        rf"\g<name>\g<sign>{HIDDEN}",
    ),
)
# Members of the API's answers that bear such a name: they say which secret, never what it is.
HARMLESS = frozenset({"SecretID", "SecretName"})


class Redactor:
    """Takes secrets out, and learns: a value that was a secret in one place is hidden in every other.

    What could be an ordinary word (`postgres`) is only hidden where it stands as a secret.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Hide this value wherever it stands; of one with several lines, each line."""
        for line in secret.splitlines():
            word = line.strip()
            if len(word) >= SHORTEST and not (word.isalpha() and (word.islower() or word.istitle())):
                self._known.add(word)

    def value(self, thing: Any) -> Any:
        """Return decoded JSON with the secrets hidden, and remember them."""
        match thing:
            case dict():
                return {str(key): self._member(str(key), inner) for key, inner in thing.items()}
            case list() | tuple():
                return self._items(list(thing))
            case str():
                return self._string(thing)
            case _:
                return thing

    def text(self, text: str) -> str:
        """Return text with the secrets hidden, those learnt until now too."""
        for pattern, hidden in IN_TEXT:
            text = pattern.sub(hidden, text)
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _member(self, key: str, inner: Any) -> Any:
        if isinstance(inner, str) and inner and key not in HARMLESS and MEMBER.fullmatch(key):
            self.learn(inner)
            return HIDDEN
        return self.value(inner)

    def _items(self, items: list[Any]) -> list[Any]:
        """`--password hunter2` stands in a list as two words."""
        hidden: list[Any] = []
        for index, item in enumerate(items):
            flag = items[index - 1] if index else None
            if isinstance(item, str) and isinstance(flag, str) and FLAG.fullmatch(flag):
                self.learn(item)
                hidden.append(HIDDEN)
            else:
                hidden.append(self.value(item))
        return hidden

    def _string(self, text: str) -> str:
        found = VARIABLE.fullmatch(text)
        if found is None:
            return self.text(text)
        self.learn(found["value"])
        return f"{found['name']}={HIDDEN}"
