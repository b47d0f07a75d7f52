"""Long answers, heard line by line."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from labctl.errors import Abandoned, EngineRefused, WaitTimeout
from labctl.images.progress import heard, read_size


def silent_after(lines: list[str], over: threading.Event) -> Iterator[str]:
    """Yield the lines and then nothing more until the test is over."""
    yield from lines
    over.wait(30)


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when the test is over, so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


def test_all_lines_are_heard_in_order() -> None:
    assert list(heard(iter(["a", "b", "c"]), "a pull", idle=5)) == ["a", "b", "c"]


def test_an_error_comes_through_as_it_is() -> None:
    def lines() -> Iterator[str]:
        yield "a"
        raise EngineRefused("no")

    listening = heard(lines(), "a pull", idle=5)

    assert next(listening) == "a"
    with pytest.raises(EngineRefused, match="no"):
        next(listening)


def test_silence_has_a_limit(over: threading.Event) -> None:
    listening = heard(silent_after(["a"], over), "the pull of nginx", idle=0.02)

    assert next(listening) == "a"
    with pytest.raises(WaitTimeout, match="the pull of nginx"):
        next(listening)


def test_a_wait_can_be_given_up(over: threading.Event) -> None:
    stop = threading.Event()
    listening = heard(silent_after(["a"], over), "a build", idle=60, stop=stop)
    assert next(listening) == "a"

    stop.set()

    with pytest.raises(Abandoned, match="a build was given up"):
        next(listening)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (2030000, "2.03 MB"), (78100000, "78.1 MB"), (1.4e9, "1.4 GB")]
)
def test_sizes_read_as_docker_prints_them(count: float, shown: str) -> None:
    assert read_size(count) == shown
