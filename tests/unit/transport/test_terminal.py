"""A command on a node whose output is piped: what comes of an output that takes no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import OutputFailed
from labctl.transport.running import STDERR, STDOUT
from labctl.transport.terminal import pipe


class Said:
    """A command that says something, and ends well."""

    def __init__(self, *said: tuple[int, bytes]) -> None:
        self._said = said
        self.closed = False

    def send(self, data: bytes) -> None:
        """It reads nothing."""

    def end_input(self) -> None:
        """It reads nothing."""

    def output(self) -> Iterator[tuple[int, bytes]]:
        """What it says."""
        yield from self._said

    def resize(self, lines: int, columns: int) -> None:
        """It has no terminal."""

    def exit_code(self) -> int:
        """It ended well."""
        return 0

    def close(self) -> None:
        """Remember it."""
        self.closed = True


@pytest.fixture(autouse=True)
def no_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield


@pytest.fixture
def full() -> Iterator[Any]:
    with Path("/dev/full").open("wb", buffering=0) as device:
        yield device


def test_a_stdout_that_is_full_is_told_as_that_and_the_command_is_ended(
    full: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", full)
    running, ended = Said((STDOUT, b"hi")), []

    with pytest.raises(OutputFailed, match="No space left"):
        pipe(running, lambda: ended.append(True))

    assert running.closed
    assert ended == [True]


def test_a_stderr_that_is_full_keeps_nothing_from_stdout(full: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", full)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe_end, os.fdopen(writing, "wb", buffering=0) as out:
        monkeypatch.setattr("sys.stdout", out)

        assert pipe(Said((STDERR, b"bad"), (STDOUT, b"good")), lambda: None) == 0

        out.close()
        assert pipe_end.read() == b"good"
