"""Who votes in a swarm without a leader: its managers as its engines remember them, not as their nodes were made."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.engine.fake import Answer
from labctl.errors import EngineRefused, LabctlError, QuorumLost
from labctl.swarm import cluster
from labctl.swarm.voters import Voters, may_have_manager, voters_of

from ..nodes import FakeNode, fake_node, raw_info

NO_LEADER = EngineRefused("The swarm does not have a leader", status=500)
NO_MANAGER = EngineRefused("This node is not a swarm manager. Worker nodes can't be used to view it", status=503)


def info(*managers: int, manager: bool = True) -> dict[str, Any]:
    """What an engine says of a swarm whose managers have these addresses, by their last numbers."""
    found = raw_info("active", manager=manager)
    found["Swarm"]["RemoteManagers"] = [{"NodeID": f"n{one}", "Addr": f"10.0.0.{one}:2377"} for one in managers]
    return found


def node(name: str, number: int, *managers: int, state: str = "running", swarm: Answer = NO_LEADER) -> FakeNode:
    api: dict[str, Answer] = {"GET /swarm": swarm, "GET /info": info(*managers, manager=swarm is NO_LEADER)}
    return fake_node(name, address=f"10.0.0.{number}", state=state, api=api)


def voters(nodes: list[FakeNode], **gone: Any) -> Voters:
    problems: list[tuple[Any, LabctlError]] = [(one, one.api["GET /swarm"]) for one in nodes if one.is_running]  # type: ignore[misc]  # scripted as an error
    return voters_of(nodes, problems, gone)


def test_a_worker_that_was_promoted_and_whose_machine_is_gone_was_a_manager() -> None:
    found = voters([node("manager1", 11, 11, 12), node("worker2", 13, swarm=NO_MANAGER)], worker1="worker")

    assert found.majority_left
    assert found.gone == ("worker1",)


def test_the_cure_for_it_is_named_as_for_a_manager() -> None:
    with pytest.raises(
        QuorumLost, match=r"1 of the swarm's 2 managers is left \(manager1\).* and worker1 cannot"
    ) as lost:
        cluster.working_manager([node("manager1", 11, 11, 12)], gone={"worker1": "worker"})

    assert "docker swarm init --force-new-cluster" in (lost.value.hint or "")


def test_a_worker_tells_the_managers_where_the_manager_is_silent() -> None:
    silent = node("manager1", 11)
    silent.api["GET /info"] = EngineRefused("later", status=503)

    assert voters([silent, node("worker2", 13, 11, 12, swarm=NO_MANAGER)], worker1="worker").gone == ("worker1",)


def test_one_that_was_promoted_and_is_only_down_may_come_back() -> None:
    nodes = [node("manager1", 11, 11, 12, 14), node("worker1", 14, state="exited")]

    found = voters(nodes, manager2="manager")

    assert not found.majority_left
    assert [one.name for one in found.here] == ["manager1", "worker1"]


def test_a_manager_that_was_demoted_is_not_counted_as_lost() -> None:
    found = voters([node("manager1", 11, 11, 13), node("manager3", 13, 11, 13)], manager2="manager")

    assert found.gone == ()
    assert found.may_elect


def test_where_it_is_not_known_which_of_several_had_the_address_it_is_told() -> None:
    found = voters([node("manager1", 11, 11, 12)], worker1="worker", worker2="worker")

    assert found.gone == ("the manager at 10.0.0.12",)


def test_without_a_look_at_what_is_gone_nothing_is_given_up() -> None:
    nodes = [node("manager1", 11, 11, 12)]

    assert not voters_of(nodes, [(nodes[0], NO_LEADER)]).majority_left


def test_a_promoted_worker_is_a_manager_though_those_that_were_made_so_are_gone() -> None:
    assert may_have_manager([node("worker1", 12, 11, 12), node("worker2", 13, swarm=NO_MANAGER)])
    assert may_have_manager([node("worker1", 12, state="exited"), node("worker2", 13, 11, 12, swarm=NO_MANAGER)])
    assert not may_have_manager([node("worker2", 13, 11, swarm=NO_MANAGER)])


def test_promoted_workers_whose_engines_tell_nothing_while_they_vote_are_counted() -> None:
    nodes = [node("worker1", 12), node("worker2", 13)]
    for one in nodes:
        one.api["GET /info"] = EngineRefused("later", status=503)

    found = voters(nodes, manager1="manager")

    assert found.may_elect
    assert [one.name for one in found.here] == ["worker1", "worker2"]
    assert found.gone == ("manager1",)


def test_one_that_says_nothing_may_be_a_manager_that_waits_for_a_leader() -> None:
    silent = node("worker1", 12)
    silent.api["GET /info"] = EngineRefused("later", status=503)

    assert may_have_manager([silent, node("worker2", 13, swarm=NO_MANAGER)])
