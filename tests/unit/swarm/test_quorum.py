"""A majority of managers that has left: told while the last one still answers, and never of one that may come back."""

from __future__ import annotations

import pytest

from labctl.errors import QuorumLost
from labctl.swarm.cluster import Membership
from labctl.swarm.quorum import refuse_lost_majority
from labctl.swarm.state import SwarmNode

from ..nodes import fake_node, raw_node

IN_NONE = Membership("inactive", "", False, "", "")


def inside(name: str) -> Membership:
    return Membership("active", f"id-{name}", True, "a", "")


def members(*names: str) -> list[SwarmNode]:
    return [SwarmNode.of(raw_node(name)) for name in names]


def test_one_of_two_that_left_takes_the_majority_with_it() -> None:
    nodes = [fake_node("manager1"), fake_node("manager2", address="10.0.0.12")]
    seen = {"manager1": IN_NONE, "manager2": inside("manager2")}

    with pytest.raises(QuorumLost, match=r"left \(manager2\).* manager1 cannot come back") as caught:
        refuse_lost_majority(nodes, seen, members("manager1", "manager2", "worker1"), ["manager1", "manager2"])

    assert caught.value.for_good
    cure = "`labctl ssh manager2 docker swarm init --force-new-cluster --advertise-addr 10.0.0.12`"
    assert (caught.value.hint or "").startswith(cure)


def test_one_that_has_no_vote_any_more_after_the_cure_is_not_counted() -> None:
    former = raw_node("manager2")
    del former["ManagerStatus"]
    listed = [*members("manager1"), SwarmNode.of(former)]
    nodes = [fake_node("manager1"), fake_node("manager2")]

    refuse_lost_majority(nodes, {"manager1": inside("manager1"), "manager2": IN_NONE}, listed, ["manager1", "manager2"])


def test_a_manager_whose_machine_was_removed_is_gone_and_one_that_is_not_the_labs_is_not() -> None:
    nodes, seen, listed = [fake_node("manager1")], {"manager1": inside("manager1")}, members("manager1", "manager2")

    with pytest.raises(QuorumLost):
        refuse_lost_majority(nodes, seen, listed, ["manager1", "manager2"])
    refuse_lost_majority(nodes, seen, listed, ["manager1"])


def test_one_that_is_down_or_silent_may_come_back_and_one_of_three_is_no_majority() -> None:
    names = ["manager1", "manager2"]
    down = [fake_node("manager1"), fake_node("manager2", state="exited")]
    refuse_lost_majority(down, {"manager1": inside("manager1")}, members(*names), names)
    silent = [fake_node(name) for name in names]
    refuse_lost_majority(silent, {"manager1": inside("manager1")}, members(*names), names)
    three = [fake_node(name) for name in (*names, "manager3")]
    seen = {"manager1": inside("manager1"), "manager2": IN_NONE, "manager3": inside("manager3")}
    refuse_lost_majority(three, seen, members(*names, "manager3"), [*names, "manager3"])
