"""Rows of `ls`, their filters, and what `inspect` shows."""

from __future__ import annotations

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.errors import UsageError
from labctl.lab import Context, Lab
from labctl.lab.listing import Machine, inspect, is_active, keep, list_machines, machine_word, parse_filters
from labctl.node import Node
from labctl.spec import LabSpec, NodeSpec
from tests.guard import HANGING, LONG

from ..nodes import fake_node, raw_info


def lab_of(*nodes: Node, spec: LabSpec | None = None) -> Lab:
    record = LabRecord("lab", lambda: spec or LabSpec(), "10.0.0.0/24", "labctl-lab", nodes)
    return Lab(Context(FakeEngine()), FakeBackend(), record)


@pytest.mark.parametrize(
    ("state", "word"),
    [("running", "Running"), ("exited", "Stopped"), ("created", "Stopped"), ("paused", "Paused"), ("dead", "Error")],
)
def test_states_are_told_in_docker_machines_words(state: str, word: str) -> None:
    assert machine_word(state) == word


MACHINE = Machine("worker1", "dind", "Running", swarm="lab (manager)", labels={"zone": "a", "ssd": "true"})


@pytest.mark.parametrize(
    ("pairs", "passes"),
    [
        ([], True),
        (["driver=dind"], True),
        (["driver=virtualbox"], False),
        (["driver=virtualbox", "driver=dind"], True),
        (["state=running"], True),
        (["state=Running", "name=^manager"], False),
        (["name=ker"], True),
        (["swarm=lab"], True),
        (["swarm=other"], False),
        (["label=zone"], True),
        (["label=zone=a"], True),
        (["label=zone=b"], False),
        (["STATE=Running"], True),
    ],
)
def test_filters_of_one_key_are_alternatives_and_of_several_conditions(pairs: list[str], passes: bool) -> None:
    assert keep(MACHINE, parse_filters(pairs)) is passes


@pytest.mark.parametrize("pair", ["colour=red", "state", "name=(", "=x"])
def test_a_filter_that_means_nothing_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="--filter"):
        parse_filters([pair])


def test_names_are_in_the_order_in_which_people_count() -> None:
    lab = lab_of(*(fake_node(f"worker{number}", state="exited") for number in (10, 2, 1)))

    assert [machine.name for machine in list_machines(lab, {})] == ["worker1", "worker2", "worker10"]


def test_without_asking_only_names_and_states_are_known() -> None:
    machine, *_ = list_machines(lab_of(fake_node()), {}, ask=False)

    assert (machine.name, machine.state, machine.url, machine.docker) == ("manager1", "Running", "", "Unknown")


def test_an_engine_that_refuses_the_connection_is_told_at_once() -> None:
    machine, *_ = list_machines(lab_of(fake_node()), {}, limit=LONG)

    assert (machine.state, machine.docker) == ("Running", "Unknown")
    assert "does not answer" in machine.error
    assert machine.seconds < HANGING


def test_a_manager_that_is_locked_says_what_unlocks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = FakeEngine({"GET /info": {"ServerVersion": "26.1.5", **raw_info("locked")}})
    monkeypatch.setattr("labctl.lab.listing.Engine", lambda *_args, **_more: answers)

    machine, *_ = list_machines(lab_of(fake_node()), {})

    assert (machine.docker, machine.swarm) == ("v26.1.5", "")
    assert machine.error.startswith("manager1 is locked: `labctl ssh manager1 docker swarm unlock`")


def test_labels_of_the_spec_can_be_filtered_by() -> None:
    spec = LabSpec(workers=2, node_labels={"worker1": {"ssd": "true"}})
    lab = lab_of(fake_node("manager1"), fake_node("worker1"), fake_node("worker2"), spec=spec)

    assert [machine.name for machine in list_machines(lab, {"label": ["ssd=true"]}, ask=False)] == ["worker1"]


def test_the_node_that_the_shell_talks_to_is_active() -> None:
    node = fake_node()

    assert is_active(node, {"DOCKER_HOST": node.endpoint.url})
    assert not is_active(node, {"DOCKER_HOST": "unix:///var/run/docker.sock"})
    assert not is_active(fake_node(state="exited"), {"DOCKER_HOST": node.endpoint.url})


def test_inspect_has_what_tutorials_ask_for() -> None:
    nodes = (NodeSpec(name="m", role="manager"), NodeSpec(name="w", engine={"labels": ["zone=a"], "debug": True}))
    lab = lab_of(fake_node("w", address="10.0.0.12"), spec=LabSpec(nodes=nodes))

    found = inspect(lab, lab.nodes[0])

    assert found["Driver"]["IPAddress"] == "10.0.0.12"
    assert found["HostOptions"]["EngineOptions"]["Labels"] == ["zone=a"]
    assert found["HostOptions"]["EngineOptions"]["Options"] == {"labels": ["zone=a"], "debug": True}
    assert (found["Name"], found["DriverName"], found["State"]) == ("w", "dind", "Running")
