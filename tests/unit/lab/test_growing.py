"""One more node: in a lab that is there, and where there is none yet."""

from __future__ import annotations

import pytest

from labctl.backend import LabRecord
from labctl.errors import LabError, NotFoundError, SpecError, UsageError
from labctl.lab.growing import bare_node, more_nodes
from labctl.spec import LabSpec, PortSpec

from ..nodes import fake_node


def record(spec: LabSpec | None, *names: str) -> LabRecord:
    return LabRecord("lab", lambda: spec, "10.0.0.0/24", "labctl-lab", tuple(fake_node(name) for name in names))


def test_where_there_is_no_lab_an_empty_one_is_made() -> None:
    spec = bare_node("lab", "myvm1", {})(None)

    assert spec.swarm == "empty"
    assert [node.name for node in spec.all_nodes()] == ["myvm1"]
    assert not spec.joins("myvm1")


def test_a_second_machine_comes_after_the_first() -> None:
    first = bare_node("lab", "myvm1", {})(None)

    spec = bare_node("lab", "myvm2", {"memory": "1g"})(record(first, "myvm1"))

    assert [node.name for node in spec.all_nodes()] == ["myvm1", "myvm2"]
    assert spec.all_nodes()[1].memory == "1g"


def test_a_machine_in_a_lab_with_a_swarm_stays_out_of_it() -> None:
    spec = bare_node("lab", "extra", {})(
        record(LabSpec(workers=1, ports=(PortSpec.parse("8080"),)), "manager1", "worker1")
    )

    assert spec.swarm == "formed"
    assert {node.name: spec.joins(node.name) for node in spec.all_nodes()} == {
        "manager1": True,
        "worker1": True,
        "extra": False,
    }
    assert [port.target for port in spec.ports] == [8080]


def test_a_name_that_is_short_for_another_node_is_refused() -> None:
    """`w1` would mean another machine from then on."""
    standing = record(LabSpec(workers=1), "manager1", "worker1")

    for extend in (more_nodes("lab", ["x1", "w1"], "worker", 1, {}), bare_node("lab", "w1", {})):
        with pytest.raises(UsageError, match="w1 is short for worker1 in lab lab"):
            extend(standing)
    assert [n.name for n in more_nodes("lab", ["w2"], "worker", 1, {})(standing).all_nodes()][-1] == "w2"


def test_more_nodes_get_the_lowest_names_that_are_free() -> None:
    standing = record(LabSpec(workers=3), "manager1", "worker1", "worker3")

    assert [n.name for n in more_nodes("lab", (), "worker", 2, {})(standing).all_nodes()] == [
        "manager1",
        "worker1",
        "worker2",
        "worker3",
        "worker4",
        "worker5",
    ]


def test_a_new_manager_is_one() -> None:
    spec = more_nodes("lab", ["boss"], "manager", 1, {"labels": {"a": "b"}})(record(LabSpec(workers=1), "manager1"))

    boss = next(node for node in spec.all_nodes() if node.name == "boss")
    assert (boss.role, boss.labels) == ("manager", {"a": "b"})
    assert spec.joins("boss")


def test_too_many_managers_are_refused() -> None:
    with pytest.raises(SpecError, match="1 to 7 managers"):
        more_nodes("lab", (), "manager", 7, {})(record(LabSpec(), "manager1"))


@pytest.mark.parametrize("name", ["worker1", "manager1"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    standing = record(LabSpec(workers=1), "manager1", "worker1")

    for extend in (bare_node("lab", name, {}), more_nodes("lab", [name], "worker", 1, {})):
        with pytest.raises(UsageError, match=f"has a node named {name} already"):
            extend(standing)


@pytest.mark.parametrize("name", ["My VM", "x" * 300, "", "-a"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    for standing in (None, record(LabSpec(), "manager1")):
        with pytest.raises(SpecError):
            bare_node("lab", name, {})(standing)


def test_nodes_need_a_lab() -> None:
    with pytest.raises(NotFoundError, match="no lab named 'lab'"):
        more_nodes("lab", (), "worker", 1, {})(None)


def test_a_lab_that_lost_its_spec_is_not_guessed_at() -> None:
    with pytest.raises(LabError, match="not written on it"):
        more_nodes("lab", (), "worker", 1, {})(record(None, "manager1"))
