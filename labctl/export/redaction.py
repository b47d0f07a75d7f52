"""Secrets out of what people post in public: what users wrote in variables and commands, tokens, keys, passwords.

Of an engine's answers only what is known to be harmless stays (`allowed`). Of texts, which have no members, what looks
like a secret is hidden (`patterns`), and every value that was hidden in an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from labctl.export import allowed
from labctl.export.patterns import FLAG, HIDDEN, MEMBER, VARIABLE, without_secrets

__all__ = ["HIDDEN", "Redactor"]

SHORTEST = 8  # characters; a shorter value would be found, and hidden, in half of all words
SHORTEST_WORD = 5  # of one that is only hidden where it is a word of its own
# Members of the API's answers that bear such a name: they say which secret, never what it is.
HARMLESS = frozenset({"SecretID", "SecretName"})


class Redactor:
    """Takes secrets out, and learns: a value that was a secret in one place is hidden in every other.

    What could be an ordinary word (`postgres`) is only hidden where it stands as a secret.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._words: set[str] = set()
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Hide this value wherever it stands; of one with several lines, each line."""
        for line in secret.splitlines():
            word = line.strip()
            if len(word) >= SHORTEST and not (word.isalpha() and (word.islower() or word.istitle())):
                # As it is, and as it stands in JSON and in URLs.
                self._known |= {word, json.dumps(word)[1:-1], quote(word, safe="")}

    def value(self, thing: Any) -> Any:
        """Return decoded JSON with the secrets hidden, and remember them."""
        return self._value(thing, in_spec=False)

    def text(self, text: str) -> str:
        """Return text with the secrets hidden, those learnt until now too."""
        text = without_secrets(text)
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        if self._words:
            words = "|".join(re.escape(word) for word in sorted(self._words, key=len, reverse=True))
            text = re.sub(rf"(?<!\w)(?:{words})(?!\w)", HIDDEN, text)
        return text

    def _value(self, thing: Any, *, in_spec: bool) -> Any:
        match thing:
            case dict():
                return {
                    str(key): self._member(str(key), inner, in_spec=in_spec or key in allowed.SPECS)
                    for key, inner in thing.items()
                }
            case list() | tuple():
                return self._items(list(thing), in_spec=in_spec)
            case str():
                return self._string(thing)
            case _:
                return thing

    def _member(self, key: str, inner: Any, *, in_spec: bool) -> Any:
        if key in allowed.VARIABLES:
            return self._variables(inner)
        if key in allowed.COMMANDS and isinstance(inner, str | list):
            return self._command(key, inner)
        if key in allowed.LABELS and _is_flat(inner):
            return self._labels(inner)
        if isinstance(inner, str) and inner and key not in HARMLESS and MEMBER.fullmatch(key):
            self.learn(inner)
            return HIDDEN
        if in_spec and not allowed.is_known_in_spec(key):
            if isinstance(inner, str):
                return self._hidden(inner)
            if isinstance(inner, list):
                return [
                    self._hidden(item) if isinstance(item, str) else self._value(item, in_spec=True) for item in inner
                ]
        return self._value(inner, in_spec=in_spec)

    def _variables(self, inner: Any) -> Any:
        """NAME=value: the names stay, and what is known to be harmless."""
        if isinstance(inner, dict):
            return {str(name): self._variable(str(name), str(value)) for name, value in inner.items()}
        if not isinstance(inner, list):
            return None if inner is None else self._hidden(str(inner))
        pairs = [str(item).partition("=") for item in inner]
        return [f"{name}={self._variable(name, value)}" if sign else name for name, sign, value in pairs]

    def _variable(self, name: str, value: str) -> str:
        return self.text(value) if allowed.is_harmless_variable(name, value) else self._hidden(value)

    def _command(self, key: str, inner: str | list[Any]) -> str | list[Any]:
        """The program's name stays: all that it is given may be a secret."""
        words = inner.split() if isinstance(inner, str) else [str(word) for word in inner]
        shown = [self._hidden(word) for word in words]
        if words and key != "Args" and allowed.is_program(words[0]):
            shown[0] = self.text(words[0])
        return " ".join(shown) if isinstance(inner, str) else shown

    def _labels(self, inner: Any) -> Any:
        if isinstance(inner, dict):
            return {str(name): self._label(str(name), value) for name, value in inner.items()}
        pairs = [str(item).partition("=") for item in inner]
        return [f"{name}={self._label(name, value)}" if sign else self.text(name) for name, sign, value in pairs]

    def _label(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if MEMBER.fullmatch(name) or not allowed.is_harmless_label(name, value):
            return self._hidden(value)
        return self.text(value)

    def _items(self, items: list[Any], *, in_spec: bool) -> list[Any]:
        """`--password hunter2` stands in a list as two words."""
        hidden: list[Any] = []
        for index, item in enumerate(items):
            flag = items[index - 1] if index else None
            if isinstance(item, str) and isinstance(flag, str) and FLAG.fullmatch(flag):
                self.learn(item)
                hidden.append(HIDDEN)
            else:
                hidden.append(self._value(item, in_spec=in_spec))
        return hidden

    def _string(self, text: str) -> str:
        found = VARIABLE.fullmatch(text)
        if found is None:
            return self.text(text)
        self.learn(found["value"])
        return f"{found['name']}={HIDDEN}"

    def _hidden(self, value: str) -> str:
        """Hide a value here, and wherever else it stands, unless it is made of ordinary words."""
        if not value or value == HIDDEN:
            return value
        # The whole of it, and what a program would take out of it: user:password, --flag=value.
        for part in {value, *re.split(r"[\s=:@,;'\"]+", value)}:
            if not allowed.is_plain(part):
                self.learn(part)
                if SHORTEST_WORD <= len(part) < SHORTEST:
                    self._words.add(part)
        return HIDDEN


def _is_flat(inner: Any) -> bool:
    """Whether it is a list or a mapping of texts, as labels and options are."""
    items = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else [inner]
    return isinstance(inner, dict | list) and not any(isinstance(item, dict | list) for item in items)
