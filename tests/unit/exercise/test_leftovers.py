"""What a lesson leaves in its lab is told at its end, as far as somebody tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.errors import NodeDown
from labctl.exercise import leftovers
from labctl.exercise.leftovers import left_in, open_again
from labctl.faults import Fault
from labctl.faults.finding import Found
from labctl.lab import Context, Lab
from labctl.spec import read_mapping

from ..nodes import fake_node, raw_node

FAULT = Fault("latency-1", "latency", "worker1", {}, 0.0)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with a manager that answers, and no fault."""
    for place in ("on_host", "on_nodes", "on_services"):
        monkeypatch.setattr(leftovers, place, lambda _scene: Found())
    monkeypatch.setattr(leftovers, "acting", lambda _scene, faults: list(faults))
    spec = read_mapping({"name": "demo", "managers": 1, "workers": 1})
    nodes = fake_node("manager1"), fake_node("worker1")
    found = Lab(Context(FakeEngine()), FakeBackend(), LabRecord("demo", lambda: spec, None, None, nodes))
    monkeypatch.setattr(Lab, "refresh", lambda lab: lab)
    monkeypatch.setattr(Lab, "manager", lambda _lab, **_how: nodes[0])
    nodes[0].api["GET /nodes"] = [raw_node("manager1"), raw_node("worker1")]
    return found


def test_a_lab_as_it_was_made_has_nothing_left(lab: Lab) -> None:
    assert left_in(lab) == ()


def test_nodes_without_work_and_faults_are_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = raw_node("worker1")
    drained["Spec"]["Availability"] = "drain"
    lab.nodes[0].api["GET /nodes"] = [raw_node("manager1"), drained]  # type: ignore[attr-defined]
    monkeypatch.setattr(leftovers, "on_nodes", lambda _scene: Found([replace(FAULT)]))

    assert left_in(lab) == ("worker1 gets no work (drain)", "worker1 has the fault latency")


def test_where_no_manager_answers_the_faults_are_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def manager(_lab: Lab, **_how: object) -> None:
        raise NodeDown("manager1", "exited")

    monkeypatch.setattr(Lab, "manager", manager)
    monkeypatch.setattr(leftovers, "on_host", lambda _scene: Found([replace(FAULT)]))

    assert left_in(lab) == ("worker1 has the fault latency",)


def test_nodes_are_opened_and_faults_healed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    healed: list[str] = []
    monkeypatch.setattr(leftovers, "heal", lambda scene: healed.append(scene.lab))
    drained = raw_node("worker1")
    drained["Spec"]["Availability"] = "drain"
    manager = lab.nodes[0]
    manager.api["GET /nodes"] = [raw_node("manager1"), drained]  # type: ignore[attr-defined]
    command = f"docker node update --availability active {drained['ID']}"
    manager.shell.answers = {command: ""}  # type: ignore[attr-defined]

    open_again(lab)

    assert healed == ["demo"]
    assert manager.shell.commands == [command]  # type: ignore[attr-defined]
