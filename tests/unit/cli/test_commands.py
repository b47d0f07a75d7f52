"""The table of commands is true: each one is there, has help, and is listed once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import click
import pytest

from labctl.cli.commands import COMMANDS, SECTIONS
from labctl.cli.main import cli

# About this machine or about files; `exercise` has verbs of both kinds, which its own tests look at.
WITHOUT_A_LAB = {"doctor", "validate", "schema", "completion", "bundle", "exercise", "labs"}


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def with_its_own(command: click.Command) -> list[click.Command]:
    """The command and those below it."""
    below = list(command.commands.values()) if isinstance(command, click.Group) else []
    return [command, *(one for each in below for one in with_its_own(each))]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_the_table_says_and_bears_its_name(name: str) -> None:
    assert command_of(name).name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_all_below_it_say_what_they_do(name: str) -> None:
    assert all(command.help for command in with_its_own(command_of(name)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    silent = [
        f"{command.name} {option.opts[0]}"
        for command in with_its_own(command_of(name))
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]

    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_of_a_command_is_there_twice(name: str) -> None:
    for command in with_its_own(command_of(name)):
        spelled = Counter(word for option in command.params for word in (*option.opts, *option.secondary_opts))
        assert [word for word, times in spelled.items() if times > 1] == []


def test_every_command_stands_in_one_section_of_the_help() -> None:
    listed = Counter(name for names in SECTIONS.values() for name in names)

    assert set(listed) == set(COMMANDS)
    assert set(listed.values()) == {1}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_table_is_the_commands_short_help(name: str) -> None:
    assert command_of(name).get_short_help_str(200).rstrip(".") == COMMANDS[name][2].rstrip(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_all_below_it_show_how_they_are_typed(name: str) -> None:
    silent = [
        command.name
        for command in with_its_own(command_of(name))
        if not re.search(r"\x08\n.*\blabctl ", command.help or "", re.DOTALL)
    ]

    assert silent == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_A_LAB])
def test_every_command_about_a_lab_takes_its_name(name: str) -> None:
    silent = [
        command.name
        for command in with_its_own(command_of(name))
        if not isinstance(command, click.Group)
        and (command.name or "") not in WITHOUT_A_LAB
        and not any({"-l", "--lab"} <= set(option.opts) for option in command.params)
    ]

    assert silent == []


def test_a_command_is_completed_without_importing_one() -> None:
    script = (
        "import sys, click; from labctl.cli.main import cli;"
        "items = cli.shell_complete(click.Context(cli), 'st'); print(*(item.value for item in items));"
        "print(sum(name.startswith('labctl.') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    names, imported = done.stdout.splitlines()
    assert names.split() == ["status", "stop", "start", "stack"]
    assert int(imported) < 10


def test_the_line_of_a_command_fits_beside_its_name() -> None:
    assert all(len(line) <= 80 and line.endswith(".") for _, _, line in COMMANDS.values())
