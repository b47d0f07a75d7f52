"""Nodes that come and go: labels where they are missing, ghosts that go, and a node that leaves in order."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.engine.fake import Answer
from labctl.errors import CommandFailed, EngineRefused, EngineUnreachable, LabError, QuorumLost, UsageError
from labctl.events import Event, NodeRemoved, Noted, Warned
from labctl.lab.members import (
    label_nodes,
    leave_if_joined,
    leave_swarm,
    members_of,
    remove_ghosts,
    strike_off,
    taking_tasks,
)
from labctl.spec import LabSpec, read_mapping
from labctl.swarm import SwarmNode
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_info, raw_node, raw_task

NO_MANAGER = EngineRefused("This node is not a swarm manager.", status=503)
NO_LEADER = EngineRefused("The swarm does not have a leader", status=500)
SWARM = {"JoinTokens": {"Worker": "w", "Manager": "m"}}


def member(hostname: str, **more: Any) -> SwarmNode:
    return SwarmNode.of(raw_node(hostname, **more))


def manager_of(*members: dict[str, Any]) -> FakeNode:
    """manager1, which answers any command and knows the given members."""
    node = fake_node(
        "manager1",
        api={
            "GET /nodes": list(members),
            "GET /swarm": SWARM,
            "GET /info": raw_info(node_id="id-manager1", manager=True),
            "GET /tasks": [],
        },
    )
    node.shell.answers.update({command: "" for one in members for command in commands_on(one["ID"])})
    return node


def commands_on(id_: str) -> list[str]:
    return [
        f"docker node demote {id_}",
        f"docker node rm --force {id_}",
        f"docker node update --availability drain {id_}",
    ]


def worker(name: str = "worker1", *, state: str = "running", swarm: str = "active") -> FakeNode:
    return fake_node(name, state=state, api={"GET /info": raw_info(swarm, node_id=f"id-{name}")})


def test_a_member_that_no_machine_stands_behind_is_removed(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("worker1"), raw_node("worker9", state="down"))

    remove_ghosts(manager, [manager, worker()], heard.append)

    assert manager.shell.commands == ["docker node rm --force id-worker9"]
    assert heard == [Noted("removed the ghost of worker9 from the swarm's list")]


def test_the_old_self_of_a_node_that_was_made_anew_is_removed_even_while_it_looks_ready(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1"), raw_node("worker1", id_="old"))

    remove_ghosts(manager, [manager, worker()], heard.append)

    assert manager.shell.commands == ["docker node rm --force old"]


def test_nobody_is_asked_where_each_member_is_a_node_that_joined(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1"), raw_node("worker2", state="down"))
    silent, down = fake_node("worker1"), worker("worker2", state="exited")

    remove_ghosts(manager, [manager, silent, down], heard.append, joined=["manager1", "worker1"])

    assert manager.shell.commands == []


def test_a_member_that_did_not_join_or_is_listed_twice_is_looked_into(heard: list[Event]) -> None:
    old, stranger = raw_node("worker1", id_="old"), raw_node("worker2", id_="left")
    manager = manager_of(raw_node("manager1"), raw_node("worker1"), old, stranger)
    nodes = [manager, worker(), worker("worker2", swarm="inactive")]

    remove_ghosts(manager, nodes, heard.append, joined=["manager1", "worker1"])

    assert manager.shell.commands == ["docker node rm --force old", "docker node rm --force left"]


def test_a_ghost_that_was_a_manager_is_demoted_first(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1"), raw_node("manager2", id_="old", state="down"))

    remove_ghosts(manager, [manager], heard.append)

    assert manager.shell.commands == ["docker node demote old", "docker node rm --force old"]


def test_a_node_that_is_stopped_is_no_ghost(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1", state="down"))

    remove_ghosts(manager, [manager, worker(state="exited")], heard.append)

    assert manager.shell.commands == []
    assert heard == []


def test_all_running_nodes_of_a_formed_lab_are_members_and_nobody_need_be_asked() -> None:
    manager, first, down = fake_node("manager1"), fake_node("worker1"), fake_node("worker2", state="exited")

    assert members_of(LabSpec(), manager, [manager, first, down]) == [manager, first]
    assert manager.asked.asked == []


def test_a_node_that_takes_no_tasks_is_not_tried_and_that_is_told(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1", availability="drain"), raw_node("worker1"))
    first = worker("worker1")

    assert taking_tasks(manager, [manager, first], heard.append) == [first]
    assert heard == [Noted("not tried, since they take no tasks: manager1 (drain)")]


def test_a_bare_node_is_a_member_once_somebody_joined_it() -> None:
    bare_ones = [{"name": name, "swarm": "bare"} for name in ("worker1", "worker2")]
    spec = read_mapping({"nodes": [{"name": "manager1", "role": "manager"}, *bare_ones]})
    manager = manager_of(raw_node("manager1"), raw_node("worker1"))
    joined, bare = worker("worker1"), worker("worker2", swarm="inactive")

    assert members_of(spec, manager, [manager, joined, bare]) == [manager, joined]


def test_labels_are_given_where_they_are_missing() -> None:
    spec = read_mapping({"workers": 1, "node_labels": {"@worker": {"ssd": "true", "zone": "a b"}}})
    manager = fake_node("manager1")
    manager.shell.answers["docker node update --label-add ssd=true --label-add 'zone=a b' worker1"] = ""

    label_nodes(manager, [member("manager1"), member("worker1")], spec)

    assert len(manager.shell.commands) == 1


def test_labels_that_are_there_are_not_given_again() -> None:
    spec = read_mapping({"workers": 1, "node_labels": {"@worker": {"ssd": "true"}}})
    manager = fake_node("manager1")

    label_nodes(manager, [member("manager1"), member("worker1", labels={"ssd": "true", "own": "x"})], spec)

    assert manager.shell.commands == []


def test_a_node_that_is_not_ready_gets_its_labels_another_time() -> None:
    spec = read_mapping({"workers": 1, "node_labels": {"@worker": {"ssd": "true"}}})
    manager = fake_node("manager1")

    label_nodes(manager, [member("manager1"), member("worker1", state="down")], spec)

    assert manager.shell.commands == []


def test_a_worker_leaves_drained_and_off_the_list(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1"))
    leaving = worker()

    def leave(command: str) -> Result:
        manager.api["GET /nodes"] = [raw_node("manager1"), raw_node("worker1", state="down")]
        return Result(command, 0)

    leaving.shell.answers["docker swarm leave --force"] = leave

    leave_swarm(leaving, [manager], emit=heard.append)

    assert manager.shell.commands == [
        "docker node update --availability drain id-worker1",
        "docker node rm --force id-worker1",
    ]
    assert leaving.shell.commands == ["docker swarm leave --force"]
    assert heard == [NodeRemoved("worker1")]


def test_an_engine_too_busy_to_leave_in_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    manager = manager_of(raw_node("manager1"), raw_node("worker1"))
    leaving = worker()
    said = [Result("leave", 1, "", "Error response from daemon: context deadline exceeded"), Result("leave", 0)]

    def leave(_command: str) -> Result:
        if len(said) == 1:
            manager.api["GET /nodes"] = []
        return said.pop(0)

    leaving.shell.answers["docker swarm leave --force"] = leave

    leave_swarm(leaving, [manager])

    assert said == []


def test_a_node_leaves_when_its_tasks_have_moved() -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1"))
    lists: list[Answer] = [[raw_task("t1", node="id-worker1")], [raw_task("t1", node="id-manager1")]]
    manager.api["GET /tasks"] = lambda _: lists.pop(0)
    leaving = worker()

    def leave(command: str) -> Result:
        assert lists == []
        manager.api["GET /nodes"] = []
        return Result(command, 0)

    leaving.shell.answers["docker swarm leave --force"] = leave

    leave_swarm(leaving, [manager])


def test_a_manager_is_demoted_before_it_leaves() -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("manager2"))
    leaving = worker("manager2")

    def leave(command: str) -> Result:
        manager.api["GET /nodes"] = [raw_node("manager1")]
        return Result(command, 0)

    leaving.shell.answers["docker swarm leave --force"] = leave

    leave_swarm(leaving, [manager])

    assert manager.shell.commands[0] == "docker node demote id-manager2"


def test_a_change_that_meets_one_of_the_swarms_own_is_tried_again() -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("manager2"))
    drain = "docker node update --availability drain id-manager2"
    refusals = [Result(drain, 1, "", "rpc error: code = Unknown desc = update out of sequence")] * 2
    manager.shell.answers[drain] = lambda command: refusals.pop() if refusals else Result(command, 0)
    leaving = worker("manager2")
    leaving.shell.answers["docker swarm leave --force"] = ""

    leave_swarm(leaving, [manager])

    assert manager.shell.commands.count(drain) == 3
    assert manager.shell.commands[-1] == "docker node rm --force id-manager2"


def test_a_change_that_is_refused_for_good_is_told_at_once() -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("worker1"))
    drain = "docker node update --availability drain id-worker1"
    manager.shell.answers[drain] = Result(drain, 1, "", "no such node")

    with pytest.raises(CommandFailed, match="no such node"):
        leave_swarm(worker(), [manager])

    assert manager.shell.commands == [drain]


@pytest.mark.parametrize(
    "said",
    [
        "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status",
        "can't remove member from the raft: this would result in a loss of quorum",
    ],
)
def test_a_change_on_which_too_few_managers_agree_is_told_in_words(said: str) -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("manager2"))
    manager.shell.answers["docker node demote id-manager2"] = Result("", 1, "", said)

    with pytest.raises(QuorumLost, match="too few managers answer") as caught:
        leave_swarm(worker("manager2"), [manager])

    assert "`labctl resume`" in str(caught.value.hint)


def test_a_node_that_is_down_is_only_taken_off_the_list() -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1", state="down"))
    leaving = worker(state="exited")

    leave_swarm(leaving, [manager])

    assert manager.shell.commands == ["docker node rm --force id-worker1"]
    assert leaving.shell.commands == []


def test_a_node_in_no_swarm_is_left_alone() -> None:
    manager = manager_of(raw_node("manager1"))

    leave_swarm(worker(swarm="inactive"), [manager])

    assert manager.shell.commands == []


def test_a_node_that_left_by_itself_is_taken_off_the_list() -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("worker1", id_="left", state="down"))

    leave_swarm(worker(swarm="inactive"), [manager])

    assert manager.shell.commands == ["docker node rm --force left"]


def test_a_manager_that_left_by_itself_keeps_no_vote() -> None:
    old = raw_node("worker1", id_="left", role="manager", state="down")
    manager = manager_of(raw_node("manager1", leader=True), old)

    leave_swarm(worker(swarm="inactive"), [manager])

    assert manager.shell.commands == ["docker node demote left", "docker node rm --force left"]


def test_where_there_is_no_swarm_a_node_goes_all_the_same() -> None:
    other = worker("worker2", swarm="inactive")
    other.api["GET /swarm"] = NO_MANAGER

    leave_swarm(worker(swarm="inactive"), [other])

    assert other.shell.commands == []


def test_the_only_manager_does_not_leave() -> None:
    only = manager_of(raw_node("manager1", leader=True), raw_node("worker1"))
    stays = worker()
    stays.api["GET /swarm"] = NO_MANAGER

    with pytest.raises(UsageError, match="manager1 is the swarm's only manager") as caught:
        leave_swarm(only, [stays])

    assert "node promote" in (caught.value.hint or "")


def test_a_swarm_without_quorum_lets_nobody_go() -> None:
    lost = manager_of()
    lost.api["GET /swarm"] = NO_LEADER

    with pytest.raises(QuorumLost):
        leave_swarm(worker(), [lost])


def test_a_node_whose_engine_refuses_to_leave_is_told() -> None:
    manager = manager_of(raw_node("manager1"), raw_node("worker1"))
    leaving = worker()
    leaving.shell.answers["docker swarm leave --force"] = Result("docker swarm leave --force", 1, stderr="not now")

    with pytest.raises(CommandFailed, match="not now"):
        leave_swarm(leaving, [manager])


def test_with_force_a_node_that_cannot_leave_goes_all_the_same(heard: list[Event]) -> None:
    silent = fake_node("manager1", api={"GET /swarm": EngineUnreachable("connection refused")})

    leave_swarm(worker(), [silent], force=True, emit=heard.append)

    warned, removed = heard
    assert isinstance(warned, Warned) and "worker1 did not leave the swarm in order" in warned.text
    assert removed == NodeRemoved("worker1")


def test_without_force_a_node_that_cannot_leave_stays(heard: list[Event]) -> None:
    silent = fake_node("manager1", api={"GET /swarm": EngineUnreachable("connection refused")})

    with pytest.raises(LabError, match="no manager answers"):
        leave_swarm(worker(), [silent], emit=heard.append)

    assert heard == []


def test_a_node_that_was_on_its_way_into_the_swarm_leaves_it_only_if_it_got_there() -> None:
    manager = manager_of(raw_node("manager1", leader=True))
    joining, down, bare = worker(swarm="pending"), worker(state="exited"), worker(swarm="inactive")

    for node in (joining, down, bare):
        leave_if_joined(node, [manager])

    assert manager.shell.commands == []


def test_a_node_that_is_taken_back_leaves_in_order() -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("worker1"))
    node = worker()
    node.shell.answers["docker swarm leave --force"] = ""

    leave_if_joined(node, [manager])

    assert manager.shell.commands[-1] == "docker node rm --force id-worker1"
    assert node.shell.commands == ["docker swarm leave --force"]


def test_a_manager_whose_machine_is_gone_is_demoted_before_it_is_struck_off(heard: list[Event]) -> None:
    manager = manager_of(raw_node("manager1", leader=True), raw_node("manager2", state="down"))

    strike_off("manager2", [manager], emit=heard.append)

    assert manager.shell.commands == ["docker node demote id-manager2", "docker node rm --force id-manager2"]
    assert heard == [NodeRemoved("manager2")]


def test_a_list_that_nobody_can_change_is_left_with_force(heard: list[Event]) -> None:
    manager = fake_node("manager1", api={"GET /swarm": NO_LEADER, "GET /info": raw_info("active", manager=True)})

    with pytest.raises(QuorumLost):
        strike_off("worker1", [manager])
    strike_off("worker1", [manager], force=True, emit=heard.append)

    assert isinstance(heard[0], Warned)
