"""Counts and lists read as a person would say them."""

from __future__ import annotations

import pytest

from labctl.words import Phrase, counted, in_ranges, some


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


def test_ways_of_neighbouring_ports_are_one_line() -> None:
    ways = [*(f"127.0.0.1:{21000 + n} -> {21000 + n}/udp" for n in range(62)), "127.0.0.1:32001 -> 22000/tcp"]

    assert in_ranges(ways) == ["127.0.0.1:21000-21061 -> 21000-21061/udp", "127.0.0.1:32001 -> 22000/tcp"]


def test_ways_that_leave_a_port_out_or_change_the_protocol_are_told_apart() -> None:
    ways = ["127.0.0.1:80 -> 80/tcp", "127.0.0.1:81 -> 81/udp", "127.0.0.1:90 -> 82/udp", "127.0.0.1:91 -> 83/udp"]

    assert in_ranges(ways) == [*ways[:2], "127.0.0.1:90-91 -> 82-83/udp"]
    assert in_ranges([]) == []


def test_a_phrase_is_text_in_english_and_can_be_said_otherwise_with_all_that_is_in_it() -> None:
    reason = Phrase.listed([Phrase("{count} pending", count=2), Phrase("{count} {state}", count=1, state="new")])
    said = Phrase("{service}: {reason}", service="web", reason=reason)

    assert said == "web: 2 pending, 1 new"
    assert said.said_in({"{count} pending": "{count}개 대기"}) == "web: 2개 대기, 1 new"
    assert said.said_in({}) == said


def test_what_a_phrase_is_given_may_have_braces_of_its_own() -> None:
    assert Phrase("{command} failed", command="inspect {{.ID}} {state}", state="x") == "inspect {{.ID}} {state} failed"
