"""Single keys from a terminal: letters, keys that are no letters, and those of a keyboard that writes Hangul."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from labctl.cli.keyboard import END_OF_INPUT, Keyboard

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
Type = Callable[[bytes], list[str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Type]:
    """Type bytes on a terminal, and read the keys until no more come."""
    ours, theirs = os.openpty()

    class Stdin:
        def fileno(self) -> int:
            return theirs

    monkeypatch.setattr(sys, "stdin", Stdin())
    keyboard = Keyboard()
    keyboard.begin()

    def type_(keys: bytes) -> list[str]:
        os.write(ours, keys + b"!")
        read: list[str] = []
        while (key := keyboard.key(10.0)) != "!":
            read.append(key)
        return read

    yield type_
    keyboard.end()
    os.close(ours)
    os.close(theirs)


def test_letters_come_one_by_one(typed: Type) -> None:
    assert typed(b"nh?") == ["n", "h", "?"]


def test_hangul_is_the_keys_that_were_pressed(typed: Type) -> None:
    assert typed("ㅜㅗㅃ".encode()) == ["n", "h", "Q"]
    assert typed("무".encode()) == ["a", "n"], "a syllable is several keys"


def test_what_is_no_letter_is_no_key(typed: Type) -> None:
    assert typed(b"\x1b[A\x1bOQn") == ["", "", "n"]


def test_a_character_that_is_cut_off_or_none_ends_nothing(typed: Type) -> None:
    assert typed(b"\xffn")[-1] == "n"


def test_the_end_of_the_input_is_told(monkeypatch: pytest.MonkeyPatch, typed: Type) -> None:
    monkeypatch.setattr(os, "read", lambda *_: b"")
    keyboard = Keyboard()
    keyboard.begin()
    monkeypatch.setattr(keyboard, "_has_more", lambda _seconds: True)

    assert keyboard.key(0) == END_OF_INPUT
