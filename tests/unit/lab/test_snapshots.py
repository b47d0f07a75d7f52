"""Snapshots of a lab: what is refused before a machine is touched, and how it stands after each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from labctl.backend import FakeBackend
from labctl.errors import EngineRefused, HostError, LabError, NotFoundError, UsageError
from labctl.events import Event, Noted, Warned
from labctl.faults.innode import LIST, PLACE, STATE
from labctl.lab import Lab, snapshots
from labctl.lab.status import status_of
from labctl.node import Node

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


class Noting(FakeBackend):
    """Notes what is asked of it; `fails` is raised where a snapshot is saved or put back, `full` before it is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.fails: BaseException | None = None
        self.full: HostError | None = None
        self.is_torn = False

    def suspend(self, node: Node) -> None:
        self.asked.append(f"suspend {node.name}")
        super().suspend(node)

    def start(self, node: Node) -> Node:
        self.asked.append(f"start {node.name}")
        return super().start(node)

    def resume(self, node: Node) -> Node:
        self.asked.append(f"resume {node.name}")
        return super().resume(node)

    def prepare_save(self, lab: str, name: str) -> None:
        self.asked.append(f"prepare {name}")
        if self.full:
            raise self.full

    def save_snapshot(self, lab: str, name: str, note: Callable[[str], None] = lambda _: None) -> None:
        assert all(node.state == "paused" for node in self._nodes[lab].values())
        self.asked.append(f"save {name}")
        if self.fails:
            raise self.fails
        super().save_snapshot(lab, name)

    def prepare_restore(self, lab: str, name: str, note: Callable[[str], None] = lambda _: None) -> None:
        self.asked.append(f"check {name}")
        if self.is_torn:
            raise LabError("nothing of worker1 any more")

    def restore_snapshot(self, lab: str, name: str) -> None:
        assert not (self.keeps_memory and any(node.is_running for node in self._nodes[lab].values()))
        self.asked.append(f"restore {name}")
        if self.fails:
            raise self.fails
        super().restore_snapshot(lab, name)


@pytest.fixture
def backend() -> Noting:
    return Noting()


@pytest.fixture
def disks(backend: Noting) -> Noting:
    """The backend, as one whose snapshots are of disks."""
    backend.keeps_memory = False
    return backend


@pytest.fixture
def lab(backend: Noting) -> Lab:
    return without_faults(lab_in_memory(backend), backend)


def without_faults(lab: Lab, backend: Noting) -> Lab:
    for name, transport in backend.transports.items():
        transport.answers[LIST] = ""
        apart = EngineRefused("This node is not a swarm manager", status=503)
        backend.engines[name].script |= {"GET /swarm": apart, "GET /info": {"Swarm": {"LocalNodeState": "inactive"}}}
    return lab


def states(lab: Lab) -> list[str]:
    return [node.state for node in lab.refresh().nodes]


def in_order(asked: list[str]) -> list[str]:
    """All nodes at once are in no order."""
    return asked[:1] + sorted(asked[1:3]) + asked[3:-2] + sorted(asked[-2:])


def test_all_machines_stand_still_while_they_are_saved_and_serve_afterwards(lab: Lab, backend: Noting) -> None:
    made = snapshots.save(lab, "fresh")

    assert (made.name, made.nodes) == ("fresh", ("manager1", "worker1"))
    assert in_order(backend.asked) == [
        "prepare fresh",
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


def test_a_disk_that_is_full_is_told_before_anything_stands_still(lab: Lab, backend: Noting) -> None:
    backend.full = HostError("snapshot fresh takes 9 MiB, and the engine's disk has 1 MiB left")

    with pytest.raises(HostError, match="has 1 MiB left"):
        snapshots.save(lab, "fresh")

    assert backend.asked == ["prepare fresh"]
    assert states(lab) == ["running", "running"]


def test_a_lab_with_a_fault_is_not_saved(lab: Lab, backend: Noting) -> None:
    fault: dict[str, object] = {"kind": "cut", "target": "worker1", "options": {}, "until": None, "id": "abc123"}
    answers = backend.transports["worker1"].answers
    answers |= {LIST: f"abc123 {json.dumps(fault)}\n", STATE.format(place=f"{PLACE}/abc123"): ""}

    with pytest.raises(LabError, match="worker1 has the fault cut, and a snapshot is of a lab in") as said:
        snapshots.save(lab, "fresh")

    assert said.value.hint == "`labctl fault heal abc123` heals it."
    assert backend.asked == []


def test_what_has_no_memory_is_prepared_while_the_lab_runs_and_started(lab: Lab, disks: Noting) -> None:
    snapshots.save(lab, "fresh")
    disks.asked.clear()

    snapshots.restore(lab.refresh(), "fresh")

    assert disks.asked[:2] == ["check fresh", "restore fresh"]
    assert sorted(disks.asked[2:]) == ["start manager1", "start worker1"]
    assert states(lab) == ["running", "running"]


def test_a_lab_goes_on_when_a_snapshot_of_disks_is_not_whole(lab: Lab, disks: Noting) -> None:
    snapshots.save(lab, "fresh")
    disks.is_torn = True

    with pytest.raises(LabError, match="nothing of worker1 any more"):
        snapshots.restore(lab, "fresh")

    assert states(lab) == ["running", "running"]


def test_a_node_that_was_removed_comes_back_from_a_snapshot_of_disks(lab: Lab, disks: Noting) -> None:
    snapshots.save(lab, "two")
    disks.remove_node(lab.node("worker1"))

    snapshots.restore(lab.refresh(), "two")

    assert [node.name for node in lab.refresh().nodes] == ["manager1", "worker1"]


@pytest.mark.parametrize("verb", ["start", "resume", "save"])
def test_a_lab_that_is_put_back_in_part_is_not_started_and_says_what_to_do(
    lab: Lab, backend: Noting, verb: str
) -> None:
    snapshots.save(lab, "fresh")
    backend.restoring["demo"] = "fresh"
    lab = lab.refresh()
    verbs: dict[str, Callable[[], object]] = {
        "start": lab.start,
        "resume": lab.resume,
        "save": lambda: lab.save_snapshot("other"),
    }

    with pytest.raises(LabError, match="lab demo is put back to snapshot fresh in part") as said:
        verbs[verb]()

    assert (said.value.hint or "").startswith("`labctl snapshot restore fresh` finishes it")
    assert "`labctl snapshot restore fresh` finishes it" in status_of(lab.context, lab.record).problems[0]


def test_the_snapshot_that_a_lab_is_put_back_to_in_part_is_not_removed(lab: Lab, backend: Noting) -> None:
    snapshots.save(lab, "fresh")
    backend.restoring["demo"] = "fresh"

    with pytest.raises(LabError, match="would be lost without it"):
        lab.remove_snapshot("fresh")

    assert [known.name for known in lab.snapshots()] == ["fresh"]


def test_the_verbs_of_a_lab_are_those_of_the_commands(lab: Lab) -> None:
    heard: list[Event] = []

    made = lab.save_snapshot("fresh", on_event=heard.append)
    assert [known.name for known in lab.snapshots()] == [made.name] == ["fresh"]
    lab.restore_snapshot("fresh", on_event=heard.append)
    lab.remove_snapshot("fresh")

    assert lab.snapshots() == []
    assert heard


def test_a_lab_that_does_not_serve_again_is_warned_of_and_saved_all_the_same(lab: Lab, backend: Noting) -> None:
    heard: list[Event] = []
    backend.engines["worker1"].script["GET /_ping"] = EngineRefused("worker1 is not well", status=500)

    lab.save_snapshot("fresh", on_event=heard.append)

    assert [known.name for known in lab.snapshots()] == ["fresh"]
    (told,) = [event.text for event in heard if isinstance(event, Warned)]
    assert "fresh is saved, and the lab does not serve again yet: " in told and "worker1 is not well" in told
