"""A manager's answers as typed views: what is missing in them has a plain value, and order is stable."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused
from labctl.swarm import Port, Service, SwarmNode, SwarmView, Task

from ..nodes import raw_node, raw_service, raw_task


def test_a_manager_is_read_with_its_reachability() -> None:
    node = SwarmNode.of(raw_node("manager1", leader=True, labels={"zone": "a"}))

    assert (node.hostname, node.role, node.state, node.availability) == ("manager1", "manager", "ready", "active")
    assert (node.leader, node.reachability, node.version) == (True, "reachable", 7)
    assert (node.labels, node.engine_version, node.address) == ({"zone": "a"}, "26.1.5", "10.0.0.11")


def test_a_worker_has_no_word_of_a_manager_and_may_have_no_labels() -> None:
    node = SwarmNode.of(raw_node("worker1", labels=None))

    assert (node.leader, node.reachability, node.labels) == (False, "", {})


def test_a_node_that_has_not_described_itself_yet_is_read_too() -> None:
    raw = raw_node("worker1", state="unknown") | {"Description": {}}

    assert (SwarmNode.of(raw).hostname, SwarmNode.of(raw).engine_version) == ("", "")


def test_a_task_that_waits_tells_the_schedulers_own_reason() -> None:
    task = Task.of(raw_task("t1", node="", state="pending", Err="no suitable node (insufficient memory)"))

    assert (task.state, task.node_id) == ("pending", "")
    assert task.reason == "no suitable node (insufficient memory)"
    assert not task.is_over


def test_a_task_that_runs_knows_its_container() -> None:
    task = Task.of(raw_task("t1", ContainerStatus={"ContainerID": "c1", "PID": 7}))

    assert (task.container_id, task.image, task.slot) == ("c1", "nginx:latest@sha256:abc", 1)


@pytest.mark.parametrize(
    ("state", "over"),
    [("new", False), ("pending", False), ("running", False), ("complete", True), ("failed", True), ("rejected", True)],
)
def test_a_task_is_over_in_the_states_that_it_does_not_leave(state: str, over: bool) -> None:
    assert Task.of(raw_task("t1", state=state)).is_over is over


@pytest.mark.parametrize(
    ("mode", "name", "replicas", "is_job"),
    [
        ({"Replicated": {"Replicas": 3}}, "replicated", 3, False),
        ({"Replicated": {"Replicas": 0}}, "replicated", 0, False),
        ({"Replicated": {}}, "replicated", 1, False),
        ({"Global": {}}, "global", 0, False),
        ({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}, "replicated-job", 5, True),
        ({"ReplicatedJob": {"MaxConcurrent": 2}}, "replicated-job", 2, True),
        ({"GlobalJob": {}}, "global-job", 0, True),
    ],
)
def test_the_mode_of_a_service_is_one_of_four(mode: dict[str, Any], name: str, replicas: int, is_job: bool) -> None:
    service = Service.of(raw_service("web", mode=mode))

    assert (service.mode, service.replicas, service.is_job) == (name, replicas, is_job)


def test_a_service_is_read_with_its_ports_networks_and_update() -> None:
    raw = raw_service(
        "web",
        Endpoint={
            "Ports": [{"Protocol": "udp", "TargetPort": 53, "PublishedPort": 1053, "PublishMode": "host"}],
            "VirtualIPs": [{"NetworkID": "n1", "Addr": "10.0.1.2/24"}],
        },
        UpdateStatus={"State": "paused", "Message": "update paused due to failure"},
    )
    raw["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "n1"}]
    raw["Spec"]["Labels"] = {"com.docker.stack.namespace": "vote"}

    service = Service.of(raw)

    assert service.ports == (Port(1053, 53, "udp", "host"),)
    assert (service.networks, service.virtual_ips) == (("n1",), ("10.0.1.2/24",))
    assert (service.update_state, service.update_message) == ("paused", "update paused due to failure")
    assert service.stack == "vote"


def test_a_service_of_which_little_is_said_is_read_too() -> None:
    service = Service.of(raw_service("web", Endpoint={}))

    assert (service.ports, service.networks, service.update_state, service.stack) == ((), (), "", "")


def test_an_image_is_shown_without_its_digest() -> None:
    assert Service.of(raw_service("web")).short_image == "nginx:latest"


def test_networks_of_an_older_engines_service_are_found_where_it_keeps_them() -> None:
    raw = raw_service("web")
    raw["Spec"]["Networks"] = [{"Target": "n1"}]

    assert Service.of(raw).networks == ("n1",)


def test_nodes_come_with_managers_first_and_by_name() -> None:
    names = ["worker2", "manager2", "worker1", "manager1"]
    view = SwarmView(FakeEngine({"GET /nodes": [raw_node(name) for name in names]}))

    assert [node.hostname for node in view.nodes()] == ["manager1", "manager2", "worker1", "worker2"]


def test_services_come_by_name() -> None:
    view = SwarmView(FakeEngine({"GET /services": [raw_service("web"), raw_service("db")]}))

    assert [service.name for service in view.services()] == ["db", "web"]


def test_the_services_of_a_stack_are_asked_for_by_its_label() -> None:
    engine = FakeEngine({"GET /services": []})

    assert SwarmView(engine).services(stack="vote") == []
    assert engine.asked[0].query == {"filters": '{"label": ["com.docker.stack.namespace=vote"]}'}


def test_a_service_that_is_not_there_is_none() -> None:
    assert SwarmView(FakeEngine({"GET /services/web": EngineRefused("not found", status=404)})).service("web") is None


def test_a_service_is_found_by_its_name() -> None:
    found = SwarmView(FakeEngine({"GET /services/web": raw_service("web")})).service("web")

    assert found is not None and found.id == "id-web"


def test_tasks_are_asked_for_by_service_and_by_what_they_shall_be() -> None:
    engine = FakeEngine({"GET /tasks": [raw_task("b", slot=2), raw_task("a", slot=1)]})

    tasks = SwarmView(engine).tasks(["web"], running=True)

    assert [task.id for task in tasks] == ["a", "b"]
    assert engine.asked[0].query == {"filters": '{"service": ["web"], "desired-state": ["running"]}'}


def test_all_tasks_are_asked_for_without_a_filter() -> None:
    engine = FakeEngine({"GET /tasks": []})

    SwarmView(engine).tasks()

    assert engine.asked[0].query == {}
