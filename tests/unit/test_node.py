"""A node: commands run on it while it runs, and each is shown as a person would type it."""

from __future__ import annotations

import dataclasses

import pytest

from labctl.errors import CommandFailed, NodeDown, NotFoundError, UsageError
from labctl.events import CommandShown, Event
from labctl.transport import Result

from .nodes import fake_node


def test_a_command_is_run_and_its_result_returned_whatever_its_code() -> None:
    node = fake_node()
    node.shell.answers["false"] = Result("false", 1, stderr="no")

    assert node.run("false") == Result("false", 1, stderr="no")


def test_a_command_that_must_succeed_is_an_error_when_it_does_not() -> None:
    node = fake_node("worker1")
    node.shell.answers["docker ps"] = Result("docker ps", 1, stderr="permission denied")

    with pytest.raises(CommandFailed, match="worker1: `docker ps` exited 1: permission denied") as caught:
        node.expect("docker ps", hint="use sudo")

    assert caught.value.hint == "use sudo"


def test_a_container_that_asks_for_devices_is_an_error_that_names_the_key() -> None:
    node = fake_node("worker1")
    said = 'procHooks process: failed to write "a *:* rwm": write /sys/fs/cgroup/devices/docker/7a/devices.allow'
    node.shell.answers["docker run --privileged web"] = Result("docker run --privileged web", 126, stderr=said)

    with pytest.raises(CommandFailed) as caught:
        node.expect("docker run --privileged web")

    assert "privileged_tasks: true" in (caught.value.hint or "")


def test_a_command_that_must_succeed_and_does_is_returned() -> None:
    node = fake_node()
    node.shell.answers["hostname"] = "manager1\n"

    assert node.expect("hostname").stdout == "manager1\n"


def test_a_command_given_as_a_list_is_run_as_a_person_would_type_it() -> None:
    node = fake_node()
    node.shell.answers["echo 'a b'"] = ""

    node.run(["echo", "a b"])

    assert node.shell.commands == ["echo 'a b'"]


def test_each_command_is_shown(heard: list[Event]) -> None:
    node = fake_node("worker1")
    node.show = heard.append
    node.shell.answers["hostname"] = "worker1"

    node.run("hostname")

    assert heard == [CommandShown("worker1", "hostname")]


def test_secrets_are_not_shown(heard: list[Event]) -> None:
    node = fake_node("worker1")
    node.show = heard.append
    node.shell.answers["join --token SWMTKN-1"] = ""

    node.run("join --token SWMTKN-1", hide=["SWMTKN-1"])

    assert heard == [CommandShown("worker1", "join --token ***")]


def test_a_failed_command_does_not_tell_its_secrets() -> None:
    node = fake_node()
    node.shell.answers["join --token SWMTKN-1"] = lambda _: Result("join --token ***", 1, stderr="no")

    with pytest.raises(CommandFailed) as caught:
        node.expect("join --token SWMTKN-1", hide=["SWMTKN-1"])

    assert "SWMTKN" not in caught.value.message


@pytest.mark.parametrize("state", ["exited", "paused", "created", "gone"])
def test_a_node_that_does_not_run_is_asked_nothing(state: str) -> None:
    node = fake_node(state=state)

    for ask in (
        lambda: node.run("true"),
        lambda: node.engine,
        lambda: node.interactive(["sh"]),
        lambda: node.stream(["sh"]),
    ):
        with pytest.raises(NodeDown, match=f"node manager1 is {state}"):
            ask()

    assert node.shell.commands == []


def test_the_engine_is_opened_once_and_named_after_its_node() -> None:
    node = fake_node("worker1")

    assert node.engine is node.engine
    assert node.engine.where == "the engine of worker1"


def test_a_node_that_was_started_again_opens_its_engine_anew() -> None:
    node = fake_node(state="exited")

    assert dataclasses.replace(node, state="running").engine.where == "the engine of manager1"


def test_bytes_stream_through_a_command() -> None:
    node = fake_node()
    node.shell.answers["cat"] = "hello"

    assert b"".join(node.stream(["cat"], stdin=[b"x"])) == b"hello"


def test_files_go_there_and_back() -> None:
    node = fake_node()

    node.put(b"hello", "/tmp/x")

    assert node.get("/tmp/x") == b"hello"


def test_a_file_that_is_missing_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="/tmp/x"):
        fake_node().get("/tmp/x")


def test_the_terminal_is_given_to_a_command_and_its_code_returned() -> None:
    node = fake_node()
    node.shell.answers["bash -l"] = Result("bash -l", 7)

    assert node.interactive(["bash", "-l"]) == 7
    assert node.interactive(["bash", "-l"], user="root") == 7
    assert node.shell.users == ["docker", "root"]


@pytest.mark.parametrize(("name", "manages"), [("manager1", True), ("worker1", False)])
def test_a_node_knows_what_it_was_made_as(name: str, manages: bool) -> None:
    assert fake_node(name).is_manager is manages


def test_text_is_for_the_shell_whatever_runs_it() -> None:
    node = fake_node()
    node.shell.answers["/bin/sh -c 'ls | wc'"] = "1\n"

    with node.terminal("ls | wc") as seat:
        assert seat.read() == b"1\n"
    assert b"".join(node.stream("ls | wc")) == b"1\n"


def test_an_empty_list_is_no_command() -> None:
    node = fake_node()

    for run in (node.run, node.expect, node.stream, node.terminal, node.interactive):
        with pytest.raises(UsageError, match="there is no command to run"):
            run([])
    assert not node.shell.commands
