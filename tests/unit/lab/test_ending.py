"""A node that is going down is waited for until it has ended, and then started like any other."""

from __future__ import annotations

import pytest

from labctl.backend import FakeBackend
from labctl.errors import LabError
from labctl.lab import Lab
from labctl.lab.ending import ENDING_FILE, as_ended
from labctl.node import Node

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose worker1 is on its way down."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    lab = lab_in_memory()
    backend = lab.backend
    assert isinstance(backend, FakeBackend)
    backend.transports["worker1"].files[ENDING_FILE] = b""
    return lab


def ends_at_look(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    looks: list[str] = []
    look = FakeBackend.look

    def looked(self: FakeBackend, node: Node) -> Node:
        looks.append(node.name)
        if len(looks) == number:
            self.stop(node)
        return look(self, node)

    monkeypatch.setattr(FakeBackend, "look", looked)
    return looks


def test_start_waits_for_its_end_and_starts_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_at_look(monkeypatch, 3)
    started: list[str] = []
    start = FakeBackend.start

    def begin(self: FakeBackend, node: Node) -> Node:
        started.append(node.name)
        return start(self, node)

    monkeypatch.setattr(FakeBackend, "start", begin)

    lab.start()

    assert started == ["worker1"]


def test_the_others_are_left_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = ends_at_look(monkeypatch, 1)
    notes: list[str] = []

    states = [node.state for node in as_ended(lab.backend, lab.nodes, notes.append)]

    assert states == ["running", "exited"]
    assert set(looks) == {"worker1"}


def test_one_that_does_not_end_is_told_with_the_way_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.lab.ending.END_LIMIT", 0.0)

    with pytest.raises(LabError, match="worker1 has been going down for 0 s") as caught:
        lab.start()

    assert "labctl kill worker1" in (caught.value.hint or "")
