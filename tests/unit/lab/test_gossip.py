"""Engines that have not heard of each other are introduced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labctl.errors import EngineRefused, NodeDown
from labctl.lab import gossip
from labctl.lab.gossip import WHERE, alone_among, exchange, meet, shows_old_circle, wait_missed
from labctl.transport import Result

from ..nodes import FakeNode, fake_node

ASK = f"curl -s -m 2 {WHERE}/clusterpeers '{WHERE}/networkpeers?nid=net1'"
# A lab may make it again under another name.
INGRESS = {"Id": "net1", "Name": "my-ingress", "Driver": "overlay", "Ingress": True}
ALONE = "0) aa1 -> 10.0.0.1\n"
BOTH = "0) aa1 -> 10.0.0.1\n1) bb2 -> 10.0.0.2\n"


def listed(cluster: str, network: str) -> str:
    """What the port for diagnostics says to both questions."""
    return f"OK\ntotal entries: 9\n{cluster}OK\ntotal entries: 9\n{network}"


def pair() -> tuple[FakeNode, FakeNode]:
    manager = fake_node("manager1", address="10.0.0.1", api={"GET /networks": [INGRESS]})
    worker = fake_node("worker1", address="10.0.0.2")
    for node in (manager, worker):
        node.shell.answers[ASK] = listed(BOTH, BOTH)
    return manager, worker


def test_engines_that_know_each_other_are_left_alone() -> None:
    manager, worker = pair()

    assert meet(manager, [manager, worker], print) == []
    assert manager.shell.commands == worker.shell.commands == [ASK]


@pytest.mark.parametrize(
    "seen", [listed(ALONE, ALONE), listed(BOTH, ALONE), listed(BOTH, "0) aa1 -> 10.0.0.1\n1) cc3 -> 10.0.0.2\n")]
)
def test_one_that_misses_another_is_led_to_it(seen: str) -> None:
    manager, worker = pair()
    join = f"curl -s -m 5 '{WHERE}/join?members=10.0.0.2'"
    notes: list[str] = []

    def joined(_command: str) -> Result:
        manager.shell.answers[ASK] = listed(BOTH, BOTH)
        return Result(join, 0, "OK")

    manager.shell.answers |= {ASK: seen, join: joined}

    assert meet(manager, [manager, worker], notes.append) == []
    assert manager.shell.commands == [ASK, join, ASK]
    assert notes == ["manager1 has not heard of 1 of 2 engines yet"]


def test_where_no_agent_has_opened_the_engines_port_it_is_opened() -> None:
    manager, worker = pair()
    reload = "pkill -HUP -x dockerd"

    def opened(_command: str) -> Result:
        worker.shell.answers[ASK] = listed(BOTH, BOTH)
        return Result(reload, 0)

    worker.shell.answers |= {ASK: Result(ASK, 7), reload: opened}

    assert meet(manager, [manager, worker], print) == []
    assert worker.shell.commands == [ASK, reload, ASK]


def test_a_port_that_stays_shut_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "LOOKS_AT_SHUT", 2)
    manager, worker = pair()
    reload = "pkill -HUP -x dockerd"
    worker.shell.answers |= {ASK: Result(ASK, 7), reload: Result(reload, 0)}

    assert meet(manager, [manager, worker], print) == [worker]
    assert worker.shell.commands.count(reload) == 1


def test_an_engine_that_is_alone_has_nobody_to_meet() -> None:
    manager, _ = pair()

    assert meet(manager, [manager], print) == []
    assert manager.shell.commands == []


def test_one_that_tells_nothing_is_named_and_does_not_hold_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "LIMIT", 0.1)
    manager, worker = pair()
    join = f"curl -s -m 5 '{WHERE}/join?members=10.0.0.1,10.0.0.2'"
    worker.shell.answers |= {ASK: Result(ASK, 28), join: Result(join, 28)}

    assert meet(manager, [manager, worker], print) == [worker]


def test_an_engine_that_is_back_exchanges_what_it_knows_on_the_networks_that_it_is_in() -> None:
    _, worker = pair()
    peers, elsewhere = (f"curl -s -m 2 '{WHERE}/networkpeers?nid={one}'" for one in ("net1", "net2"))
    enter = f"curl -s -m 10 '{WHERE}/joinnetwork?nid=net1'"
    overlay = {"Driver": "overlay", "Scope": "swarm"}
    worker.api["GET /networks"] = [
        {"Id": "net1", **overlay},
        {"Id": "net2", **overlay},
        {"Id": "net3", "Driver": "bridge", "Scope": "local"},
    ]
    worker.shell.answers |= {peers: listed(BOTH, ""), elsewhere: listed(ALONE, ""), enter: "OK"}

    exchange([worker])

    assert worker.shell.commands == [peers, elsewhere, enter]


def asked_for(node: FakeNode, *entered: str, peers: str) -> None:
    """Script a node that is on one overlay network."""
    node.api["GET /networks"] = [{"Id": "net1", "Driver": "overlay", "Scope": "swarm"}]
    node.shell.answers[f"curl -s -m 2 '{WHERE}/networkpeers?nid=net1'"] = listed("", peers)
    node.shell.answers |= dict.fromkeys(entered, "OK")


def noting(order: list[str], name: str) -> Callable[[str], Result]:
    def answer(command: str) -> Result:
        order.append(name)
        return Result(command, 0)

    return answer


def gone(_command: str) -> Result:
    raise NodeDown("manager1", "exited")


ENTER = f"'{WHERE}/joinnetwork?nid=net1'"


def test_of_several_engines_one_exchanges_for_all_so_that_no_two_wait_for_each_other() -> None:
    manager, worker = pair()
    asked_for(manager, f"curl -s -m 10 {ENTER} {ENTER}", peers=BOTH)
    asked_for(worker, peers=BOTH)

    exchange([manager, worker])

    assert manager.shell.commands[1:] == [f"curl -s -m 10 {ENTER} {ENTER}"]
    assert worker.shell.commands[1:] == []


def test_one_that_the_others_have_not_heard_of_exchanges_by_itself_in_between() -> None:
    manager, worker = pair()
    order: list[str] = []
    enter = f"curl -s -m 10 {ENTER}"
    for node, peers in ((manager, ALONE), (worker, BOTH), (other := fake_node("worker2", address="10.0.0.3"), "")):
        asked_for(node, peers=peers or "0) cc3 -> 10.0.0.3\n")
        node.shell.answers[enter] = noting(order, node.name)

    exchange([manager, worker, other])

    assert order == ["worker1", "worker2", "worker1"]


def test_one_that_has_gone_meanwhile_holds_up_no_other_network() -> None:
    manager, worker = pair()
    asked_for(manager, peers=ALONE)
    asked_for(worker, f"curl -s -m 10 '{WHERE}/joinnetwork?nid=net2'", peers="")
    worker.api["GET /networks"] = [{"Id": "net2", "Driver": "overlay", "Scope": "swarm"}]
    worker.shell.answers[f"curl -s -m 2 '{WHERE}/networkpeers?nid=net2'"] = listed(BOTH, "")
    manager.shell.answers[f"curl -s -m 10 {ENTER}"] = gone

    exchange([manager, worker])

    assert worker.shell.commands[-1].endswith("/joinnetwork?nid=net2'")


def test_an_engine_that_cannot_say_its_networks_holds_up_nobody() -> None:
    _, worker = pair()
    worker.api["GET /networks"] = EngineRefused("no", status=500)

    exchange([worker])

    assert worker.shell.commands == []


CIRCLE = f"curl -s -m 2 {WHERE}/clusterpeers"


@pytest.mark.parametrize(
    ("said", "shows"),
    [(Result(CIRCLE, 0, ALONE), True), (Result(CIRCLE, 0, "OK\ntotal entries: 0"), False), (Result(CIRCLE, 28), True)],
)
def test_an_engine_that_is_too_busy_to_show_its_circle_may_have_an_old_one(said: Result, shows: bool) -> None:
    node = fake_node("worker1")
    node.shell.answers[CIRCLE] = said

    assert shows_old_circle(node) is shows


def test_an_engine_that_has_just_left_is_let_open_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    node = fake_node("worker1")

    def reload(command: str) -> Result:
        node.shell.answers[CIRCLE] = ALONE
        return Result(command, 0)

    node.shell.answers |= {CIRCLE: Result(CIRCLE, 7), "pkill -HUP -x dockerd": reload}

    assert shows_old_circle(node)


NOBODY = "OK\ntotal entries: 0\n"


@pytest.mark.parametrize(
    ("said", "alone"),
    [
        ("OK\ntotal entries: 2\n0) aa1 -> 10.0.0.1\n1) bb2 -> 10.0.0.2\n", False),
        (NOBODY, True),
        ("OK\ntotal entries: 1\n0) bb2 -> 10.0.0.2\n", True),
        (Result(CIRCLE, 7), False),
        (Result(CIRCLE, 28), False),
    ],
)
def test_an_engine_that_does_not_know_itself_is_alone(
    monkeypatch: pytest.MonkeyPatch, said: str | Result, alone: bool
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    node = fake_node("worker1", address="10.0.0.1")
    node.shell.answers[CIRCLE] = said

    assert alone_among([node]) == [node] * alone


def test_an_engine_that_has_just_joined_and_comes_to_know_itself_is_not_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    node = fake_node("worker1", address="10.0.0.1")
    node.shell.answers[CIRCLE] = NOBODY
    joined = "OK\ntotal entries: 1\n0) aa1 -> 10.0.0.1\n"
    monkeypatch.setattr("time.sleep", lambda _: node.shell.answers.update({CIRCLE: joined}))

    assert alone_among([node]) == []


CIRCLE = f"curl -s -m 2 {WHERE}/clusterpeers"


def test_a_node_that_was_killed_waits_until_each_of_the_others_has_missed_it() -> None:
    manager, worker = pair()
    third = fake_node("worker2", address="10.0.0.3")
    left = [ALONE, BOTH, BOTH]
    manager.shell.answers[CIRCLE] = f"OK\n{ALONE}"
    third.shell.answers[CIRCLE] = lambda command: Result(command, 0, f"OK\n{left.pop()}")
    notes: list[str] = []

    wait_missed(worker, [manager, third], notes.append)

    assert notes == ["other engines have not missed worker1 yet"]
    assert len(third.shell.commands) == 3
    assert worker.shell.commands == []


def test_one_that_is_not_missed_in_time_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "MISSED_WITHIN", 0)
    manager, worker = pair()
    manager.shell.answers[CIRCLE] = f"OK\n{BOTH}"

    wait_missed(worker, [manager, fake_node("worker2", state="exited")], print)

    assert manager.shell.commands == [CIRCLE]
