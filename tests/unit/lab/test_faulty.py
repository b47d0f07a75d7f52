"""An error about a node that has a fault tells of the fault, and nobody waits for an engine that one holds down."""

from __future__ import annotations

import json
import time

import pytest

from labctl.backend import LabRecord
from labctl.errors import EngineUnreachable, LabError, UsageError
from labctl.faults import Fault
from labctl.faults.innode import LIST
from labctl.lab.faulty import faults_told, refuse_held_down
from labctl.spec import LabSpec

from ..nodes import FakeNode, fake_node

TOLD = "worker1 has the fault engine-stop (abc123): `labctl fault heal abc123`"


@pytest.fixture
def node() -> FakeNode:
    return fake_node("worker1", api={"GET /_ping": EngineUnreachable("connection refused")})


def record(node: FakeNode) -> LabRecord:
    return LabRecord("lab", lambda: LabSpec(name="lab", workers=1), "10.0.0.0/24", "labctl-lab", (node,))


def give(node: FakeNode, kind: str = "engine-stop", until: float | None = None) -> None:
    fault = Fault("abc123", kind, node.name, until=until)
    node.shell.answers[LIST] = f"{fault.id} {json.dumps(fault.as_json())}\n"


@pytest.mark.usefixtures("state")
def test_an_error_tells_of_the_fault_before_its_own_advice(node: FakeNode) -> None:
    give(node)

    with pytest.raises(LabError) as caught, faults_told(lambda: record(node)):
        raise LabError("worker1 does not answer", hint="`labctl restart worker1`")

    assert caught.value.hint == f"{TOLD}.\n`labctl restart worker1`"


@pytest.mark.usefixtures("state")
def test_one_that_tells_of_it_already_is_left_as_it_is(node: FakeNode) -> None:
    give(node)

    with pytest.raises(LabError) as caught, faults_told(lambda: record(node)):
        raise LabError(TOLD)

    assert caught.value.hint is None


@pytest.mark.usefixtures("state")
def test_without_a_fault_or_a_lab_and_where_the_question_was_wrong_nothing_is_added(node: FakeNode) -> None:
    with pytest.raises(LabError) as caught, faults_told(lambda: record(node)):
        raise LabError("worker1 does not answer")
    assert caught.value.hint is None

    give(node)
    with pytest.raises(UsageError) as asked, faults_told(lambda: record(node)):
        raise UsageError("which node?")
    assert asked.value.hint is None

    def lost() -> LabRecord:
        raise EngineUnreachable("the host's engine is silent")

    for look in (lambda: None, lost):
        with pytest.raises(LabError, match="gone"), faults_told(look):
            raise LabError("gone")


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("kind", "lasts", "refused"),
    [("engine-stop", None, True), ("engine-stop", 600.0, True), ("engine-stop", 60.0, False), ("cut", None, False)],
)
def test_an_engine_that_a_fault_holds_down_for_longer_than_anybody_waits_is_not_waited_for(
    node: FakeNode, kind: str, lasts: float | None, refused: bool
) -> None:
    give(node, kind, None if lasts is None else time.time() + lasts)

    if refused:
        with pytest.raises(LabError, match="fault heal abc123"):
            refuse_held_down(record(node), node, 120.0)
    else:
        refuse_held_down(record(node), node, 120.0)


def test_an_engine_that_answers_is_asked_for_no_fault(node: FakeNode) -> None:
    node.api["GET /_ping"] = {"Server": "Docker/26.1.5 (linux)"}

    refuse_held_down(record(node), node, 120.0)

    assert node.shell.commands == []
