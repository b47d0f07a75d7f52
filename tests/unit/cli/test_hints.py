"""Commands that labctl tells people to type say which lab, where labctl was told."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

import labctl
from labctl.cli.hints import LINE, with_lab
from labctl.cli.render import PlainRenderer, renderer
from labctl.events import CommandShown, StepFinished, Warned

# Of these the option is one that was typed, on whichever verb.
KEPT = ("Leave --box out", "leave --driver out", "Leave --provider out")


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
        ("`labctl export logs` keeps it", "`labctl -l demo export logs` keeps it"),
        ("`labctl bundle load FILE`, `labctl validate`", "`labctl bundle load FILE`, `labctl validate`"),
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


def test_events_name_the_lab_too() -> None:
    said = io.StringIO()
    draw = PlainRenderer(said, lab="demo")

    draw(Warned("w1 is down: `labctl start w1`"))
    draw(StepFinished("Nodes", 1, 1, 0.1, True, "`labctl map` shows them"))

    assert "`labctl -l demo start w1`" in said.getvalue()
    assert "`labctl -l demo map`" in said.getvalue()


def test_json_names_the_lab_too(capsys: pytest.CaptureFixture[str]) -> None:
    emit = renderer("json", verbose=False, lab="demo")

    emit(Warned("w1 is down: `labctl start w1`"))
    emit(CommandShown("w1", "echo '`labctl start w1`'"))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "`labctl -l demo start w1`" in lines[0]["text"]
    assert lines[1]["command"] == "echo '`labctl start w1`'", "what was run stays as it was"


@pytest.mark.parametrize("folder", ["lab", "host", "backend", "registry", "provision", "images", "swarm"])
def test_below_the_command_line_no_hint_speaks_of_one_verbs_own_option(folder: str) -> None:
    """`create`, `node add`, `start` and the library come through there too: a hint names a whole command, or `-l`."""
    top = Path(labctl.__file__).parent / folder
    bare = re.compile(r"hint=f?\"[^\"]*(?<![\w`-])`?--(name|backend|box|driver|yes)\b")
    found = []
    for path in sorted(top.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            outside = re.sub(r"`labctl [^`]*`", "", line)
            if bare.search(outside):
                found.append(f"{path.name}:{number}: {line.strip()}")
    assert [one for one in found if not any(kept in one for kept in KEPT)] == []
