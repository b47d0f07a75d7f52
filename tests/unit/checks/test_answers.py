"""What checks say: not yet, wrong, and patience for a probe."""

from __future__ import annotations

import pytest

from labctl.checks import not_yet, patiently, wrong
from labctl.checks.answers import NotYet, Wrong


def test_not_yet_and_wrong_carry_what_was_found_and_where_to_look() -> None:
    with pytest.raises(NotYet) as waiting:
        not_yet("1 of 2 tasks run", found=1, look="docker service ps web")
    with pytest.raises(Wrong) as mistaken:
        wrong("on the wrong network")

    assert (waiting.value.message, waiting.value.found, waiting.value.look) == (
        "1 of 2 tasks run",
        "1",
        "docker service ps web",
    )
    assert (mistaken.value.found, mistaken.value.look) == ("", "")


def test_a_probe_is_asked_again_until_it_is_content() -> None:
    answers = iter([False, False, True])

    def arrived() -> str:
        if not next(answers):
            not_yet("on its way")
        return "here"

    assert patiently(arrived) == "here"


def test_patience_ends_with_the_last_answer() -> None:
    with pytest.raises(NotYet, match="on its way"):
        patiently(lambda: not_yet("on its way"), seconds=0.05)


def test_what_is_wrong_is_not_asked_twice() -> None:
    with pytest.raises(Wrong):
        patiently(lambda: wrong("no"))
