"""Counts and lists read as a person would say them."""

from __future__ import annotations

import pytest

from labctl.words import counted, some


@pytest.mark.parametrize(("count", "said"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes")])
def test_a_count_has_its_word(count: int, said: str) -> None:
    assert counted(count, "node") == said


def test_a_word_may_have_a_plural_of_its_own() -> None:
    assert [counted(count, "engine answers", "engines answer") for count in (1, 2)] == [
        "1 engine answers",
        "2 engines answer",
    ]


def test_a_long_list_is_cut() -> None:
    assert some(["a"]) == "a"
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
