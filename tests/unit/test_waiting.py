"""Every wait has a limit and a pause, and its failure tells what was last seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labctl.errors import LabError, WaitTimeout
from labctl.waiting import FakeClock, Pending, SystemClock, allow_for, stretched, unhurried, wait_until


def answers_after(looks: int) -> Callable[[], str]:
    """A probe that sees something else each time and has its answer at that many looks."""
    seen = 0

    def probe() -> str:
        nonlocal seen
        seen += 1
        if seen < looks:
            raise Pending(f"look {seen}")
        return "there"

    return probe


def never() -> None:
    raise Pending("still nothing")


def test_what_is_there_already_is_not_waited_for() -> None:
    clock = FakeClock()

    assert wait_until("it", answers_after(1), limit=10, clock=clock) == "there"
    assert clock.slept == []


def test_the_value_that_the_probe_found_is_returned() -> None:
    assert wait_until("it", answers_after(4), limit=10, clock=FakeClock()) == "there"


def test_none_is_an_answer_too() -> None:
    wait_until("it", lambda: None, limit=0, clock=FakeClock())


def test_the_pause_grows_by_half_up_to_the_longest() -> None:
    clock = FakeClock()

    wait_until("it", answers_after(6), limit=100, pause=1, longest_pause=2, clock=clock)

    assert clock.slept == [1, 1.5, 2, 2, 2]


def test_the_longest_pause_is_five_times_the_first_where_not_said() -> None:
    clock = FakeClock()

    wait_until("it", answers_after(12), limit=100, pause=1, clock=clock)

    assert max(clock.slept) == 5


def test_the_limit_is_kept_to_the_second_and_a_last_look_is_taken_at_it() -> None:
    clock = FakeClock(start=1000)

    with pytest.raises(WaitTimeout):
        wait_until("it", never, limit=7, pause=2, clock=clock)

    assert clock.now() == 1007


def test_what_comes_with_the_last_look_counts() -> None:
    clock = FakeClock()

    def at_the_limit() -> float:
        if clock.now() < 3:
            raise Pending("too early")
        return clock.now()

    assert wait_until("it", at_the_limit, limit=3, pause=2, clock=clock) == 3


def test_a_timeout_tells_what_was_waited_for_how_long_and_what_was_last_seen() -> None:
    with pytest.raises(WaitTimeout, match="gave up on the leader after 3 s; last seen: still nothing") as caught:
        wait_until("the leader", never, limit=3, clock=FakeClock(), hint="look at the log")

    assert caught.value.hint == "look at the log"


def test_a_probe_that_saw_nothing_is_told_as_nothing() -> None:
    def blind() -> None:
        raise Pending

    with pytest.raises(WaitTimeout, match="last seen: nothing"):
        wait_until("it", blind, limit=1, clock=FakeClock())


def test_another_error_ends_the_wait_at_once() -> None:
    clock = FakeClock()

    def broken() -> None:
        raise LabError("the node is gone")

    with pytest.raises(LabError, match="the node is gone"):
        wait_until("it", broken, limit=100, clock=clock)

    assert clock.slept == []


def test_each_new_thing_seen_is_noted_once() -> None:
    noted: list[str] = []
    sights = iter(["a", "a", "b", "b", "b", "a"])

    def probe() -> None:
        seen = next(sights, None)
        if seen is not None:
            raise Pending(seen)

    wait_until("it", probe, limit=100, clock=FakeClock(), noted=noted.append)

    assert noted == ["a", "b", "a"]


def test_the_machines_clock_goes_on_by_what_it_sleeps() -> None:
    clock = SystemClock()
    before = clock.now()

    clock.sleep(0.001)

    assert clock.now() >= before + 0.001


@pytest.mark.parametrize(
    ("said", "factor"), [("", 1), ("x", 1), ("0", 1), ("-3", 1), ("nan", 1), ("4", 4), ("1e9", 100)]
)
def test_patience_stretches_every_limit(monkeypatch: pytest.MonkeyPatch, said: str, factor: float) -> None:
    monkeypatch.setenv("LABCTL_PATIENCE", said)
    clock = FakeClock()

    with pytest.raises(WaitTimeout):
        wait_until("it", lambda: _never(), limit=10, pause=1, clock=clock)
    assert clock.time == pytest.approx(10 * factor, abs=6)


def _never() -> None:
    raise Pending("no")


@pytest.mark.parametrize(("patience", "limit"), [("3", 30.0), ("0.1", 10.0), ("much", 10.0), ("100000", 1000.0)])
def test_patience_stretches_a_limit_and_never_shortens_it(
    monkeypatch: pytest.MonkeyPatch, patience: str, limit: float
) -> None:
    monkeypatch.setenv("LABCTL_PATIENCE", patience)

    assert stretched(10.0) == limit
    with pytest.raises(WaitTimeout, match=f"after {limit:g} s"):
        wait_until("it", never, limit=10, clock=FakeClock())


def test_a_slow_lab_is_allowed_for_unless_somebody_said_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_PATIENCE", raising=False)
    allow_for(3)
    assert stretched(10) == 30
    monkeypatch.setenv("LABCTL_PATIENCE", "1")
    assert stretched(10) == 10


@pytest.mark.parametrize(
    ("load", "seconds"), [(0.5, 3.0), (4.0, 3.0), (6.0, 4.0), (8.0, 6.0), (16.0, 12.0), (400.0, 12.0)]
)
def test_an_answer_is_waited_for_longer_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, load: float, seconds: float
) -> None:
    monkeypatch.delenv("LABCTL_PATIENCE", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert unhurried(3.0) == seconds
    assert unhurried(0.1) >= 0.1
