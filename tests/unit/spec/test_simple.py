"""What is read in the short way is what YAML says; anything else is left to those who know all of YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.assets import asset
from labctl.spec.document import BadYaml, _resolved, _whole
from labctl.spec.simple import read_simple

words = st.sampled_from(
    ["a", "1", "2.5", "true", "null", "~", "no", "a b", "a: b", "a:b", "a #b", "a#b", "#", "[a, b]", "[a]", "[]",
     "{a: 1}", '{a: "1"}', '{a: "1" }', '"1"', '"a\\n"', '"a" b', '"',
     "- a", "-", "'a'", '"a"', "&x a", "*x", "|", ">", "!!str a", "a,b", "[a, b: c]", "a]", "0x1F", "1e3", "...", "---",
     "/a", ".5", "<<", "a:", "ü", "é b", "a  b", "a ", "%a", "@a", "`a", "?", "? a", "[a,b]", "[a, ]", "[a b, c]",
     "a [b]"]
)  # fmt: skip
lines = st.builds(
    lambda indent, key, word: " " * indent + key + word,
    st.sampled_from([0, 0, 0, 1, 2, 2, 4]),
    st.sampled_from(["a: ", "b: ", "c:", "a:", '"2":', '"2": ', "- ", "-", "", "d:  ", "true: ", "1: "]),
    words | st.just(""),
)
texts = st.lists(lines, max_size=6).map("\n".join) | st.text(alphabet="ab:- \n#[],'\"1.\u00a0\u2028\x85", max_size=30)


@settings(max_examples=600)
@given(texts)
def test_it_is_what_yaml_says(text: str) -> None:
    found = read_simple(text, _resolved)
    if found is None:
        return
    document = _whole(text)

    assert (document.value, document.lines, document.twice) == (*found, ())


@pytest.mark.parametrize(
    "file", sorted([*asset("images").glob("*/image.yaml"), *asset("exercises").glob("*/exercise.md")])
)
def test_what_labctl_ships_is_read_in_the_short_way(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    front = text.split("---\n")[1] if file.suffix == ".md" else text

    found = read_simple(front, _resolved)

    assert found is not None
    assert found[0] == _whole(front).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb:\n  c: x y\n  d:\n", {"a": 1, "b": {"c": "x y", "d": None}}),
        ("a:\n- 1\n- b:c\nd: [x, 2]", {"a": [1, "b:c"], "d": ["x", 2]}),
        ("# told\na: http://x/y#z  ", {"a": "http://x/y#z"}),
    ],
)
def test_it_knows_what_is_mostly_written(text: str, value: Any) -> None:
    found = read_simple(text, _resolved)

    assert found is not None
    assert found[0] == value


@pytest.mark.parametrize(
    "text", ["", "a", "a: 'x'", "a: x\n b", "a: 1\na: 2", "a: &x 1", "a: {b: 1}", "- a", "a: x: y"]
)
def test_all_else_is_left_to_others(text: str) -> None:
    assert read_simple(text, _resolved) is None


def test_what_is_wrong_is_told_as_before() -> None:
    with pytest.raises(BadYaml):
        _whole("a: [")
