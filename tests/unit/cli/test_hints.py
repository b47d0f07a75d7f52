"""Commands that labctl tells people to type say which lab, where labctl was told."""

from __future__ import annotations

import pytest

from labctl.cli.hints import LINE, with_lab


@pytest.mark.parametrize(
    ("told", "typed"),
    [
        ("w1 is exited: `labctl start w1`", "w1 is exited: `labctl -l demo start w1`"),
        ("look:  labctl docker -- service ps x", "look:  labctl -l demo docker -- service ps x"),
        ("`labctl docker -- run -l x y`", "`labctl -l demo docker -- run -l x y`"),
        ("`labctl up --retain`, `labctl logs m1`", "`labctl -l demo up --retain`, `labctl -l demo logs m1`"),
        ("`labctl down -l other` first", "`labctl down -l other` first"),
        ("`labctl up --name demo`", "`labctl up --name demo`"),
        ("`labctl labs`, `labctl doctor --fix`", "`labctl labs`, `labctl doctor --fix`"),
        ("labctl is not a command to type", "labctl is not a command to type"),
    ],
)
def test_the_lab_is_named_in_what_is_to_be_typed(told: str, typed: str) -> None:
    assert with_lab(told, "demo") == typed


def test_a_lessons_commands_stand_in_lines_of_their_own_too() -> None:
    lesson = "Start it:\n\n    labctl start w2\n$ labctl status\nlabctl doctor\nand labctl start is a verb\n"

    assert with_lab(lesson, "demo", commands=LINE) == (
        "Start it:\n\n    labctl -l demo start w2\n$ labctl -l demo status\nlabctl doctor\nand labctl start is a verb\n"
    )


def test_where_no_lab_was_named_nothing_changes() -> None:
    assert with_lab("`labctl start w1`", None) == "`labctl start w1`"
