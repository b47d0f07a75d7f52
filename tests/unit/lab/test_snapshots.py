"""Snapshots of a lab: what is refused before a machine is touched, and how it stands after each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.backend import FakeBackend
from labctl.errors import LabError, NotFoundError, UsageError
from labctl.events import Event, Noted
from labctl.lab import Lab, snapshots
from labctl.node import Node

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


class Noting(FakeBackend):
    """Notes what is asked of it; `fails` is raised where a snapshot is saved or put back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.fails: BaseException | None = None
        self.is_torn = False

    def suspend(self, node: Node) -> None:
        self.asked.append(f"suspend {node.name}")
        super().suspend(node)

    def resume(self, node: Node) -> Node:
        self.asked.append(f"resume {node.name}")
        return super().resume(node)

    def save_snapshot(self, lab: str, name: str) -> None:
        assert all(node.state == "paused" for node in self._nodes[lab].values())
        self.asked.append(f"save {name}")
        if self.fails:
            raise self.fails
        super().save_snapshot(lab, name)

    def check_snapshot(self, lab: str, name: str) -> None:
        self.asked.append(f"check {name}")
        if self.is_torn:
            raise LabError("nothing of worker1 any more")

    def restore_snapshot(self, lab: str, name: str) -> None:
        assert not any(node.is_running for node in self._nodes[lab].values())
        self.asked.append(f"restore {name}")
        if self.fails:
            raise self.fails
        super().restore_snapshot(lab, name)


@pytest.fixture
def backend() -> Noting:
    return Noting()


@pytest.fixture
def lab(backend: Noting) -> Lab:
    return lab_in_memory(backend)


def states(lab: Lab) -> list[str]:
    return [node.state for node in lab.refresh().nodes]


def in_order(asked: list[str]) -> list[str]:
    """All nodes at once are in no order."""
    return sorted(asked[:2]) + asked[2:-2] + sorted(asked[-2:])


def test_all_machines_stand_still_while_they_are_saved_and_serve_afterwards(lab: Lab, backend: Noting) -> None:
    made = snapshots.save(lab, "fresh")

    assert (made.name, made.nodes) == ("fresh", ("manager1", "worker1"))
    assert in_order(backend.asked) == [
        "suspend manager1",
        "suspend worker1",
        "save fresh",
        "resume manager1",
        "resume worker1",
    ]
    assert states(lab) == ["running", "running"]


def test_a_lab_that_is_suspended_stays_so(lab: Lab) -> None:
    lab.suspend()

    snapshots.save(lab.refresh(), "fresh")

    assert states(lab) == ["paused", "paused"]


def test_all_machines_are_put_back_together_those_that_are_down_too(lab: Lab, backend: Noting) -> None:
    snapshots.save(lab, "fresh")
    lab.stop([lab.node("worker1")])
    backend.asked.clear()

    snapshots.restore(lab.refresh(), "fresh")

    assert backend.asked[:3] == ["check fresh", "suspend manager1", "restore fresh"]
    assert sorted(backend.asked[3:]) == ["resume manager1", "resume worker1"]
    assert states(lab) == ["running", "running"]


@pytest.mark.parametrize("problem", [LabError("no space"), KeyboardInterrupt()])
def test_a_lab_that_could_not_be_saved_goes_on(lab: Lab, backend: Noting, problem: BaseException) -> None:
    backend.fails = problem

    with pytest.raises(type(problem)):
        snapshots.save(lab, "fresh")

    assert states(lab) == ["running", "running"]
    assert snapshots.snapshots_of(lab) == []


def test_a_lab_that_could_not_be_put_back_stands_still(lab: Lab, backend: Noting) -> None:
    """Whatever it is now, it is not of one moment."""
    snapshots.save(lab, "fresh")
    backend.fails = LabError("no space")

    with pytest.raises(LabError, match="no space"):
        snapshots.restore(lab, "fresh")

    assert states(lab) == ["paused", "paused"]


def test_one_that_is_not_whole_any_more_is_refused_before_anything_stands_still(lab: Lab, backend: Noting) -> None:
    snapshots.save(lab, "fresh")
    backend.is_torn = True

    with pytest.raises(LabError, match="nothing of worker1 any more"):
        snapshots.restore(lab, "fresh")

    assert states(lab) == ["running", "running"]


def test_ctrl_c_while_a_lab_is_put_back_says_how_it_stands(lab: Lab, backend: Noting) -> None:
    heard: list[Event] = []
    lab.context.emit = heard.append
    snapshots.save(lab, "fresh")
    backend.fails = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        snapshots.restore(lab, "fresh")

    assert heard[-1] == Noted("lab demo is put back, and suspended: `labctl resume` lets it go on")


@pytest.mark.parametrize("name", ["", " ", "-x", ".x", "a/b", "a b", "a,b", "grün", "x" * 64, "a\nb"])
def test_what_cannot_be_a_name_is_refused_before_anything_stands_still(lab: Lab, backend: Noting, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a snapshot"):
        snapshots.save(lab, name)
    assert backend.asked == []


def test_a_name_that_is_taken_is_told_with_its_time(lab: Lab) -> None:
    snapshots.save(lab, "fresh")

    with pytest.raises(UsageError, match=r"snapshot fresh is there already, taken \d{4}-") as caught:
        snapshots.save(lab, "fresh")
    assert "labctl snapshot rm fresh" in (caught.value.hint or "")


def test_a_name_that_is_not_there_is_answered_with_the_nearest(lab: Lab) -> None:
    snapshots.save(lab, "fresh")

    for ask in (snapshots.restore, snapshots.remove, snapshots.find):
        with pytest.raises(NotFoundError, match="no snapshot named 'frsh': did you mean fresh"):
            ask(lab, "frsh")


def test_one_that_is_removed_is_gone(lab: Lab) -> None:
    snapshots.save(lab, "one")
    snapshots.save(lab, "two")

    snapshots.remove(lab, "one")

    assert [known.name for known in snapshots.snapshots_of(lab)] == ["two"]


def test_a_machine_that_is_down_is_in_no_snapshot(lab: Lab, backend: Noting) -> None:
    lab.stop([lab.node("worker1")])

    with pytest.raises(LabError, match="worker1 is exited, and a snapshot is of the whole lab") as caught:
        snapshots.save(lab.refresh(), "fresh")
    assert "labctl start worker1" in (caught.value.hint or "")
    assert backend.asked == []


def test_a_machine_that_is_gone_is_in_no_snapshot(lab: Lab, backend: Noting) -> None:
    backend.remove_node(lab.node("worker1"))

    with pytest.raises(LabError, match="worker1 is gone, and a snapshot is of the whole lab"):
        snapshots.save(lab.refresh(), "fresh")


def test_a_lab_of_other_nodes_than_then_is_not_put_back(lab: Lab, backend: Noting) -> None:
    snapshots.save(lab, "two")
    worker = lab.node("worker1")
    backend.remove_node(worker)
    with pytest.raises(LabError, match="snapshot two has worker1, and the machine was removed since"):
        snapshots.restore(lab.refresh(), "two")

    snapshots.save(lab_without_gone(lab.refresh(), backend), "one")
    backend._nodes["demo"]["worker1"] = worker
    backend.asked.clear()
    with pytest.raises(LabError, match="snapshot one is of a lab without worker1") as caught:
        snapshots.restore(lab.refresh(), "one")
    assert "labctl node rm worker1" in (caught.value.hint or "")
    assert backend.asked == []


def lab_without_gone(lab: Lab, backend: FakeBackend) -> Lab:
    """The lab as it stands, and nothing else wanted of it."""
    backend.remember(replace(lab.spec, workers=0))
    return lab.refresh()
