"""Which task is drawn under which node."""

from __future__ import annotations

from typing import Any

from labctl.lab.mapping import SwarmMap, map_of
from labctl.swarm.state import Service, SwarmNode, Task

from ..nodes import fake_node, raw_node, raw_service, raw_task

MEMBERS = [SwarmNode.of(raw_node("manager1", leader=True)), SwarmNode.of(raw_node("worker1", availability="drain"))]


def mapped(*tasks: dict[str, Any], services: list[dict[str, Any]] | None = None) -> SwarmMap:
    known = [Service.of(raw) for raw in services or [raw_service("web"), raw_service("db")]]
    machines = [fake_node("manager1"), fake_node("worker1"), fake_node("bare1")]
    return map_of("lab", machines, MEMBERS, known, [Task.of(raw) for raw in tasks])


def names(swarm: SwarmMap, node: str) -> list[str]:
    column = next(column for column in swarm.nodes if column.name == node)
    return [f"{task.name} {task.state}" for task in column.tasks]


def test_nodes_are_columns_with_role_state_and_availability() -> None:
    columns = mapped().nodes

    assert [(c.name, c.role, c.leader, c.state, c.availability) for c in columns] == [
        ("manager1", "manager", True, "ready", "active"),
        ("worker1", "worker", False, "ready", "drain"),
        ("bare1", "worker", False, "no swarm", ""),
    ]


def test_a_node_that_is_suspended_is_told_as_that_before_the_swarm_misses_it() -> None:
    machines = [fake_node("manager1"), fake_node("worker1", state="paused")]

    assert [column.state for column in map_of("lab", machines, MEMBERS, [], []).nodes] == ["ready", "paused"]


def test_tasks_stand_under_their_node_by_service_and_state() -> None:
    swarm = mapped(
        raw_task("t1", service="id-web", slot=2),
        raw_task("t2", service="id-web", slot=1, state="preparing"),
        raw_task("t3", service="id-db", slot=1),
        raw_task("t4", service="id-web", slot=3, node="id-manager1"),
    )

    assert names(swarm, "worker1") == ["db.1 running", "web.2 running", "web.1 preparing"]
    assert names(swarm, "manager1") == ["web.3 running"]


def test_a_task_of_a_global_service_bears_its_nodes_name() -> None:
    services = [raw_service("agent", mode={"Global": {}})]

    assert names(mapped(raw_task("t", service="id-agent", slot=0), services=services), "worker1") == [
        "agent.worker1 running"
    ]


def test_what_was_replaced_is_not_drawn() -> None:
    old = raw_task("t1", service="id-web", state="shutdown") | {"DesiredState": "shutdown"}
    stopping = raw_task("t2", service="id-web", slot=2) | {"DesiredState": "shutdown"}

    assert names(mapped(old, stopping), "worker1") == ["web.2 running"]


def test_what_a_job_has_done_is_drawn() -> None:
    job = raw_service("job", mode={"ReplicatedJob": {"TotalCompletions": 1}})
    done = raw_task("t1", service="id-job", state="complete") | {"DesiredState": "complete"}

    assert names(mapped(done, services=[job]), "worker1") == ["job.1 complete"]


def test_the_first_task_of_a_replicated_job_has_the_number_0() -> None:
    job = raw_service("job", mode={"ReplicatedJob": {"TotalCompletions": 2}})
    tasks = [raw_task(f"t{slot}", service="id-job", slot=slot) for slot in (0, 1)]

    assert names(mapped(*tasks, services=[job]), "worker1") == ["job.0 running", "job.1 running"]


def test_a_task_that_no_node_took_waits_with_the_schedulers_reason() -> None:
    swarm = mapped(raw_task("t1", service="id-web", node="", state="pending", Err="no suitable node"))

    assert [(task.name, task.reason) for task in swarm.waiting] == [("web.1", "no suitable node")]
    assert names(swarm, "worker1") == []


def test_a_task_whose_service_is_gone_is_left_out() -> None:
    assert names(mapped(raw_task("t1", service="id-gone")), "worker1") == []
