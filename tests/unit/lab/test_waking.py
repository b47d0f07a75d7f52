"""Nodes that stand still and go on: which of them, and what is said of those that can do neither."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from labctl.backend import FakeBackend
from labctl.engine.fake import Asked, FakeEngine
from labctl.errors import LabError
from labctl.events import Event, Steps, Warned
from labctl.lab import Lab
from labctl.lab.waking import wake
from labctl.node import Node
from labctl.spec import labels

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def lab() -> Lab:
    return lab_in_memory()


def states(lab: Lab) -> list[str]:
    return [node.state for node in lab.refresh().nodes]


def test_a_lab_stands_still_and_goes_on(lab: Lab) -> None:
    assert [node.name for node in lab.suspend()] == ["manager1", "worker1"]
    assert states(lab) == ["paused", "paused"]

    assert [node.name for node in lab.refresh().resume()] == ["manager1", "worker1"]
    assert states(lab) == ["running", "running"]


def test_what_is_so_already_is_fine(lab: Lab) -> None:
    assert lab.resume() == []
    lab.suspend([lab.node("worker1")])

    assert [node.name for node in lab.refresh().suspend()] == ["manager1"]
    assert lab.refresh().suspend() == []


def test_start_lets_what_is_suspended_go_on(lab: Lab) -> None:
    lab.suspend()

    lab.refresh().start()

    assert states(lab) == ["running", "running"]


def test_one_that_is_down_is_neither_suspended_nor_resumed(lab: Lab) -> None:
    lab.stop([lab.node("worker1")])
    lab = lab.refresh()

    with pytest.raises(LabError, match="worker1 is exited, not running") as caught:
        lab.suspend()
    assert caught.value.hint == "`labctl start worker1` starts it."
    assert states(lab) == ["running", "exited"], "nothing was changed"
    with pytest.raises(LabError, match="worker1 is exited, not paused"):
        lab.resume([lab.node("worker1")])


def test_of_a_lab_that_is_half_down_what_is_suspended_goes_on(lab: Lab) -> None:
    lab.stop([lab.node("worker1")])
    lab.suspend([lab.node("manager1")])

    assert [node.name for node in lab.refresh().resume()] == ["manager1"]
    assert states(lab) == ["running", "exited"]


def test_what_stands_beside_the_nodes_waits_for_this_hosts_address_in_their_network(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a start of the host only the machines' start brings that address back."""
    lab.suspend()
    lab = lab.refresh()
    engine = lab.context.engine
    assert isinstance(engine, FakeEngine)
    done: list[str] = []

    def waited(address: str, _refuse: object) -> None:
        done.append(f"waited for {address}")

    def started(asked: Asked) -> None:
        done.append(str(asked))

    ports: dict[str, Any] = {"5000/tcp": [{"HostIp": "10.0.0.1"}, {"HostIp": "127.0.0.1"}], "80/tcp": None}
    engine.script |= {
        "GET /containers/json": [{"Id": "r1", "State": "exited", "Labels": {labels.KIND: "registry"}}],
        "GET /containers/r1/json": {"HostConfig": {"PortBindings": ports}},
        "POST /containers/r1/start": started,
    }
    monkeypatch.setattr("labctl.lab.waking.wait_for_end_here", waited)
    expected = FakeBackend.expect

    def expect(self: FakeBackend, *words: Any) -> None:
        done.append("expected")
        expected(self, *words)

    monkeypatch.setattr(FakeBackend, "expect", expect)

    lab.resume()

    assert done == ["expected", "waited for 10.0.0.1", "POST /containers/r1/start"]


def test_start_begins_only_what_is_down(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    begin = FakeBackend.start

    def start(self: FakeBackend, node: Node) -> Node:
        begun.append(node.name)
        return begin(self, node)

    monkeypatch.setattr(FakeBackend, "start", start)
    lab.stop([lab.node("worker1")])

    lab.start()  # as it was found before: what is down is looked up again

    assert begun == ["worker1"]
    assert states(lab) == ["running", "running"]
    lab.start()
    assert begun == ["worker1"]


def test_a_node_that_is_half_made_is_not_started(lab: Lab) -> None:
    """It has neither keys nor settings: once started it looks like any other, and never answers."""
    backend = lab.backend
    assert isinstance(backend, FakeBackend)
    backend._set(lab.node("worker1"), "created")

    with pytest.raises(LabError, match="worker1: half made, by an `up` that was killed") as caught:
        lab.start()

    assert "`labctl up`" in (caught.value.hint or "")
    assert states(lab) == ["running", "created"]


@pytest.mark.parametrize(("ago", "hangs"), [(1.0, False), (3600.0, True), (None, True)])
def test_an_engine_that_somebody_else_has_just_started_boots_and_does_not_hang(
    monkeypatch: pytest.MonkeyPatch, ago: float | None, hangs: bool
) -> None:
    """It may take connections and say nothing for longer than one that ran already."""
    lab, ran = lab_in_memory(), list[bool]()
    node = replace(lab.node("worker1"), state="running", began=None if ago is None else time.time() - ago)
    lab.backend.hold(replace(lab.record, nodes=(lab.node("manager1"), node)))  # type: ignore[attr-defined]  # a FakeBackend's
    monkeypatch.setattr("labctl.lab.waking.wait_engine", lambda *_, ran=False, **__: ran_before(ran))

    def ran_before(value: bool) -> str:
        ran.append(value)
        return "1"

    lab = lab.refresh()
    wake(lab, [lab.node("worker1")], Steps(lambda _: None, total=3), lab.backend.start)
    assert ran == [hangs]


def test_a_lab_without_a_node_does_not_serve() -> None:
    backend = FakeBackend()
    lab = lab_in_memory(backend)
    for node in lab.nodes:
        backend.remove_node(node)

    with pytest.raises(LabError, match="lab demo has no node"):
        lab.refresh().start()


def test_a_start_of_all_tells_which_nodes_are_gone(heard: list[Event]) -> None:
    backend = FakeBackend()
    lab = lab_in_memory(backend)
    backend.remove_node(lab.node("worker1"))

    lab.refresh().start(on_event=heard.append)
    named = lab.refresh().start("manager1", on_event=heard.append)

    assert named == []
    warned = [event for event in heard if isinstance(event, Warned)]
    assert warned == [Warned("worker1 is gone, so it was not tried: `labctl up` recreates it")]
