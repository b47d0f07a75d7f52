"""Nodes whose engine and transport answer what a test scripts, and the API's JSON to script them with."""

from __future__ import annotations

from typing import Any

from labctl.engine import Endpoint
from labctl.engine.fake import Answer, FakeEngine
from labctl.faults.innode import LIST
from labctl.lab.neighbours import ASK
from labctl.node import Node
from labctl.spec import Role
from labctl.transport import FakeTransport

__all__ = ["FakeNode", "fake_node", "raw_info", "raw_node", "raw_service", "raw_task"]


class FakeNode(Node):
    """A node with its scripts at hand: `api` of "GET /nodes" -> answer, `shell` of command -> answer."""

    api: dict[str, Answer]
    shell: FakeTransport
    asked: FakeEngine


def fake_node(
    name: str = "manager1",
    *,
    role: Role | None = None,
    state: str = "running",
    address: str = "10.0.0.11",
    api: dict[str, Answer] | None = None,
) -> FakeNode:
    """Return a node without faults, which finds the others; its role follows from its name where none is given."""
    engine, transport = FakeEngine(api, where=f"the engine of {name}"), FakeTransport({LIST: "", ASK: ""})
    node = FakeNode(
        lab="lab",
        name=name,
        role=role or ("manager" if name.startswith("manager") else "worker"),
        address=address,
        state=state,
        endpoint=Endpoint("tcp://127.0.0.1:1"),
        transport=transport,
        open_engine=lambda _endpoint, _where: engine,
    )
    node.api, node.shell, node.asked = engine.script, transport, engine
    return node


def raw_node(
    hostname: str,
    *,
    id_: str = "",
    role: str = "",
    state: str = "ready",
    availability: str = "active",
    leader: bool = False,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    """One element of GET /nodes."""
    role = role or ("manager" if hostname.startswith("manager") else "worker")
    found: dict[str, Any] = {
        "ID": id_ or f"id-{hostname}",
        "Version": {"Index": 7},
        "Spec": {"Role": role, "Availability": availability, "Labels": labels},
        "Description": {"Hostname": hostname, "Engine": {"EngineVersion": "26.1.5"}},
        "Status": {"State": state, "Addr": "10.0.0.11"},
    }
    if role == "manager":
        found["ManagerStatus"] = {"Reachability": "reachable", "Addr": "10.0.0.11:2377", "Leader": leader}
    return found


def raw_task(
    id_: str, *, service: str = "s1", node: str = "id-worker1", state: str = "running", slot: int = 1, **status: Any
) -> dict[str, Any]:
    """One element of GET /tasks; `status` adds to its Status."""
    return {
        "ID": id_,
        "ServiceID": service,
        "Slot": slot,
        "NodeID": node,
        "DesiredState": "running",
        "Spec": {"ContainerSpec": {"Image": "nginx:latest@sha256:abc"}},
        "Status": {"State": state, **status},
    }


def raw_service(name: str, *, mode: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One element of GET /services; `more` adds to its top level."""
    return {
        "ID": f"id-{name}",
        "Spec": {
            "Name": name,
            "Mode": mode or {"Replicated": {"Replicas": 2}},
            "TaskTemplate": {"ContainerSpec": {"Image": "nginx:latest@sha256:abc"}},
        },
        **more,
    }


RAW_INGRESS: dict[str, Any] = {"Id": "id-ingress", "Name": "ingress", "Driver": "overlay", "Ingress": True}
ON_INGRESS: dict[str, Any] = {**RAW_INGRESS, "Containers": {"ingress-sbox": {"Name": "ingress-endpoint"}}}


def raw_info(
    state: str = "active", *, node_id: str = "n1", manager: bool = False, error: str = "", cluster: str = ""
) -> dict[str, Any]:
    """GET /info, as far as it tells of the swarm; only managers know the `cluster`'s id."""
    swarm: dict[str, Any] = {"LocalNodeState": state, "NodeID": node_id, "ControlAvailable": manager, "Error": error}
    return {"Swarm": {**swarm, "Cluster": {"ID": cluster}} if cluster else swarm}
