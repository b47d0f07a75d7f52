"""m1 and w2 mean nodes, whatever these are called."""

from __future__ import annotations

import pytest

from labctl.checks.deadline import DeadlinePassed, deadline, seconds_left
from labctl.checks.host import host_of
from labctl.checks.http import request
from labctl.checks.nodes import node_named
from labctl.errors import LabError, NodeDown, NotFoundError
from labctl.transport import Result

from ..nodes import fake_node


def test_short_names_mean_the_nodes_of_that_name() -> None:
    nodes = [fake_node("manager1"), fake_node("worker1"), fake_node("worker2")]

    assert node_named(nodes, "w2").name == "worker2"
    assert node_named(nodes, "manager1").name == "manager1"
    assert node_named(nodes, "manager").name == "manager1"


def test_short_names_count_by_role_where_names_are_others() -> None:
    nodes = [fake_node("boss", role="manager"), fake_node("alpha", role="worker"), fake_node("beta", role="worker")]

    assert [node_named(nodes, name).name for name in ("m1", "w1", "w2")] == ["boss", "alpha", "beta"]


@pytest.mark.parametrize("name", ["w3", "m2", "worker9", "x"])
def test_a_node_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(NotFoundError):
        node_named([fake_node("manager1"), fake_node("worker1"), fake_node("worker2")], name)


# -- testinfra over a node


def test_testinfra_runs_its_commands_on_the_node() -> None:
    node = fake_node("worker1")
    node.shell.answers = {"uname -r": "6.1\n", "echo 'a b'": "a b\n", "false": Result("false", 1)}
    host = host_of(node)

    assert host.check_output("uname -r") == "6.1"
    assert host.run("echo %s", "a b").stdout == "a b\n"
    assert host.run("false").rc == 1


def test_a_node_that_is_down_is_no_failed_command() -> None:
    with pytest.raises(NodeDown):
        host_of(fake_node("worker1", state="exited")).run("true")


def test_a_command_that_does_not_end_is_the_labs_fault() -> None:
    node = fake_node("worker1")
    node.shell.answers = {"sleep 99": Result("sleep 99", 124, seconds=10.0)}

    with pytest.raises(LabError, match="`sleep 99` did not end within 10 s on worker1"):
        host_of(node).run("sleep 99")


def test_a_command_may_itself_end_with_timeouts_code() -> None:
    node = fake_node("worker1")
    node.shell.answers = {"timeout 1 x": Result("timeout 1 x", 124, seconds=1.0)}

    assert host_of(node).run("timeout 1 x").rc == 124


# -- deadlines


def test_a_deadline_ends_what_waits() -> None:
    with pytest.raises(DeadlinePassed), deadline(0.05):
        while True:
            pass


def test_commands_get_what_is_left() -> None:
    assert seconds_left(10) == 10
    with deadline(5):
        assert 4 < seconds_left(10) <= 5
        assert seconds_left(1) == 1


# -- pages


def curl(*words: str) -> str:
    return " ".join(["curl -sS -m 5 -w '\\n%{http_code}'", *words])


def test_a_page_is_asked_for_on_a_node() -> None:
    node = fake_node()
    node.shell.answers = {curl("http://10.0.0.12:80/"): '{"a": 1}\n200'}

    answer = request(node, "http://10.0.0.12:80/")

    assert (answer.ok, answer.status, answer.json()) == (True, 200, {"a": 1})
    assert str(answer) == "http://10.0.0.12:80/: HTTP 200"


def test_a_form_is_posted_with_its_cookie() -> None:
    node = fake_node()
    node.shell.answers = {curl("--data", "'vote=a&x=%26'", "--cookie", "id=ann", "http://x/"): "gone\n410"}

    answer = request(node, "http://x/", form={"vote": "a", "x": "&"}, cookie="id=ann")

    assert (answer.ok, answer.status, answer.body) == (False, 410, "gone")


def test_where_nobody_answers_the_reason_is_told() -> None:
    node = fake_node()
    node.shell.answers = {curl("http://x/"): Result("curl", 7, "\n000", "curl: (7) Failed to connect to x\n")}

    answer = request(node, "http://x/")

    assert (answer.ok, answer.status) == (False, 0)
    assert str(answer) == "http://x/: curl: (7) Failed to connect to x"
