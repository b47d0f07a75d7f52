"""A stack file as an older CLI takes it: words that it would read as true or false are quoted, lines stay."""

from __future__ import annotations

import pytest

from labctl.swarm.olderyaml import for_older_cli


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("networks: {n: }", 'networks: {"n": }'),
        ("services:\n  on:\n    networks: [n, No, net]\n", 'services:\n  "on":\n    networks: ["n", "No", net]\n'),
        ("environment: {A: yes, B: 'no'}", "environment: {A: \"yes\", B: 'no'}"),
        ("a: {read_only: yes, internal: on}", "a: {read_only: yes, internal: on}"),
        ("a: &n [x]\nb: *n\ny: {c: no}\n", 'a: &n [x]\nb: *n\n"y": {c: no}\n'),
        ("labels:\n  - on\n  - a=on\nf: no\n", 'labels:\n  - "on"\n  - a=on\nf: no\n'),
        ("environment:\n  A: {B: on}\n  C: on\n", 'environment:\n  A: {B: on}\n  C: "on"\n'),
    ],
)
def test_names_and_texts_are_quoted_and_switches_are_not(text: str, expected: str) -> None:
    assert for_older_cli(text) == (expected, None)


@pytest.mark.parametrize("version", ["3", "3.0", "3.9", "3.12"])
def test_versions_that_it_knows_stay(version: str) -> None:
    text = f'version: "{version}"\nservices: {{}}\n'

    assert for_older_cli(text) == (text, None)


@pytest.mark.parametrize(
    ("line", "version"),
    [('version: "3.13"', "3.13"), ("version: '2.4' # old", "2.4"), ("version: 1", "1"), ('"version": "4"', "4")],
)
def test_others_are_left_out_without_moving_a_line(line: str, version: str) -> None:
    assert for_older_cli(f"# a stack\n{line}\nservices: {{}}\n") == (
        f"# a stack\n# {line}\nservices: {{}}\n", version,
    )  # fmt: skip


def test_a_version_below_another_key_is_none() -> None:
    text = "x-a:\n  version: 9\nservices: {}\n"

    assert for_older_cli(text) == (text, None)
