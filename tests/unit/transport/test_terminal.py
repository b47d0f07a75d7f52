"""A command on a node, by pipes and at a terminal: an output that takes no more, a window that is closed."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import OutputFailed
from labctl.transport.running import STDERR, STDOUT
from labctl.transport.terminal import HUNG_UP, pipe, sit
from tests.guard import HANGING


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


class Waits(Said):
    """A command that says nothing until `now` has happened to its terminal, and then until it is cut off."""

    def __init__(self, now: Callable[[], object]) -> None:
        super().__init__()
        self._now = now
        self._cut = threading.Event()
        self.is_ended = False

    def output(self) -> Iterator[tuple[int, bytes]]:
        self._now()
        assert self._cut.wait(HANGING), "nobody cut it off"
        yield from ()

    def cut(self) -> None:
        """Let nobody wait for it."""
        self._cut.set()

    def end(self) -> None:
        """Remember it."""
        self.is_ended = True


class Window:
    """A terminal that is our stdin and stdout while we sit there; nobody tells us that it is closed."""

    def __init__(self) -> None:
        self._ours, its = pty.openpty()
        self._seat = os.fdopen(its, "r+b", buffering=0)
        self._is_open = True

    def sit(self, running: Waits) -> int:
        """Sit there."""
        with pytest.MonkeyPatch.context() as patched:  # not before: pytest gives each test a stdout of its own
            patched.setattr("sys.stdin", self._seat)
            patched.setattr("sys.stdout", self._seat)
            return sit(running, cut=running.cut, end=running.end)

    def close(self) -> None:
        """Close it."""
        if self._is_open:
            self._is_open = False
            os.close(self._ours)

    def leave(self) -> None:
        """Close all of it."""
        self.close()
        self._seat.close()


@pytest.fixture
def window() -> Iterator[Window]:
    found = Window()
    yield found
    found.leave()


def test_the_end_of_the_terminal_ends_the_command_where_no_signal_tells_of_it(window: Window) -> None:
    running = Waits(window.close)

    assert window.sit(running) == HUNG_UP
    assert (running.closed, running.is_ended) == (True, True)


def test_a_terminal_that_takes_no_more_has_gone(window: Window) -> None:
    class Speaks(Waits):
        def output(self) -> Iterator[tuple[int, bytes]]:
            window.close()
            yield STDOUT, b"hi"

    running = Speaks(window.close)

    assert window.sit(running) == HUNG_UP
    assert running.is_ended


@pytest.mark.parametrize("goes", [False, True])
def test_a_signal_ends_the_command_and_a_terminal_that_has_gone_hides_it_not(window: Window, *, goes: bool) -> None:
    class Told(Waits):
        def output(self) -> Iterator[tuple[int, bytes]]:
            if goes:
                window.close()
            if not self.closed:
                raise KeyboardInterrupt
            yield from ()

    running = Told(window.close)

    with pytest.raises(KeyboardInterrupt):
        window.sit(running)
    assert (running.closed, running.is_ended) == (True, True)


def test_a_terminal_that_has_gone_before_is_no_bug(window: Window) -> None:
    running = Waits(lambda: None)
    window.close()

    assert window.sit(running) == HUNG_UP
    assert running.is_ended
