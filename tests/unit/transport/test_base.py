"""How a command is wrapped, bounded and shown."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from labctl.errors import LabError, UsageError
from labctl.transport.base import Result, as_argv, bounded, shown, whole


def test_text_goes_to_the_shell() -> None:
    assert as_argv("echo $HOME") == ["/bin/sh", "-c", "echo $HOME"]


def test_a_list_goes_to_no_shell() -> None:
    assert as_argv(("echo", "$HOME")) == ["echo", "$HOME"]


def test_an_empty_list_is_no_command() -> None:
    with pytest.raises(UsageError, match="there is no command to run"):
        as_argv([])


def test_the_node_itself_ends_a_command_at_its_limit() -> None:
    assert bounded(["sleep", "9"], 2.5) == ["timeout", "-k", "2", "2.5", "sleep", "9"]


@pytest.mark.parametrize("limit", [0.5, 120.0, 1_000_000.0])
def test_a_limit_is_written_as_timeout_reads_it(limit: float) -> None:
    assert subprocess.run(bounded(["true"], limit), check=False).returncode == 0


def test_a_command_is_shown_as_a_person_would_type_it() -> None:
    assert shown(["docker", "ps", "--filter", "name=a b"]) == "docker ps --filter 'name=a b'"


def test_every_secret_is_replaced_wherever_it_stands() -> None:
    assert shown("join --token S3 S3 P4", hide=["S3", "P4"]) == "join --token *** *** ***"
    assert shown("join --token S3P4 false", hide="S3P4") == "join --token *** false", "one secret, not four letters"
    assert shown("true", hide=[""]) == "true"


@pytest.mark.parametrize(("code", "ok", "timed_out"), [(0, True, False), (1, False, False), (124, False, True)])
def test_a_result_tells_how_its_code_is_meant(code: int, ok: bool, timed_out: bool) -> None:
    result = Result("true", code)

    assert (result.ok, result.timed_out) == (ok, timed_out)


def test_a_command_that_had_to_be_killed_was_at_its_limit_too() -> None:
    assert Result("sleep 9", 137).timed_out


def test_a_file_that_is_too_large_for_memory_is_refused_while_it_comes() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(LabError, match="w1:/dev/zero is larger than 64 MiB") as caught:
        whole(endless(), "w1:/dev/zero")

    assert caught.value.hint == "`labctl scp w1:/dev/zero .` copies it."
    assert whole([b"a", b"b"], "x") == b"ab"
