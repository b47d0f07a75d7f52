"""Which nodes a command means, and how the Docker CLI is led to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError, NodeDown

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.node import Node

__all__ = [
    "DOCKER_VARIABLES",
    "client_node",
    "environment_of",
    "first_node",
    "reachable",
    "running",
]

# What leads the Docker CLI to an engine, in docker-machine's order.
DOCKER_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")


def first_node(lab: Lab, name: str | None) -> Node:
    """Return the node of that name; where none is said the first one, which is a manager where the lab has one.

    Raises NotFoundError with the nearest name, LabError for a lab without nodes.
    """
    if name is not None:
        return lab.node(name)
    if not lab.nodes:
        raise LabError(f"lab {lab.name} has no nodes", hint=f"`labctl up -l {lab.name}` makes them.")
    return lab.nodes[0]


def running(node: Node) -> Node:
    """Return the node. Raises NodeDown when it does not run."""
    if not node.is_running:
        raise NodeDown(node.name, node.state)
    return node


def reachable(lab: Lab, name: str | None) -> Node:
    """Return a node whose engine answers, found as by `first_node`. Raises NodeDown or EngineUnreachable."""
    node = first_node(lab, name)
    node.engine.version()
    return node


def client_node(lab: Lab, name: str | None) -> Node:
    """Return the node whose engine a Docker command is for: the one named, or a manager that can change the swarm.

    In a lab without a swarm it is the first node that runs. Raises NodeDown, QuorumLost or LabError.
    """
    if name is not None:
        return running(lab.node(name))
    try:
        return lab.manager()
    except LabError:
        if lab.spec.swarm == "formed":
            raise
    return next((node for node in lab.nodes if node.is_running), None) or running(first_node(lab, None))


def environment_of(node: Node) -> dict[str, str]:
    """Return the variables that lead the Docker CLI to a node's engine."""
    certs = node.endpoint.tls
    return dict(zip(DOCKER_VARIABLES, ("1", node.endpoint.url, str(certs) if certs else "", node.name), strict=True))
