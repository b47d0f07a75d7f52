"""`--unlock-key`: from the line, from stdin, from the environment; never empty."""

from __future__ import annotations

import io

import click
import pytest
from click.testing import CliRunner

from labctl.cli.unlock import given_key, unlock_option
from labctl.errors import UsageError


@click.command()
@unlock_option
def command() -> None:
    click.echo(given_key() or "none")


def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(command, arguments, input=stdin, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output.strip()


def test_the_key_is_taken_from_the_line_stdin_or_the_environment() -> None:
    assert run("--unlock-key", "KEY-1") == "KEY-1"
    assert run("--unlock-key", "-", stdin="KEY-2\nmore\n") == "KEY-2"
    assert run(env={"LABCTL_UNLOCK_KEY": "KEY-3"}) == "KEY-3"
    assert run() == "none"


@pytest.mark.parametrize("words", [("--unlock-key", " "), ("--unlock-key", "-")])
def test_an_empty_key_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="the unlock key is empty"):
        run(*words)


def test_without_a_stdin_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.cli.unlock.sys.stdin", None)
    with pytest.raises(UsageError, match="empty"):
        command.main(["--unlock-key", "-"], standalone_mode=False)
    monkeypatch.setattr("labctl.cli.unlock.sys.stdin", io.StringIO("KEY-4\n"))
    command.main(["--unlock-key", "-"], standalone_mode=False)
