"""When the agent looks."""

from __future__ import annotations

import pytest

from labctl.mesh.pace import BUSY_EVERY, BUSY_FOR, DEAF_EVERY, GLANCE_EVERY, QUIET_EVERY, STORM_EVERY, Pace


def test_it_looks_at_once_at_first() -> None:
    assert Pace(deaf=False).nap(100.0) == 0.0


def test_it_looks_seldom_when_quiet_but_always_within_a_second() -> None:
    pace = Pace(deaf=False)
    pace.looked(100.0, found=False)
    assert pace.next_look(100.0) == 100.0 + QUIET_EVERY
    assert QUIET_EVERY < 1.0
    assert pace.nap(100.0) == pytest.approx(min(GLANCE_EVERY, QUIET_EVERY))


def test_it_looks_more_often_when_it_cannot_hear() -> None:
    pace = Pace(deaf=True)
    pace.looked(100.0, found=False)
    assert pace.next_look(100.0) == 100.0 + DEAF_EVERY


def test_news_make_it_look_soon() -> None:
    pace = Pace(deaf=False)
    pace.looked(99.0, found=False)
    pace.looked(100.0, found=False)
    pace.stir(105.0)
    assert pace.nap(105.0) == 0.0
    pace.looked(105.0, found=True)
    assert pace.next_look(105.0) == 105.0 + BUSY_EVERY


def test_a_storm_of_gossip_about_nothing_wears_off() -> None:
    pace = Pace(deaf=False)
    now, looks = 100.0, 0
    while now < 110.0:
        pace.stir(now)
        if pace.next_look(now) <= now:
            pace.looked(now, found=False)
            looks += 1
        now += 0.01
    assert looks < 10 / STORM_EVERY + 5


def test_after_a_storm_the_next_news_are_followed_at_once() -> None:
    pace = Pace(deaf=False)
    for tick in range(100):
        pace.stir(100 + tick / 10)
        pace.looked(100 + tick / 10, found=False)
    later = 110.0 + BUSY_FOR
    pace.looked(later, found=False)
    pace.stir(later + 0.5)
    assert pace.next_look(later + 0.5) <= later + 0.5


def test_even_in_a_storm_a_change_waits_for_no_more_than_a_third_of_a_second() -> None:
    pace = Pace(deaf=False)
    for tick in range(100):
        pace.stir(100 + tick / 10)
        pace.looked(100 + tick / 10, found=False)
    assert pace.next_look(110.0) - 109.9 == pytest.approx(STORM_EVERY)


def test_what_failed_is_put_off() -> None:
    pace = Pace(deaf=False)
    pace.put_off(101.0)
    assert pace.next_look(100.0) == 101.0


def test_it_wakes_for_other_business() -> None:
    pace = Pace(deaf=False)
    pace.looked(100.0, found=False)
    assert pace.nap(100.0, other=100.05) == pytest.approx(0.05)
    assert pace.nap(100.0, other=99.0) == 0.0


def test_a_storm_where_no_task_is_wears_off_further_and_is_still_followed_within_a_second() -> None:
    pace = Pace(deaf=False)
    for tick in range(100):
        pace.stir(100 + tick / 10)
        pace.looked(100 + tick / 10, found=False, serving=False)
    assert pace.next_look(110.0) - 109.9 == pytest.approx(QUIET_EVERY)
    pace.looked(111.0, found=True)
    assert pace.next_look(111.0) == pytest.approx(111.0 + BUSY_EVERY)


def test_it_is_busy_for_a_while_after_it_was_stirred() -> None:
    pace = Pace(deaf=False)
    assert not pace.is_busy(100.0)
    pace.stir(100.0)
    assert pace.is_busy(100.0 + BUSY_FOR / 2)
    assert not pace.is_busy(100.0 + BUSY_FOR)
