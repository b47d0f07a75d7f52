"""Which nodes of a standing lab belong to another swarm: only ids tell."""

from __future__ import annotations

import pytest

from labctl.errors import LabError, QuorumLost
from labctl.lab.strays import Standing, leave_again, refuse_strays, standing_of
from labctl.spec import LabSpec

from ..nodes import FakeNode, fake_node, raw_info, raw_node

SPEC = LabSpec(name="demo", workers=2)


def nodes(**states: dict[str, object]) -> list[FakeNode]:
    return [fake_node(name, api={"GET /info": info}) for name, info in states.items()]


def test_a_worker_that_the_manager_does_not_know_is_a_stray_although_it_says_active() -> None:
    manager, known, stray = nodes(
        manager1=raw_info(node_id="m", manager=True), worker1=raw_info(node_id="w"), worker2=raw_info(node_id="x")
    )
    manager.api["GET /nodes"] = [raw_node("manager1", id_="m"), raw_node("worker1", id_="w")]

    found = standing_of(SPEC, [manager, known, stray], (), manager)

    assert found == Standing(
        frozenset({"worker2"}), may_init=False, note="worker2 left another swarm to join the lab's"
    )


def test_nodes_of_another_swarm_are_named_before_anything_is_tried_with_them() -> None:
    manager, known, stray = nodes(
        manager1=raw_info(node_id="m", manager=True, cluster="a"),
        worker1=raw_info(node_id="w"),
        worker2=raw_info(node_id="x", manager=True, cluster="b"),
    )
    manager.api["GET /nodes"] = [raw_node("manager1", id_="m"), raw_node("worker1", id_="w"), raw_node("worker2")]

    refuse_strays([manager, known], manager)
    with pytest.raises(LabError, match=r"worker2 is in another swarm, not in the lab's \(that of manager1\)"):
        refuse_strays([manager, known, stray], manager)


def test_a_majority_of_managers_that_left_is_refused_at_once() -> None:
    manager, left = nodes(manager1=raw_info(node_id="m", manager=True), manager2=raw_info("inactive", node_id=""))
    manager.api["GET /nodes"] = [raw_node("manager1", id_="m"), raw_node("manager2")]

    with pytest.raises(QuorumLost, match="1 of the swarm's 2 managers is left"):
        standing_of(LabSpec(name="demo", managers=2, workers=0), [manager, left], (), manager)


def test_workers_of_a_swarm_without_managers_form_a_new_one_and_that_is_told() -> None:
    found = standing_of(SPEC, nodes(manager1=raw_info("inactive"), worker1=raw_info()), (), None)

    assert found.strays == {"worker1"}
    assert found.may_init
    assert "its services are lost" in found.note


def test_while_a_manager_may_be_left_no_swarm_is_made() -> None:
    promoted = nodes(manager1=raw_info("inactive"), worker1=raw_info(manager=True))
    down = [fake_node("manager2", state="exited")]

    assert standing_of(SPEC, promoted, (), None) == Standing(may_init=False)
    assert standing_of(SPEC, nodes(manager1=raw_info("inactive"), worker1=raw_info()), down, None).may_init is False


def test_where_nobody_is_in_a_swarm_one_may_be_made() -> None:
    fresh = nodes(manager1=raw_info("inactive"), worker1=raw_info("inactive"))

    assert standing_of(SPEC, fresh, (), None) == Standing()


def test_what_a_failed_up_made_is_left_again() -> None:
    (node,) = nodes(manager1=raw_info())
    node.api["POST /swarm/leave"] = None

    leave_again([node])

    assert [str(asked) for asked in node.asked.asked] == ["POST /swarm/leave"]
