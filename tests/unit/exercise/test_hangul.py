"""What was typed on a keyboard that writes Hangul is the keys that were pressed."""

from __future__ import annotations

import pytest

from labctl.exercise.hangul import as_typed


@pytest.mark.parametrize(
    ("written", "pressed"),
    [
        ("ㅜ", "n"),
        ("ㅠ", "b"),
        ("ㄱ", "r"),
        ("ㅗ", "h"),
        ("ㅁ", "a"),
        ("ㅊ", "c"),
        ("ㄴ", "s"),
        ("ㅣ", "l"),
        ("ㅡ", "m"),
        ("ㅌ", "x"),
        ("ㅂ", "q"),
        ("ㅃ", "Q"),
        ("ㅘ", "hk"),
        ("무", "an"),
        ("한글", "gksrmf"),
        ("값", "rkqt"),
        ("3?", "3?"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_each_letter_is_the_key_below_it(written: str, pressed: str) -> None:
    assert as_typed(written) == pressed
