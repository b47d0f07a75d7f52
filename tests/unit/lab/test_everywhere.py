"""A command on many nodes: each one's answer, and one exit code for all."""

from __future__ import annotations

import signal
import threading

import pytest

from labctl.lab.everywhere import NodeResult, highest, run_everywhere
from labctl.transport import Result
from labctl.waiting import Pending, wait_until

from ..nodes import fake_node


def test_each_node_answers_in_order_and_each_is_heard() -> None:
    nodes = [fake_node(name) for name in ("manager1", "worker1", "worker2")]
    for node in nodes:
        node.shell.answers["hostname"] = node.name
    heard: list[str] = []

    answers = run_everywhere(nodes, "hostname", limit=5, heard=lambda answer: heard.append(answer.node))

    assert [(answer.node, answer.code, answer.stdout) for answer in answers] == [
        ("manager1", 0, "manager1"),
        ("worker1", 0, "worker1"),
        ("worker2", 0, "worker2"),
    ]
    assert sorted(heard) == ["manager1", "worker1", "worker2"]


def test_they_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(_: str) -> Result:
        together.wait()
        return Result("meet", 0)

    nodes = [fake_node(name) for name in ("manager1", "worker1", "worker2")]
    for node in nodes:
        node.shell.answers["meet"] = meet

    assert highest(run_everywhere(nodes, "meet", limit=5, heard=lambda _: None)) == 0


def test_a_container_that_asks_for_devices_names_the_key_that_gives_them() -> None:
    node = fake_node("worker1")
    node.shell.answers["run"] = Result("run", 126, stderr='failed to write "b 7:0 rwm": write /sys/fs/cgroup/…\n')

    (answer,) = run_everywhere([node], "run", limit=5, heard=lambda _: None)

    assert "`privileged_tasks: true`" in answer.stderr


def test_a_node_that_is_down_is_an_answer() -> None:
    up, down = fake_node("worker1"), fake_node("worker2", state="exited")
    up.shell.answers["true"] = ""

    answers = run_everywhere([up, down], "true", limit=5, heard=lambda _: None)

    assert [answer.code for answer in answers] == [0, None]
    assert "node worker2 is exited; `labctl start worker2`" in answers[1].stderr
    assert highest(answers) == 3


def test_a_command_that_was_ended_at_its_limit_says_so() -> None:
    node = fake_node("worker1")
    node.shell.answers["sleep 9"] = Result("sleep 9", 124, "", "", 2.0)

    answer, *_ = run_everywhere([node], "sleep 9", limit=2, heard=lambda _: None)

    assert (answer.code, answer.stderr) == (124, "ended after 2 s, the limit\n")


def test_ctrl_c_ends_the_command_on_every_node_and_nobody_is_heard_any_more() -> None:
    nodes = [fake_node(name) for name in ("manager1", "worker1")]
    both_run = threading.Barrier(2)

    def sleep(_: str) -> Result:
        if both_run.wait(10) == 0:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)
        wait_until("the command being ended", all_ended, limit=10, pause=0.01)
        return Result("sleep 700", 129)

    def all_ended() -> None:
        if not all(node.shell.ended for node in nodes):
            raise Pending("it runs")

    heard: list[NodeResult] = []
    for node in nodes:
        node.shell.answers["sleep 700"] = sleep

    with pytest.raises(KeyboardInterrupt):
        run_everywhere(nodes, "sleep 700", limit=700, heard=heard.append)

    assert [node.shell.ended for node in nodes] == [["sleep 700"], ["sleep 700"]]
    assert heard == []


def test_the_exit_code_is_the_highest() -> None:
    assert (
        highest([NodeResult("a", 0, "", "", 0), NodeResult("b", 7, "", "", 0), NodeResult("c", None, "", "", 0)]) == 7
    )
    assert highest([]) == 0


def test_a_note_begins_a_line_of_its_own() -> None:
    node = fake_node("worker1")
    node.shell.answers["yes >&2"] = Result("yes >&2", 0, "", "yes", 1.0, 79 << 20)

    (answer,) = run_everywhere([node], "yes >&2", limit=5, heard=lambda _: None)

    assert answer.stderr == "yes\noutput cut: 79 MiB more were written before what is shown\n"


def test_whose_output_was_cut_is_told() -> None:
    node = fake_node("worker1")
    node.shell.answers["cat /dev/zero"] = Result("cat /dev/zero", 0, "end", "", 1.0, 900 << 20)

    (answer,) = run_everywhere([node], "cat /dev/zero", limit=5, heard=lambda _: None)

    assert answer.stdout == "end"
    assert answer.stderr == "output cut: 900 MiB more were written before what is shown\n"
