"""A lab that was started is ready when the tasks of its services have containers."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused
from labctl.events import Event, Warned
from labctl.lab import preparing
from labctl.lab.preparing import await_prepared

from ..nodes import raw_node, raw_task

NODES = [raw_node("manager1"), raw_node("worker1"), raw_node("worker2", state="down")]


def looks(*tasks: list[dict[str, Any]]) -> tuple[FakeEngine, list[int]]:
    """An engine that tells these tasks, each time the next ones, and how often it was asked."""
    count = [0]

    def answer(_asked: Asked) -> Answer:
        count[0] += 1
        return tasks[min(count[0], len(tasks)) - 1]

    return FakeEngine({"GET /nodes": NODES, "GET /tasks": answer}), count


def test_tasks_that_are_being_prepared_are_waited_for(monkeypatch: pytest.MonkeyPatch, heard: list[Event]) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    begun = raw_task("t1", state="preparing")
    engine, count = looks([begun], [begun], [begun], [raw_task("t1")])
    notes: list[str] = []

    await_prepared(engine, notes.append, heard.append)

    assert count == [4]
    assert heard == []


@pytest.mark.parametrize(
    "task",
    [
        raw_task("t1"),
        raw_task("t1", state="starting"),
        raw_task("t1", state="pending", node=""),
        raw_task("t1", state="preparing", node="id-worker2"),
        raw_task("t1", state="preparing") | {"DesiredState": "shutdown"},
    ],
    ids=["running", "has its container", "has no node", "on a node that is down", "is not wanted"],
)
def test_others_are_not(task: dict[str, Any], heard: list[Event]) -> None:
    engine, count = looks([task])

    await_prepared(engine, lambda _: None, heard.append)

    assert count == [2]
    assert heard == []


def test_one_that_fails_again_and_again_holds_up_nobody(heard: list[Event]) -> None:
    engine, _ = looks(*([raw_task(f"t{number}", state="preparing")] for number in range(9)))

    await_prepared(engine, lambda _: None, heard.append)

    assert heard == []


def test_one_that_takes_longer_is_told_with_its_node(monkeypatch: pytest.MonkeyPatch, heard: list[Event]) -> None:
    monkeypatch.setattr(preparing, "LIMIT", 0.05)
    engine, _ = looks([raw_task("t1", state="preparing"), raw_task("t2", state="assigned", node="id-manager1")])

    await_prepared(engine, lambda _: None, heard.append)

    (told,) = heard
    assert isinstance(told, Warned)
    assert "2 tasks are being prepared on manager1, worker1, after" in str(told)


def test_a_manager_that_does_not_answer_is_no_failure(heard: list[Event]) -> None:
    await_prepared(FakeEngine({"GET /nodes": EngineRefused("no leader", status=500)}), lambda _: None, heard.append)

    assert heard == []
