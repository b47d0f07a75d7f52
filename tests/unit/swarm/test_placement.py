"""Constraints are read as the scheduler reads them."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.swarm.placement import is_met

NODE: dict[str, Any] = {
    "ID": "abc",
    "Spec": {"Role": "worker", "Labels": {"disk": "ssd"}},
    "Status": {"Addr": "10.0.0.12"},
    "Description": {
        "Hostname": "worker1",
        "Platform": {"Architecture": "x86_64", "OS": "linux"},
        "Engine": {"Labels": {"rack": "a"}},
    },
}
BARE: dict[str, Any] = {
    "ID": "abd",
    "Spec": {"Role": "manager"},
    "Status": {},
    "Description": {},
}


@pytest.mark.parametrize(
    "constraint",
    [
        "node.labels.disk==ssd",
        "node.labels.disk == SSD",
        "node.labels.disk!=hdd",
        "node.labels.zone!=a",
        "node.hostname==worker1",
        "node.role!=manager",
        "node.id==abc",
        "node.ip==10.0.0.12",
        "node.ip==10.0.0.0/24",
        "node.platform.os==linux",
        "node.platform.arch==x86_64",
        "engine.labels.rack==a",
    ],
)
def test_a_constraint_is_met(constraint: str) -> None:
    assert is_met(constraint, NODE)


@pytest.mark.parametrize(
    "constraint",
    [
        "node.labels.disk==hdd",
        "node.labels.Disk==ssd",
        "node.labels.zone==a",
        "node.hostname!=worker1",
        "node.role==manager",
        "node.ip==10.1.0.0/16",
        "node.ip==here",
        "engine.labels.disk==ssd",
        "node.colour==red",
        "node.colour!=red",
        "worker1",
    ],
)
def test_a_constraint_is_not_met(constraint: str) -> None:
    assert not is_met(constraint, NODE)


def test_a_node_that_tells_little_is_read_too() -> None:
    assert is_met("node.role==manager", BARE)
    assert is_met("node.labels.disk!=ssd", BARE)
    assert not is_met("engine.labels.rack==a", BARE)
    assert not is_met("node.hostname==worker1", BARE)
    assert not is_met("node.ip==10.0.0.0/8", BARE)
