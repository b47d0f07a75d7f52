"""The swarm in a check's words: what is missing answers "not yet" by itself, and commands find their container."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.checks.answers import NotYet
from labctl.checks.observer import Observer
from labctl.checks.swarm import Swarm
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, NodeDown, QuorumLost
from labctl.lab import Context, Lab
from labctl.node import Node
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_info, raw_node, raw_service, raw_task

LONG_AGO = "2026-01-01T00:00:00Z"
NETWORKS = [{"Target": "n1"}]
UPTIME = "ps -o etimes= -p 1 && date +%s"


def voting(name: str, **more: Any) -> dict[str, Any]:
    raw = raw_service(name, CreatedAt=LONG_AGO, **more)
    raw["Spec"]["Labels"] = {"com.docker.stack.namespace": "voting"}
    return raw


def task(slot: int, state: str = "running", **more: Any) -> dict[str, Any]:
    raw = raw_task(f"t{slot}", service="id-voting_vote", slot=slot, state=state, Timestamp=LONG_AGO, **more)
    raw["Spec"]["Networks"] = NETWORKS
    return raw | {"CreatedAt": LONG_AGO}


@pytest.fixture
def manager() -> FakeNode:
    vote = voting("voting_vote", Endpoint={"Ports": [{"PublishedPort": 5000, "TargetPort": 80}]})
    vote["Spec"]["TaskTemplate"]["Networks"] = NETWORKS
    return fake_node(
        api={
            "GET /swarm": {},
            "GET /services": [vote],
            "GET /services/voting_vote": vote,
            "GET /services/other": EngineRefused("no such service", status=404),
            "GET /networks": [{"Id": "n1", "Name": "voting_frontend"}],
            "GET /networks/none": EngineRefused("no such network", status=404),
            "GET /nodes": [raw_node("manager1", leader=True), raw_node("worker1")],
            "GET /tasks": [task(1), task(2, ContainerStatus={"ContainerID": "c2"})],
        }
    )


def lab_of(*nodes: Node) -> Lab:
    return Lab(Context(FakeEngine()), FakeBackend(), LabRecord("demo", lambda: None, None, None, nodes))


def swarm_of(manager: FakeNode, *others: Node) -> Swarm:
    return Swarm(lab_of(manager, *others))


def test_a_service_in_plain_words(manager: FakeNode) -> None:
    vote = swarm_of(manager).service("voting_vote")

    assert (vote.name, vote.image, vote.replicas, vote.published) == ("voting_vote", "nginx:latest", 2, {5000: 80})
    assert vote.networks == {"voting_frontend"}
    assert vote.nodes() == {"worker1"}
    assert vote.created == 1767225600
    vote.must_run()


def test_what_a_service_belongs_to_and_which_secrets_it_gets(manager: FakeNode) -> None:
    vote = swarm_of(manager).service("voting_vote")
    assert (vote.stack, vote.secrets) == ("voting", {})

    given = [{"File": {"Name": "key"}, "SecretID": "s2", "SecretName": "key-2"}]
    vote.facts.raw["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"] = given

    assert vote.secrets == {"key": "key-2"}


def test_a_node_knows_when_it_joined(manager: FakeNode) -> None:
    manager.api["GET /nodes"] = [{**raw_node("worker1"), "CreatedAt": LONG_AGO}, raw_node("worker2")]

    assert [node.created for node in swarm_of(manager).nodes()] == [1767225600, 0.0]


def test_what_is_missing_is_not_yet_there(manager: FakeNode) -> None:
    swarm = swarm_of(manager)

    for ask, told in (
        (lambda: swarm.service("other"), "there is no service other"),
        (lambda: swarm.network("none"), "there is no network none"),
        (lambda: swarm.stack("voting").service("db"), "the stack voting has no service db"),
    ):
        with pytest.raises(NotYet, match=told) as caught:
            ask()
        assert caught.value.look.startswith("labctl docker -- ")
    manager.api["GET /services"] = []
    with pytest.raises(NotYet, match="there is no stack voting"):
        swarm.stack("voting")


def test_a_stack_that_does_not_run_yet_says_why(manager: FakeNode) -> None:
    manager.api["GET /tasks"] = [task(1), task(2, "pending", Err="no suitable node (insufficient memory)")]

    with pytest.raises(NotYet) as caught:
        swarm_of(manager).stack("voting").must_run()

    assert caught.value.message == ("voting_vote: 1 of 2 tasks run; 1 pending: no suitable node (insufficient memory)")
    assert caught.value.look == "labctl docker -- service ps --no-trunc voting_vote"


def test_a_command_needs_a_task_that_runs(manager: FakeNode) -> None:
    manager.api["GET /tasks"] = [task(1, "starting")]

    with pytest.raises(NotYet, match="no task of voting_vote runs"):
        swarm_of(manager).service("voting_vote").run("psql")


def test_a_page_on_a_node_that_is_down_is_the_labs_fault(manager: FakeNode) -> None:
    with pytest.raises(NodeDown):
        swarm_of(manager, fake_node("worker1", state="exited")).http("w1", 5000)


def test_when_a_machine_was_started(manager: FakeNode) -> None:
    worker = fake_node("worker1")
    worker.shell.answers[UPTIME] = "     90\n1000\n"
    swarm = swarm_of(manager, worker, fake_node("worker2", state="exited"))

    assert swarm.up_since("w1", "w2") == {"w1": 910, "w2": None}
    worker.shell.answers[UPTIME] = Result(UPTIME, 137)
    assert swarm.up_since("w1") == {"w1": None}, "it went down under the command"


def test_a_page_everywhere(manager: FakeNode) -> None:
    ask = "curl -sS -m 5 -w '\\n%{http_code}' http://10.0.0.11:5000/"
    manager.shell.answers[ask] = "hello\n200"
    manager.api["GET /nodes"] = [raw_node("manager1"), raw_node("worker1", state="down")]

    answers = swarm_of(manager).http_everywhere(5000)

    assert {name: answer.body for name, answer in answers.items()} == {"manager1": "hello"}


def test_a_check_says_how_long_silence_may_last(manager: FakeNode) -> None:
    manager.shell.answers["curl -sS -m 2 -w '\\n%{http_code}' http://10.0.0.11:5000/"] = "hello\n200"
    manager.api["GET /nodes"] = [raw_node("manager1")]
    swarm = swarm_of(manager)

    assert swarm.http_everywhere(5000, limit=2)["manager1"].ok
    assert swarm.http("m1", 5000, limit=2).ok


def swarm_of_pages(manager: FakeNode, *pages: str | None) -> Swarm:
    """A swarm whose nodes that are ready answer with these pages on port 5000, or not at all."""
    manager.api["GET /nodes"] = [raw_node("manager1"), raw_node("worker1"), raw_node("worker2", state="down")]
    for address, page in zip(("10.0.0.11", "10.0.0.12"), pages, strict=True):
        command = f"curl -sS -m 5 -w '\\n%{{http_code}}' http://{address}:5000/"
        manager.shell.answers[command] = Result(command, 28, "\n000") if page is None else f"{page}\n200"
    return swarm_of(manager, fake_node("worker1", address="10.0.0.12"))


def test_a_port_that_answers_everywhere(manager: FakeNode) -> None:
    swarm = swarm_of_pages(manager, "hello", "hello\n")

    assert swarm.must_answer_everywhere(5000)["worker1"].body == "hello\n"
    assert len(swarm.must_answer_everywhere(5000, text="hello")) == 2


@pytest.mark.parametrize(
    ("pages", "text", "message"),
    [
        (["hello", None], "", "port 5000 does not answer on worker1"),
        ([None, None], "hello", "port 5000 does not answer on manager1, worker1"),
        (["hello", "bye"], "hello", "worker1 does not answer with hello"),
    ],
)
def test_a_port_that_does_not(manager: FakeNode, pages: list[str | None], text: str, message: str) -> None:
    with pytest.raises(NotYet) as caught:
        swarm_of_pages(manager, *pages).must_answer_everywhere(5000, text=text)

    assert caught.value.message == message
    assert caught.value.look.startswith("labctl ssh m1 curl ")


def test_a_swarm_without_quorum_is_no_answer(manager: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineRefused("the swarm does not have a leader", status=503)
    manager.api["GET /info"] = raw_info("active", manager=True)

    with pytest.raises(QuorumLost):
        swarm_of(manager).nodes()


def test_a_manager_is_looked_for_anew_when_the_lab_was(manager: FakeNode) -> None:
    lab = lab_of(manager)
    swarm = Swarm(lab)
    assert swarm.manager.name == "manager1"
    other = fake_node("manager2", api={"GET /swarm": {}})

    lab.record = LabRecord("demo", lambda: None, None, None, (other,))

    assert swarm.manager.name == "manager2"


# -- observers


def observed(*samples: str) -> Observer:
    node = fake_node()
    node.shell.answers["sort /var/lib/labctl/observers/x/samples 2>/dev/null | uniq -c"] = "\n".join(samples)
    return Observer(node, "x", ["http://10.0.0.11:5000/"])


def test_an_observer_tells_what_was_lost() -> None:
    observer = observed("      2 000", "    140 200", "      1 404", "      3 503")

    assert observer.counts == {"000": 2, "200": 140, "404": 1, "503": 3}
    assert (observer.total, observer.lost) == (146, 5)


def test_an_observer_that_has_not_run_has_seen_nothing() -> None:
    assert (observed().total, observed().lost) == (0, 0)


def test_which_nodes_the_constraints_of_a_service_allow(manager: FakeNode) -> None:
    vote = swarm_of(manager).service("voting_vote")
    assert (vote.constraints, vote.allowed_nodes()) == ([], {"manager1", "worker1"})

    vote.facts.raw["Spec"]["TaskTemplate"]["Placement"] = {"Constraints": ["node.role == worker"]}

    assert (vote.constraints, vote.allowed_nodes()) == (["node.role==worker"], {"worker1"})


def test_the_variables_of_a_service(manager: FakeNode) -> None:
    vote = swarm_of(manager).service("voting_vote")
    assert vote.env == {}

    vote.facts.raw["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = ["VERSION=2", "URL=a=b", "EMPTY="]

    assert vote.env == {"VERSION": "2", "URL": "a=b", "EMPTY": ""}


def test_which_tasks_are_of_an_earlier_version(manager: FakeNode) -> None:
    old, new = task(1), task(2)
    manager.api["GET /tasks"] = [old, new, task(3, state="shutdown", DesiredState="shutdown")]
    vote = swarm_of(manager).service("voting_vote")
    new["Spec"]["ContainerSpec"] = vote.spec["TaskTemplate"]["ContainerSpec"]
    old["Spec"]["ContainerSpec"] = {"Image": "labctl/vote:0"}

    assert [one.slot for one in vote.outdated()] == [1]
