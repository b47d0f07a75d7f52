"""YAML is read as plain values with the line of each, and what surprises is refused."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labctl.spec.document import DEEPEST, MOST, BadYaml, load

# What YAML's grammar turns on, so that the strategies below find the odd corners of it.
PIECES = [
    "name", "nodes", "workers", ":", "-", "[", "]", "{", "}", ",", "?", "|", ">", "&", "*", "!", "%", "#", "<<", "'",
    '"', "@", "`", "~", "=", "_", ".", "0x", "0o9", "1e999", ".inf", "1:60", "&a", "*a", "!!int", "!!float", "!!set",
    "!!omap", "!!binary", "!!timestamp", "!!bool", "!!null", "!!str", "!!python/name:os", "!x", "2001-99-99", "%YAML",
    "%TAG", "---", "...", "\\", "\x85", "\u2028", "\ufeff", " ", "  ", "\n", "\t", ": ", ":\n", "- ",
]  # fmt: skip
yamlish = st.lists(st.sampled_from(PIECES), max_size=15).map("".join)
# JSON escapes what is beyond in two halves, which YAML does not join.
text = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=40)
numbers = st.integers(-(2**31), 2**31) | st.floats(allow_nan=False, allow_infinity=False, width=32)
plain = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(st.one_of(st.text(), yamlish))
@example("!!omap ")
@example("a: &a [*a]")
@example("- [[[[" * 20)
@example("x: " + "9" * 5000)
def test_any_text_is_read_or_refused(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            json.dumps(load(text).value)
        except BadYaml as bad:
            assert bad.problem
            assert "\n" not in bad.problem


@given(plain)
def test_json_is_yaml(value: object) -> None:
    assert load(json.dumps({"it": value})).value == {"it": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None), ("null", None), ("true", True), ("False", False), ("no", "no"), ("on", "on"),
        ("10", 10), ("-3", -3), ("010", 10), ("0x1f", 31), ("0o17", 15), ("1_000", "1_000"), ("12:30", "12:30"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), (".inf", ".inf"), (".nan", ".nan"), ("'10'", "10"),
        ('"true"', "true"),
        ("!!str 10", "10"), ("2001-12-14", "2001-12-14"), ("9" * 40, "9" * 40),
    ],
)  # fmt: skip
def test_a_word_is_what_yaml_1_2_says_and_no_more(text: str, value: object) -> None:
    assert load(f"a: {text}").value == {"a": value}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "--- ~"])
def test_a_text_that_says_nothing_is_none(text: str) -> None:
    assert load(text).value is None


def test_the_line_of_each_key_and_item_is_known() -> None:
    document = load("name: demo\n\nnodes:\n- name: a\n  role: manager\n- {name: b}\n")

    assert document.lines == {
        ("name",): 1,
        ("nodes",): 3,
        ("nodes", 0): 4,
        ("nodes", 0, "name"): 4,
        ("nodes", 0, "role"): 5,
        ("nodes", 1): 6,
        ("nodes", 1, "name"): 6,
    }


def test_a_key_that_stands_twice_is_told_and_the_first_one_counts() -> None:
    document = load("a: 1\nb: {x: 1}\na: 2\nb:\n  y: 2\n")

    assert document.value == {"a": 1, "b": {"x": 1}}
    assert [(again.line, again.problem) for again in document.twice] == [
        (3, "'a' is there twice, in line 1 first"),
        (4, "'b' is there twice, in line 2 first"),
    ]


def test_anchors_stand_for_what_they_mark() -> None:
    assert load("a: &x {k: [1]}\nb: *x\n").value == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_an_anchor_may_be_used_again_for_something_else() -> None:
    assert load("a: &x 1\nb: &x 2\nc: *x\n").value == {"a": 1, "b": 2, "c": 2}


def test_merge_keys_fill_in_what_is_not_said() -> None:
    text = "base: &base {role: worker, cpus: 1}\nnode:\n  cpus: 2\n  <<: *base\n"

    assert load(text).value["node"] == {"role": "worker", "cpus": 2}


def test_of_several_merged_mappings_the_first_wins() -> None:
    assert load("{<<: [{a: 1}, {a: 2, b: 2}]}").value == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\n\tb: 2", 2, "a tab; YAML indents with spaces"),
        ("a: [1,\n", 2, "expected"),
        ("a: !secret x", 1, "the tag !secret is not known here"),
        ("a: !!set {x}", 1, "the tag !!set is not known here"),
        ("x: 1\n[1]: 2", 2, "a key must be text"),
        ("a: 1\n---\nb: 2", 2, "a second document begins"),
        ("a: &a [*a]", 1, "*a stands for nothing that is complete before it"),
        ("a: *nowhere", 1, "nowhere"),
        ("a:\n  <<: 3", 2, "`<<` takes keys with values"),
        ("%YAML 9.9\n---\na: 1", 1, "incompatible"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(BadYaml) as caught:
        load(text)

    assert caught.value.line == line
    assert problem in caught.value.problem


def test_characters_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadYaml, match="this is not YAML"):
        load("a: \0")


def test_an_escape_that_stands_for_no_character_is_refused() -> None:
    with pytest.raises(BadYaml, match="stands for no character"):
        load('a: "\\ud800"')


@pytest.mark.parametrize("text", ["[" * (DEEPEST + 2), "\n".join(" " * n + "a:" for n in range(DEEPEST + 3))])
def test_nesting_without_end_is_refused(text: str) -> None:
    with pytest.raises(BadYaml, match="levels deep"):
        load(text)


def test_aliases_that_multiply_are_refused_before_they_are_followed() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    with pytest.raises(BadYaml, match=f"more than {MOST} values"):
        load("\n".join(lines))
