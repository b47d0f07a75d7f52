"""The table of commands is true: each one is there, has help, and is listed once."""

from __future__ import annotations

from collections import Counter

import click
import pytest

from labctl.cli.commands import COMMANDS, SECTIONS
from labctl.cli.main import cli


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


def test_the_line_of_a_command_fits_beside_its_name() -> None:
    assert all(len(line) <= 80 and line.endswith(".") for _, _, line in COMMANDS.values())
