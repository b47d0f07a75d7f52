"""Nodes that come to a living lab and go from it, and what they leave in the swarm's books."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial

from labctl.errors import CommandFailed, UsageError
from labctl.events import Emit, NodeRemoved, Noted
from labctl.node import Node
from labctl.spec import LabSpec
from labctl.swarm import cluster
from labctl.swarm.state import SwarmNode, SwarmView
from labctl.waiting import Pending, wait_until

__all__ = ["label_nodes", "leave_swarm", "remove_ghosts"]

DRAIN_LIMIT = 60.0


def remove_ghosts(manager: Node, members: Sequence[SwarmNode], names: Sequence[str], emit: Emit) -> None:
    """Remove members that are down and that no machine of the lab stands behind any more.

    A node that was made anew joins under a new id, and its old one stays in the list as down for ever
    (moby#24106).
    """
    alive = {member.hostname for member in members if member.state == "ready"}
    for member in members:
        if member.state != "down" or (member.hostname in names and member.hostname not in alive):
            continue
        if member.role == "manager":
            manager.run(["docker", "node", "demote", member.id])
        manager.run(["docker", "node", "rm", "--force", member.id])
        emit(Noted(f"removed the ghost of {member.hostname} from the swarm's list"))


def label_nodes(manager: Node, members: Sequence[SwarmNode], spec: LabSpec) -> None:
    """Give each node the labels that the spec says, where they are missing."""
    ids = {member.hostname: member for member in members if member.state == "ready"}
    for node in spec.all_nodes():
        member = ids.get(node.name)
        missing = {} if member is None else dict(spec.labels_of(node).items() - member.labels.items())
        if missing:
            added = " ".join(f"--label-add {shlex.quote(f'{key}={value}')}" for key, value in sorted(missing.items()))
            manager.expect(f"docker node update {added} {node.name}")


def leave_swarm(node: Node, nodes: Sequence[Node], emit: Emit) -> None:
    """Take a node out of the swarm in order: demote, drain, leave, and off the managers' list.

    A node that is down is only taken off the list. Raises UsageError for the only manager.
    """
    others = [other for other in nodes if other.name != node.name]
    manager = cluster.working_manager(others) if others else None
    if manager is None:
        raise UsageError(f"{node.name} is the lab's last node", hint="`labctl down` removes the lab.")
    view = SwarmView(manager.engine)
    for member in [one for one in view.nodes() if one.hostname == node.name]:
        if member.role == "manager":
            manager.expect(["docker", "node", "demote", member.id])
        if member.state == "ready" and node.is_running:
            _drain(manager, view, member)
            _leave(node)
        wait_until(f"{node.name} being down", partial(_is_down, view, member.id), limit=30, pause=0.1)
        manager.expect(["docker", "node", "rm", "--force", member.id])
    emit(NodeRemoved(node.name))


def _drain(manager: Node, view: SwarmView, member: SwarmNode) -> None:
    manager.expect(["docker", "node", "update", "--availability", "drain", member.id])

    def drained() -> None:
        left = [task for task in view.tasks() if task.node_id == member.id and task.state == "running"]
        if left:
            raise Pending(f"{len(left)} tasks still run on {member.hostname}")

    wait_until(f"{member.hostname} being drained", drained, limit=DRAIN_LIMIT, pause=0.2)


def _leave(node: Node) -> None:
    result = node.run("docker swarm leave --force")
    if not result.ok and cluster.membership(node).state == "active":
        raise CommandFailed(node.name, result)


def _is_down(view: SwarmView, id_: str) -> None:
    state = next((member.state for member in view.nodes() if member.id == id_), "down")
    if state != "down":
        raise Pending(f"it is {state}")
