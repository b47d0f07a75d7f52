"""Edges: which nodes they lead to, and what is published."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.edge import Edge, Published, _targets, edges, published, refuse_taken, remove_edge
from labctl.engine.fake import FakeEngine
from labctl.errors import NotFoundError, UsageError
from labctl.spec import PortSpec

from .nodes import fake_node


def container(name: str, edge: str, port: int, state: str = "running") -> dict[str, Any]:
    """An edge's container as the engine lists it."""
    marks = {"labctl.lab": "blue", "labctl.kind": "edge", "labctl.edge": edge, "labctl.port": str(port)}
    return {"Names": [f"/{name}"], "Labels": marks, "State": state}


LISTED = [
    container("blue-edge-9000-80", "80/tcp", 9000),
    container("blue-edge-53-53-udp", "53/udp", 41234),
    container("blue-edge-8080-8080", "8080/tcp", 8080, "exited"),
]


def test_edges_are_read_from_their_labels() -> None:
    found = edges(FakeEngine({"GET /containers/json": LISTED}), "blue")

    assert found == [
        Edge("blue-edge-53-53-udp", 53, "udp", 41234, "running", 53),
        Edge("blue-edge-9000-80", 80, "tcp", 9000, "running", 9000),
        Edge("blue-edge-8080-8080", 8080, "tcp", 8080, "exited", 8080),
    ]
    assert [edge.moved for edge in found] == [True, False, False]
    assert [edge.url for edge in found] == ["127.0.0.1:41234/udp", "http://127.0.0.1:9000", "http://127.0.0.1:8080"]


@pytest.mark.parametrize(
    ("said", "removed"),
    [("80", ["blue-edge-9000-80"]), ("9000", ["blue-edge-9000-80"]), ("53/udp", ["blue-edge-53-53-udp"])],
)
def test_an_edge_is_removed_by_either_of_its_ports(said: str, removed: list[str]) -> None:
    script = {"GET /containers/json": LISTED, **{f"DELETE /containers/{name}": None for name in removed}}

    gone = remove_edge(FakeEngine(script), "blue", PortSpec.model_validate(said))

    assert [edge.container for edge in gone] == removed


def test_only_the_edge_that_was_named_is_removed() -> None:
    listed = [container("blue-edge-9000-8085", "8085/tcp", 9000), container("blue-edge-8086-8086", "8086/tcp", 8086)]
    both = [*listed, container("blue-edge-9001-8086", "8086/tcp", 9001)]
    script = {"GET /containers/json": both, "DELETE /containers/blue-edge-9001-8086": None}

    gone = remove_edge(FakeEngine(script), "blue", PortSpec.model_validate("9001:8086"), exact=True)

    assert [edge.container for edge in gone] == ["blue-edge-9001-8086"]
    with pytest.raises(NotFoundError, match="9000:8086"):
        remove_edge(FakeEngine(script), "blue", PortSpec.model_validate("9000:8086"), exact=True)


def test_a_port_that_edges_lead_to_wins_over_one_that_an_edge_is_at() -> None:
    listed = [container("blue-edge-8086-80", "80/tcp", 8086), container("blue-edge-9001-8086", "8086/tcp", 9001)]
    script = {"GET /containers/json": listed, "DELETE /containers/blue-edge-9001-8086": None}

    gone = remove_edge(FakeEngine(script), "blue", PortSpec.model_validate("8086"))

    assert [edge.container for edge in gone] == ["blue-edge-9001-8086"]


def test_an_edge_is_not_led_elsewhere_behind_its_owners_back() -> None:
    engine = FakeEngine({"GET /containers/json": LISTED})

    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9000 leads to the lab's port 80 already"):
        refuse_taken(engine, "blue", PortSpec.model_validate("9000:81"))
    refuse_taken(engine, "blue", PortSpec.model_validate("9000:80"))
    refuse_taken(engine, "blue", PortSpec.model_validate("9002:81"))


def test_an_edge_that_is_not_there_is_said_so() -> None:
    with pytest.raises(NotFoundError, match="no way to a port named '53/tcp'"):
        remove_edge(FakeEngine({"GET /containers/json": LISTED}), "blue", PortSpec.model_validate("53"))


def test_an_edge_that_had_to_move_is_no_edge_at_the_port_that_was_taken() -> None:
    engine = FakeEngine(
        {
            "GET /containers/json": [container("blue-edge-9911-80", "80/tcp", 47731)],
            "DELETE /containers/blue-edge-9911-80": None,
        }
    )

    refuse_taken(engine, "blue", PortSpec.model_validate("9911:81"))
    gone = remove_edge(engine, "blue", PortSpec.model_validate("9911:80"), exact=True)

    assert [(edge.host_port, edge.moved) for edge in gone] == [(47731, True)]


def test_workers_come_first_and_not_more_than_eight() -> None:
    nodes = [fake_node("manager1", address="10.0.0.1")]
    nodes += [fake_node(f"worker{number}", address=f"10.0.0.{number + 1}") for number in range(1, 12)]

    assert _targets(nodes, []) == [f"10.0.0.{number}" for number in range(2, 10)]
    assert _targets(nodes[:3], []) == ["10.0.0.2", "10.0.0.3", "10.0.0.1"]


def test_nodes_that_are_down_are_left_out() -> None:
    nodes = [fake_node("worker1", address="10.0.0.1", state="exited"), fake_node("worker2", address="10.0.0.2")]

    assert _targets(nodes, []) == ["10.0.0.2"]


def test_an_edge_keeps_its_targets_while_half_of_them_run() -> None:
    nodes = [
        fake_node("worker1", address="10.0.0.1", state="exited"),
        fake_node("worker2", address="10.0.0.2"),
        fake_node("worker3", address="10.0.0.3"),
    ]

    assert _targets(nodes, ["10.0.0.1", "10.0.0.2"]) == ["10.0.0.1", "10.0.0.2"]
    assert _targets(nodes, ["10.0.0.1", "10.0.0.9", "10.0.0.2"]) == ["10.0.0.2", "10.0.0.3"]


def test_what_services_publish_is_listed_by_service_and_port() -> None:
    ports = [
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 30080, "PublishMode": "ingress"},
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 81, "PublishMode": "host"},
    ]
    services = [
        {"Spec": {"Name": "web"}, "Endpoint": {"Ports": ports}},
        {"Spec": {"Name": "db"}, "Endpoint": {}},
    ]

    assert published(FakeEngine({"GET /services": services})) == [
        Published("web", 53, "udp", "host", 53),
        Published("web", 30080, "tcp", "ingress", 80),
    ]
