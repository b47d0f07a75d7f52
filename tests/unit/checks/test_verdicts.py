"""Whose fault it is when a check that asks a lab gets an error: the learner's never, the lab's or the author's."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from labctl.checks.deadline import DeadlinePassed, deadline
from labctl.checks.host import host_of
from labctl.checks.nodes import node_named
from labctl.checks.swarm import ServiceInSwarm
from labctl.checks.verdicts import Around, CheckInfo, Verdict, verdict_of
from labctl.errors import EngineRefused, LabctlError, LabError, NodeDown, NotFoundError, QuorumLost, UsageError
from labctl.lab import Lab
from labctl.node import Node
from labctl.transport import Result

from ..nodes import FakeNode, fake_node

PING = {"GET /_ping": {"Server": "Docker/28.0"}}


class FakeLab:
    """A lab whose manager answers, or does not."""

    spec = SimpleNamespace(swarm="formed")

    def __init__(self, trouble: LabctlError | None = None) -> None:
        self.trouble = trouble

    def manager(self, *, limit: float) -> None:
        """Raise what is scripted."""
        assert limit
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Verdict]:
    """Run lines as a check in a file of its own, and return what is made of what they raise."""

    def judge(lines: str, *, lab: FakeLab | None = None, nodes: tuple[str, ...] = (), **names: Any) -> Verdict:
        file = tmp_path / "test_it.py"
        file.write_text(f"def test_it():\n{textwrap.indent(textwrap.dedent(lines), '    ')}\n")
        module = ModuleType("test_it")
        vars(module).update(names)
        exec(compile(file.read_text(), str(file), "exec"), vars(module))
        info = CheckInfo("test_it", "It.", ("a",), False, False, None, 1, "test_it.py", str(tmp_path))
        with pytest.raises(BaseException) as caught:
            module.test_it()
        return verdict_of(caught.value, info, Around(cast(Lab, lab), frozenset(nodes)))

    return judge


NODES = [fake_node("manager1"), fake_node("worker1")]


def named(name: str) -> Node:
    return node_named(NODES, name)


def test_a_node_that_the_exercise_does_not_ask_for_is_its_authors(judged: Callable[..., Verdict]) -> None:
    found = judged('node("w9")', node=named, nodes=("m1", "w1", "w2"))

    assert found.at_fault
    assert found.message == (
        "the check test_it asks for what cannot be (test_it.py:2): no node named 'w9': there is: manager1, worker1"
    )


def test_a_node_that_it_asks_for_and_one_that_it_was_told_are_the_labs(judged: Callable[..., Verdict]) -> None:
    missing = judged('node("w2")', node=named, nodes=("m1", "w1", "w2"))
    told = judged("node(told)", node=named, told="worker7")

    assert [(one.outcome, one.at_fault) for one in (missing, told)] == [("broken", False)] * 2


@pytest.mark.parametrize(
    ("raised", "at_fault"),
    [
        (UsageError("'@wroker' is no filter"), True),
        (EngineRefused("refused: invalid JSON", status=400), True),
        (EngineRefused("refused: no leader", status=503), False),
        (NotFoundError("file on worker1", "/etc/x", None), True),
        (NotFoundError("lab", "demo", []), False),
        (NodeDown("worker1", "exited"), False),
        (LabError("no manager answers"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_asked_is_the_checks_fault(
    judged: Callable[..., Verdict], raised: LabctlError, at_fault: bool
) -> None:
    found = judged("raise raised", raised=raised)

    assert (found.outcome, found.at_fault) == ("broken", at_fault)
    assert raised.message in found.message
    assert ("test_it.py:2" in found.message) is at_fault


def test_a_command_in_a_service_is_one_string(judged: Callable[..., Verdict]) -> None:
    service = ServiceInSwarm(cast(Any, None), cast(Any, None))

    found = judged('service.run(["sleep", "30"])', service=service)

    assert found.at_fault
    assert "TypeError: run takes a command as one string, not list: ['sleep', '30'] (test_it.py:2)" in found.message


def slow_node(**answers: Any) -> FakeNode:
    node = fake_node("worker1", api=dict(PING))
    node.shell.answers = {"sleep 99": Result("sleep 99", 124, seconds=10.0), **answers}
    return node


def test_a_command_that_is_too_long_in_a_lab_that_is_well_is_the_checks(judged: Callable[..., Verdict]) -> None:
    found = judged('host.run("sleep 99")', host=host_of(slow_node(true="")), lab=FakeLab())

    assert found.at_fault
    assert "(test_it.py:2): `sleep 99` did not end within 10 s on worker1, and the lab is well" in found.message


@pytest.mark.parametrize("trouble", ["node", "swarm"])
def test_a_command_that_hangs_in_a_lab_that_is_not_well_is_the_labs(
    judged: Callable[..., Verdict], trouble: str
) -> None:
    node = slow_node(true=Result("true", 124) if trouble == "node" else "")
    lab = FakeLab(QuorumLost("no manager can change the swarm") if trouble == "swarm" else None)

    found = judged('host.run("sleep 99")', host=host_of(node), lab=lab)

    assert (found.outcome, found.at_fault) == ("broken", False)
    assert found.message == "`sleep 99` did not end within 10 s on worker1"


def hanging_node(**answers: Any) -> FakeNode:
    def hang(*_command: object, **_how: object) -> Result:
        raise DeadlinePassed

    node = slow_node(**answers)
    cast(Any, node.shell).run, ask = hang, node.shell.run
    cast(Any, node).expect = lambda command, **how: ask(command, **how)
    return node


def test_a_deadline_in_a_lab_that_is_well_is_the_checks(judged: Callable[..., Verdict]) -> None:
    found = judged('node.run("sleep 99")', node=hanging_node(true=""), lab=FakeLab())

    assert found.at_fault
    assert "did not end within 15 s (test_it.py:2): what it asks for there takes longer" in found.message


def test_a_deadline_in_a_lab_that_is_not_well_is_the_labs(judged: Callable[..., Verdict]) -> None:
    found = judged('node.run("x")', node=hanging_node(true=""), lab=FakeLab(LabError("no manager answers")))

    assert not found.at_fault
    assert found.message == "the check got no answer from the lab within 15 s: no manager answers"


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGALRM")
def test_a_look_at_the_lab_that_hangs_is_an_answer_too(
    judged: Callable[..., Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.checks.verdicts.WELL_LIMIT", 0.1)
    lab = FakeLab()

    def hang(*, limit: float) -> None:
        with deadline(1):
            while limit:
                pass

    monkeypatch.setattr(lab, "manager", hang)

    assert "does not answer" in judged('node.run("x")', node=hanging_node(true=""), lab=lab).message
