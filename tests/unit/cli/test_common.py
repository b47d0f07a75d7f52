"""What the commands share: columns that awk can cut, JSON, and questions that only a terminal is asked."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from labctl.cli.commands import COMMANDS
from labctl.cli.common import App, complete_labs, complete_nodes, confirm, lab_command, print_json, table
from labctl.cli.main import cli
from labctl.errors import DeclinedError, UsageError


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    table(("NAME", "STATE"), [("manager1", "running"), ("w1", "exited")])

    assert capsys.readouterr().out.splitlines() == ["NAME       STATE", "manager1   running", "w1         exited"]


def test_a_table_without_rows_is_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    table(("NAME", "STATE"), [])

    assert capsys.readouterr().out == "NAME   STATE\n"


def test_lines_do_not_end_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    table(("NAME", "STATE"), [("manager1", "")])

    assert all(line == line.rstrip() for line in capsys.readouterr().out.splitlines())


def test_json_goes_to_stdout_and_takes_paths_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("/tmp")})

    said = capsys.readouterr()
    assert json.loads(said.out) == {"path": "/tmp"}
    assert said.err == ""


def test_columns_stand_below_each_other_where_letters_are_wide(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ID", "TITLE", "DONE"), [("a", "첫 번째", "done"), ("b", "second", "0 of 1")])

    assert capsys.readouterr().out.splitlines() == [
        "ID   TITLE     DONE",
        "a    첫 번째   done",
        "b    second    0 of 1",
    ]


def test_a_question_that_was_answered_ahead_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    confirm("Remove it?", yes=True)

    assert capsys.readouterr() == ("", "")


def test_a_question_that_nobody_can_answer_is_refused() -> None:
    @click.command()
    def ask() -> None:
        with pytest.raises(UsageError, match="Nobody is here to answer") as caught:
            confirm("Remove it?", yes=False)
        assert "--yes" in (caught.value.hint or "")

    result = CliRunner().invoke(ask, catch_exceptions=False)

    assert result.exit_code == 0


def test_a_no_is_an_answer_and_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)

    with pytest.raises(DeclinedError, match="nothing was changed") as caught:
        confirm("Remove it?", yes=False)

    assert caught.value.exit_code == 1


@pytest.mark.parametrize("complete", [complete_labs, complete_nodes])
def test_completion_is_silent_where_no_engine_answers(
    complete: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    command = click.Command("x")
    assert callable(complete)

    assert complete(click.Context(command), click.Option(["-x"]), "") == []


def test_the_engine_is_not_looked_for_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.7:2376")  # refused as soon as it is looked at

    App("demo", verbose=True, progress="plain")


@pytest.mark.parametrize(
    ("above", "behind", "meant"),
    [([], [], "auto"), (["json"], [], "json"), ([], ["none"], "none"), (["json"], ["plain"], "plain")],
)
def test_how_progress_is_told_may_be_said_before_and_behind_the_command(
    above: list[str], behind: list[str], meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @click.command()
    @lab_command
    def command(app: App) -> None:
        seen.append(app.progress)

    monkeypatch.setitem(COMMANDS, "probe", ("probe", "command", "A command."))
    monkeypatch.setitem(sys.modules, "labctl.cli.probe", types.SimpleNamespace(command=command))
    words = ["probe", *(word for value in behind for word in ("--progress", value))]

    done = CliRunner().invoke(cli, [*(word for value in above for word in ("--progress", value)), *words])

    assert (done.exit_code, seen) == (0, [meant])
