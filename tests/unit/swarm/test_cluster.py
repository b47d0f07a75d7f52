"""Forming a swarm: a person's own commands, no token anywhere, and the right word when no manager can help."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from labctl.engine.fake import Answer
from labctl.errors import EngineRefused, EngineUnreachable, LabError, QuorumLost, SwarmLocked, WaitTimeout
from labctl.events import CommandShown, Event, NodeJoined
from labctl.spec import Role
from labctl.swarm import cluster, voters
from labctl.swarm.stuck import LET_IN_LIMIT
from labctl.waiting import FakeClock

from ..nodes import FakeNode, fake_node, raw_info, raw_node

TOKENS = {"JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"}}
NO_MANAGER = EngineRefused("This node is not a swarm manager. Worker nodes can't be used to view it", status=503)
IN_NONE = EngineRefused(
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again.",
    status=503,
)
NO_LEADER = EngineRefused("rpc error: code = Unknown desc = The swarm does not have a leader", status=500)


def own(address: str) -> dict[str, str]:
    """What `docker swarm init` and `join` ask the engine with these addresses as flags."""
    return {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address, "DataPathAddr": address}


@pytest.fixture(autouse=True)
def nobody_tells_the_managers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What engines know of their swarm's managers is tested in test_voters."""
    monkeypatch.setattr(voters, "memberships", lambda *_args, **_more: {})


@pytest.fixture
def manager() -> FakeNode:
    return fake_node("manager1", api={"GET /swarm": TOKENS})


@pytest.fixture
def worker() -> FakeNode:
    return fake_node("worker1", address="10.0.0.12")


def test_a_swarm_is_made_with_the_nodes_own_address_and_no_other(manager: FakeNode, heard: list[Event]) -> None:
    manager.api["POST /swarm/init"] = '"node-id"'

    cluster.init(manager, heard.append)

    (asked,) = manager.asked.asked
    assert asked.body == {**own("10.0.0.11"), "Spec": {}}
    assert heard == [NodeJoined("manager1", "manager")]


def test_a_swarm_that_cannot_be_made_tells_why(manager: FakeNode) -> None:
    manager.api["POST /swarm/init"] = EngineRefused("This node is already part of a swarm.", status=503)

    with pytest.raises(EngineRefused, match="already part of a swarm"):
        cluster.init(manager)


@pytest.mark.parametrize(("role", "token"), [("worker", "SWMTKN-1-w"), ("manager", "SWMTKN-1-m")])
def test_the_token_decides_as_what_a_node_joins(manager: FakeNode, role: str, token: str) -> None:
    assert cluster.tokens(manager).of(role) == token


def test_a_node_joins_by_its_own_engine_and_says_so(manager: FakeNode, worker: FakeNode, heard: list[Event]) -> None:
    worker.api["POST /swarm/join"] = None

    cluster.join(worker, manager, "SWMTKN-1-w", heard.append)

    (asked,) = worker.asked.asked
    assert asked.body == {**own("10.0.0.12"), "RemoteAddrs": ["10.0.0.11:2377"], "JoinToken": "SWMTKN-1-w"}
    assert heard == [NodeJoined("worker1", "worker")]


def test_a_token_is_in_nothing_that_is_run_shown_or_raised(manager: FakeNode, worker: FakeNode) -> None:
    shown: list[Event] = []
    worker.show = shown.append
    worker.api["POST /swarm/join"] = EngineRefused("invalid join token SWMTKN-1-w", status=400)

    with pytest.raises(EngineRefused) as caught:
        cluster.join(worker, manager, "SWMTKN-1-w")

    (event,) = shown
    assert isinstance(event, CommandShown)
    flags = "--advertise-addr 10.0.0.12 --data-path-addr 10.0.0.12"
    assert event.command == f"docker swarm join --token *** {flags} 10.0.0.11:2377"
    assert "SWMTKN" not in caught.value.message
    assert worker.shell.commands == []


def test_a_join_that_goes_on_in_the_background_is_waited_for(manager: FakeNode, worker: FakeNode) -> None:
    said = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background."
    worker.api |= {"POST /swarm/join": EngineRefused(said, status=503), "GET /info": raw_info("active")}

    cluster.join(worker, manager, "SWMTKN-1-w")


def test_membership_is_what_the_nodes_own_engine_says(worker: FakeNode) -> None:
    worker.api["GET /info"] = raw_info("active", node_id="n7", manager=True) | {}

    seen = cluster.membership(worker)

    assert (seen.state, seen.node_id, seen.is_manager, seen.cluster_id) == ("active", "n7", True, "")


def test_a_node_in_no_swarm_is_inactive(worker: FakeNode) -> None:
    worker.api["GET /info"] = {"Swarm": {"NodeID": "", "LocalNodeState": "inactive"}}

    assert cluster.membership(worker).state == "inactive"


def test_a_manager_that_answers_can_change_the_swarm(manager: FakeNode) -> None:
    assert cluster.working_manager([manager]) is manager


def test_nodes_made_as_managers_are_asked_first(
    manager: FakeNode, worker: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NEXT_AFTER", 10)

    assert cluster.working_manager([worker, manager]) is manager
    assert worker.asked.asked == []


def test_a_worker_that_was_promoted_is_found_when_the_managers_are_down(worker: FakeNode) -> None:
    worker.api["GET /swarm"] = TOKENS

    assert cluster.working_manager([fake_node("manager1", state="exited"), worker]) is worker


def test_a_manager_without_a_leader_is_passed_over_for_one_that_has_one(manager: FakeNode) -> None:
    lost = fake_node("manager2", api={"GET /swarm": NO_LEADER})

    assert cluster.working_manager([lost, manager]) is manager


def test_managers_that_answer_and_cannot_decide_have_lost_the_quorum(worker: FakeNode) -> None:
    worker.api["GET /swarm"] = NO_MANAGER
    lost = fake_node("manager1", api={"GET /swarm": NO_LEADER})

    with pytest.raises(QuorumLost, match=r"manager1: .*does not have a leader; manager2 is exited") as caught:
        cluster.working_manager([worker, lost, fake_node("manager2", state="exited")])

    assert "labctl start" in (caught.value.hint or "")


def test_a_majority_that_left_is_told_at_once_with_the_cure() -> None:
    lost = fake_node("manager1", api={"GET /swarm": NO_LEADER})
    left = fake_node("manager2", api={"GET /swarm": IN_NONE})

    was: Role = "manager"
    for nodes, gone in (([lost, left], {}), ([lost], {"manager2": was}), ([lost, left], {"manager3": was})):
        with pytest.raises(QuorumLost, match=r"1 of the swarm's \d managers is left \(manager1\)") as caught:
            cluster.working_manager(nodes, gone=gone)

        assert caught.value.for_good
        cure = "`labctl ssh manager1 docker swarm init --force-new-cluster --advertise-addr 10.0.0.11`"
        assert (caught.value.hint or "").startswith(cure)


@pytest.mark.parametrize(
    ("state", "answer", "second"),
    [
        ("exited", None, "left"),
        ("running", EngineUnreachable("silent"), "left"),
        ("running", NO_LEADER, "left"),
        ("running", NO_MANAGER, "there"),
    ],
    ids=["down", "silent", "there", "demoted"],
)
def test_a_majority_that_may_come_back_is_not_given_up(
    state: str, answer: Answer, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ELECTION_LIMIT", 1.0)  # all three are asked within it, on a busy machine too
    nodes = [
        fake_node("manager1", api={"GET /swarm": NO_LEADER}),
        fake_node("manager2", api={"GET /swarm": IN_NONE if second == "left" else NO_LEADER}),
        fake_node("manager3", state=state, api={"GET /swarm": answer}),
    ]

    with pytest.raises(QuorumLost) as caught:
        cluster.working_manager(nodes)

    assert not caught.value.for_good


def test_managers_without_a_majority_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "DECISION_LIMIT", 0.05)
    answered = threading.Event()

    def slow(_asked: object) -> Answer:
        answered.wait(10)
        return NO_LEADER

    try:
        with pytest.raises(QuorumLost, match=r"manager1: it reaches no majority .*; manager2 is exited"):
            cluster.working_manager(
                [fake_node("manager1", api={"GET /swarm": slow}), fake_node("manager2", state="exited")]
            )
    finally:
        answered.set()


@pytest.fixture
def never() -> Iterator[Callable[[object], Answer]]:
    """An answer that does not come while the test runs."""
    over = threading.Event()

    def wait(_asked: object) -> Answer:
        over.wait(10)
        return NO_LEADER

    yield wait
    over.set()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("NEXT_AFTER", 0.05), ("DECISION_LIMIT", 0.2), ("ELECTION_LIMIT", 10)):
        monkeypatch.setattr(cluster, name, seconds)


@pytest.mark.usefixtures("short")
def test_a_manager_that_is_silent_keeps_nobody_from_one_that_answers(
    manager: FakeNode, never: Callable[[object], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "DECISION_LIMIT", 10)
    silent = fake_node("manager2", api={"GET /swarm": never})

    assert cluster.working_manager([silent, manager], noted=pytest.fail) is manager


@pytest.mark.usefixtures("short")
def test_a_majority_that_may_choose_a_leader_is_waited_for_and_that_is_told(
    manager: FakeNode, never: Callable[[object], Answer]
) -> None:
    told = threading.Event()

    def elected(_asked: object) -> Answer:
        assert told.wait(10)
        return TOKENS

    nodes = [fake_node("manager2", api={"GET /swarm": elected}), fake_node("manager3", api={"GET /swarm": never})]

    assert cluster.working_manager(nodes, noted=lambda _: told.set()).name == "manager2"


@pytest.mark.usefixtures("short")
def test_a_majority_that_runs_and_is_silent_is_waited_for_no_longer_than_is_said(
    never: Callable[[object], Answer],
) -> None:
    nodes = [fake_node(name, api={"GET /swarm": never}) for name in ("manager1", "manager2", "manager3")]

    with pytest.raises(
        QuorumLost, match=r"manager1: it reaches no majority of the managers within 0\.2 s; manager2: "
    ) as e:
        cluster.working_manager(nodes, limit=0.2, noted=pytest.fail)

    assert "choosing a leader" in (e.value.hint or "")


@pytest.mark.usefixtures("short")
def test_an_engine_that_is_frozen_is_told_from_one_that_has_no_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen, over = fake_node("manager1", api={"GET /swarm": TOKENS}), threading.Event()
    monkeypatch.setattr(frozen.asked, "connect", lambda: over.wait(10))

    with pytest.raises(LabError, match=r"the engine of manager1 gives no answer within 0\.2 s") as caught:
        cluster.working_manager([frozen], limit=0.2)
    over.set()

    assert "labctl restart manager1" in (caught.value.hint or "")


def test_the_words_of_the_wire_are_left_out() -> None:
    lost = fake_node("manager1", api={"GET /swarm": NO_LEADER})

    with pytest.raises(QuorumLost) as caught:
        cluster.working_manager([lost])

    assert "rpc error" not in caught.value.message


def test_managers_that_do_not_answer_have_not_lost_the_quorum() -> None:
    silent = fake_node("manager1", api={"GET /swarm": EngineUnreachable("connection refused")})

    with pytest.raises(LabError, match=r"no manager answers: .*connection refused") as caught:
        cluster.working_manager([silent])

    assert not isinstance(caught.value, QuorumLost)


def test_a_worker_that_does_not_answer_is_not_why_no_manager_does(worker: FakeNode) -> None:
    worker.api["GET /swarm"] = EngineUnreachable("connection refused")

    with pytest.raises(LabError, match=r"^no manager answers: manager1 is exited\n") as caught:
        cluster.working_manager([fake_node("manager1", state="exited"), worker])

    assert "restart" not in (caught.value.hint or "")


def test_a_manager_that_runs_and_does_not_answer_is_to_be_restarted() -> None:
    silent = fake_node("manager1", api={"GET /swarm": EngineUnreachable("connection refused")})

    with pytest.raises(LabError) as caught:
        cluster.working_manager([silent])

    assert "`labctl restart manager1`" in (caught.value.hint or "")


def test_a_swarm_that_nobody_made_has_no_manager(worker: FakeNode) -> None:
    worker.api["GET /swarm"] = NO_MANAGER
    alone = fake_node("manager1", api={"GET /swarm": NO_MANAGER})

    with pytest.raises(LabError, match="manager1 is not a manager of a swarm"):
        cluster.working_manager([alone, worker])


def test_no_nodes_have_no_manager() -> None:
    with pytest.raises(LabError, match="there is no manager"):
        cluster.working_manager([])


def test_ready_is_when_all_named_nodes_are_ready_and_one_leads(manager: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1")]

    assert [node.hostname for node in cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[])] == [
        "manager1",
        "worker1",
    ]


def test_a_ghost_of_the_same_name_does_not_make_a_ready_node_look_down(manager: FakeNode) -> None:
    ghost = raw_node("worker1", id_="old", state="down")
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1"), ghost]

    assert len(cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[])) == 3


def test_what_is_still_missing_is_noted_on_the_way(manager: FakeNode) -> None:
    answers: Iterator[Answer] = iter(
        [
            NO_LEADER,
            [raw_node("manager1")],
            [raw_node("manager1"), raw_node("worker1", state="unknown")],
            [raw_node("manager1"), raw_node("worker1")],
            [raw_node("manager1", leader=True), raw_node("worker1")],
        ]
    )
    manager.api["GET /nodes"] = lambda _: next(answers)
    noted: list[str] = []

    cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[], noted=noted.append)

    assert "does not have a leader" in noted[0]
    assert noted[1:] == ["worker1 unknown to the manager", "worker1 unknown", "no leader"]


def test_a_locked_manager_is_told_at_once_and_no_election_is_waited_for() -> None:
    refused = EngineRefused("Swarm is encrypted and needs to be unlocked before it can be used.", status=503)
    nodes = [fake_node("manager1", api={"GET /swarm": refused}), fake_node("worker1", api={"GET /swarm": NO_MANAGER})]

    with pytest.raises(SwarmLocked) as caught:
        cluster.working_manager(nodes, noted=pytest.fail)

    assert caught.value.nodes == ("manager1",)


def test_a_node_leaves_by_its_own_engine_and_one_in_no_swarm_is_fine(worker: FakeNode) -> None:
    worker.api["POST /swarm/leave"] = None
    cluster.leave(worker)
    assert worker.asked.asked[0].query == {"force": "true"}

    worker.api["POST /swarm/leave"] = EngineRefused("This node is not part of a swarm", status=503)
    cluster.leave(worker)


def test_where_no_node_is_a_manager_up_is_not_promised() -> None:
    worker = fake_node("worker1", api={"GET /swarm": EngineRefused("This node is not a swarm manager", status=503)})

    with pytest.raises(LabError) as failed:
        cluster.working_manager([worker], limit=0.2)

    assert failed.value.hint == "`labctl status` tells what helps."


def waits_in_vain(state: str, *, error: str = "") -> tuple[FakeNode, FakeNode]:
    """A manager that knows of a worker that is down, whose own engine says `state`."""
    nodes = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]
    return (
        fake_node(api={"GET /nodes": nodes}),
        fake_node("worker1", api={"GET /info": raw_info(state, error=error)}),
    )


def test_a_node_that_nobody_lets_in_is_given_up_with_what_helps() -> None:
    manager, worker = waits_in_vain("pending")
    clock = FakeClock()

    with pytest.raises(LabError, match="waits for a manager to let it into the swarm: `labctl restart worker1`"):
        cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[manager, worker], clock=clock)

    assert LET_IN_LIMIT <= clock.now() < cluster.READY_LIMIT / 2


def test_a_node_that_its_engine_has_given_up_is_not_waited_for() -> None:
    manager, worker = waits_in_vain("error", error="rpc error: desc = node is not part of cluster")
    clock = FakeClock()

    with pytest.raises(LabError, match=r"worker1 cannot take part in its swarm \(node is not part of cluster\)"):
        cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[manager, worker], clock=clock)

    assert clock.now() < LET_IN_LIMIT


def test_a_node_that_is_in_and_not_ready_is_waited_for_to_the_end() -> None:
    manager, worker = waits_in_vain("active")

    with pytest.raises(WaitTimeout, match="worker1 down") as caught:
        cluster.wait_ready(manager, ["manager1", "worker1"], nodes=[manager, worker], clock=FakeClock())

    assert caught.value.hint == "`labctl status` tells what helps."
