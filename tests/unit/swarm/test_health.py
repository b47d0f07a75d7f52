"""Health checks: the engine of a task's node knows why Docker stopped it, and is asked no more than it must be."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.errors import EngineUnreachable
from labctl.swarm.health import Health, failing_check
from labctl.swarm.state import Task

from ..nodes import fake_node, raw_task

HOSTS = {"id-worker1": "worker1"}


def task(state: str, error: str = "") -> Task:
    return Task.of(raw_task("t1", state=state, Err=error, ContainerStatus={"ContainerID": "c1", "ExitCode": 0}))


def container(status: str = "unhealthy", *, code: int = 1, output: str = "", test: list[str] | None = None) -> Any:
    log = [{"ExitCode": 0, "Output": "fine"}, {"ExitCode": code, "Output": output}]
    streak = 1 if code else 0
    return {
        "State": {"Health": {"Status": status, "FailingStreak": streak, "Log": log}},
        "Config": {"Healthcheck": {"Test": test or ["CMD-SHELL", "exit 1"]}},
    }


def said(of: Task, found: Any) -> str | None:
    node = fake_node("worker1", api={"GET /containers/c1/json": found})
    return Health([node]).told([of], HOSTS)[0].ended


def test_a_clean_end_after_a_failing_health_check_was_docker_s_doing() -> None:
    assert said(task("complete"), container(output="no such\n  row\n")) == (
        "Docker stopped it as unhealthy, and it ended with exit code 0: health check `exit 1` exited 1: no such row"
    )


def test_a_clean_end_before_the_verdict_is_its_own() -> None:
    assert said(task("complete"), container("starting")) == ""
    assert said(task("complete"), {"State": {}, "Config": {}}) == ""


def test_swarm_s_own_words_come_first() -> None:
    error = "task: non-zero exit (143): dockerexec: unhealthy container"

    assert said(task("failed", error), container()) == f"{error}: health check `exit 1` exited 1"


def test_a_task_that_starts_tells_what_its_health_check_said_last() -> None:
    assert said(task("starting"), container("starting")) == "not healthy yet: health check `exit 1` exited 1"
    assert said(task("starting"), container("starting", code=0)) == ""


@pytest.mark.parametrize("state", ["running", "failed", "preparing"])
def test_others_are_not_asked_about(state: str) -> None:
    node = fake_node("worker1")  # it would refuse what was not scripted

    assert Health([node]).told([task(state)], HOSTS)[0].ended is None


def test_an_engine_that_does_not_answer_tells_nothing() -> None:
    assert said(task("complete"), EngineUnreachable("gone")) is None
    assert Health([fake_node("worker1", state="exited")]).told([task("complete")], HOSTS)[0].ended is None
    assert Health().told([task("complete")], HOSTS)[0].ended is None


def test_what_has_ended_is_asked_about_once() -> None:
    asked: list[object] = []

    def answer(found: object) -> Any:
        asked.append(found)
        return container()

    health = Health([fake_node("worker1", api={"GET /containers/c1/json": answer})])
    for _ in range(3):
        assert health.told([task("complete")], HOSTS)[0].ended
    assert len(asked) == 1


def test_checks_are_shown_as_they_were_written() -> None:
    assert failing_check(container(test=["CMD", "curl", "-f", "http://x/a b"])) == (
        "health check `curl -f 'http://x/a b'` exited 1"
    )
    assert failing_check(container(code=-1, output="Health check exceeded timeout (1s)")) == (
        "health check `exit 1` failed: Health check exceeded timeout (1s)"
    )
