"""Nodes that stand still and go on: which of them, and what is said of those that can do neither."""

from __future__ import annotations

import pytest

from labctl.errors import LabError
from labctl.lab import Lab

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def lab() -> Lab:
    return lab_in_memory()


def states(lab: Lab) -> list[str]:
    return [node.state for node in lab.refresh().nodes]


def test_a_lab_stands_still_and_goes_on(lab: Lab) -> None:
    assert [node.name for node in lab.suspend()] == ["manager1", "worker1"]
    assert states(lab) == ["paused", "paused"]

    assert [node.name for node in lab.refresh().resume()] == ["manager1", "worker1"]
    assert states(lab) == ["running", "running"]


def test_what_is_so_already_is_fine(lab: Lab) -> None:
    assert lab.resume() == []
    lab.suspend([lab.node("worker1")])

    assert [node.name for node in lab.refresh().suspend()] == ["manager1"]
    assert lab.refresh().suspend() == []


def test_start_lets_what_is_suspended_go_on(lab: Lab) -> None:
    lab.suspend()

    lab.refresh().start()

    assert states(lab) == ["running", "running"]


def test_one_that_is_down_is_neither_suspended_nor_resumed(lab: Lab) -> None:
    lab.stop([lab.node("worker1")])
    lab = lab.refresh()

    with pytest.raises(LabError, match="worker1 is exited, not running") as caught:
        lab.suspend()
    assert caught.value.hint == "`labctl start worker1` starts it."
    assert states(lab) == ["running", "exited"], "nothing was changed"
    with pytest.raises(LabError, match="worker1 is exited, not paused"):
        lab.resume([lab.node("worker1")])


def test_of_a_lab_that_is_half_down_what_is_suspended_goes_on(lab: Lab) -> None:
    lab.stop([lab.node("worker1")])
    lab.suspend([lab.node("manager1")])

    assert [node.name for node in lab.refresh().resume()] == ["manager1"]
    assert states(lab) == ["running", "exited"]
