"""Nodes that come to a living lab and go from it, and what they leave in the swarm's books."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from labctl.concurrent import each
from labctl.engine.errors import lacks_majority
from labctl.errors import CommandFailed, LabctlError, LabError, QuorumLost, UsageError
from labctl.events import Emit, NodeRemoved, Noted, Warned, quiet
from labctl.node import Node
from labctl.swarm import cluster
from labctl.swarm.state import SwarmNode, SwarmView
from labctl.waiting import Pending, wait_until
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["label_nodes", "leave_if_joined", "leave_swarm", "members_of", "remove_ghosts", "strike_off", "taking_tasks"]

DRAIN_LIMIT = 60.0
LEAVE_LIMIT = 60.0  # seconds that a node may take to leave its swarm; usually one
NO_MAJORITY = (
    "too few managers answer to agree on that a node goes: one that is down or suspended has its vote still",
    "`labctl start` and `labctl resume` bring managers back; then it goes.",
)
CHANGE_LIMIT = 30.0  # seconds that a change of a member may be refused because another is under way


def remove_ghosts(manager: Node, nodes: Sequence[Node], emit: Emit, *, joined: Collection[str] = ()) -> None:
    """Remove members that no machine of the lab stands behind any more. `nodes` are all machines, running or not.

    A node that was recreated joins under a new id, and its old one stays in the list for ever, as ready for
    the first seconds and as down from then on (moby#24106). So it is the ids that are compared: those that the
    running nodes' own engines tell. A node that is stopped keeps its place. Nobody is asked when all members are of
    nodes that are known to have `joined`, and each is in the list once.
    """
    stopped = {node.name for node in nodes if not node.is_running}
    members = [member for member in SwarmView(manager.engine).nodes() if member.hostname not in stopped]
    listed = Counter(member.hostname for member in members)
    if all(times == 1 and name in joined for name, times in listed.items()):
        return
    running = [node for node in nodes if node.is_running]
    alive = set(each(running, lambda node: cluster.membership(node).node_id))
    for member in members:
        if member.id in alive:
            continue
        if member.role == "manager":
            manager.run(["docker", "node", "demote", member.id])
        manager.run(["docker", "node", "rm", "--force", member.id])
        emit(Noted(f"removed the ghost of {member.hostname} from the swarm's list"))


def members_of(spec: LabSpec, manager: Node, nodes: Sequence[Node]) -> list[Node]:
    """Return the running nodes that are or shall be in the manager's swarm: bare ones only if somebody joined them."""
    running = [node for node in nodes if node.is_running]
    if all(spec.joins(node.name) for node in running):
        return running
    known = {member.id for member in SwarmView(manager.engine).nodes()}
    return [node for node in running if spec.joins(node.name) or cluster.membership(node).node_id in known]


def taking_tasks(manager: Node, nodes: Sequence[Node], emit: Emit = quiet) -> list[Node]:
    """Return the nodes without those that the swarm gives no tasks to (drained, paused), and tell of these.

    Such a node cannot be tried with a service, and need not be.
    """
    members = SwarmView(manager.engine).nodes()
    idle = {member.hostname: member.availability for member in members if member.availability != "active"}
    left_out = [node.name for node in nodes if node.name in idle]
    if left_out:
        emit(Noted(f"not tried, since they take no tasks: {', '.join(f'{name} ({idle[name]})' for name in left_out)}"))
    return [node for node in nodes if node.name not in idle]


def label_nodes(manager: Node, members: Sequence[SwarmNode], spec: LabSpec) -> None:
    """Give each node the labels that the spec says, where they are missing."""
    ids = {member.hostname: member for member in members if member.state == "ready"}
    for node in spec.all_nodes():
        member = ids.get(node.name)
        missing = {} if member is None else dict(spec.labels_of(node).items() - member.labels.items())
        if missing:
            added = " ".join(f"--label-add {shlex.quote(f'{key}={value}')}" for key, value in sorted(missing.items()))
            manager.expect(f"docker node update {added} {node.name}")


def leave_swarm(node: Node, stay: Sequence[Node], *, force: bool = False, emit: Emit = quiet) -> None:
    """Take a node out of the swarm of those that stay, in order: demote, drain, leave, and off the managers' list.

    A node that is down, or has left by itself, is only taken off the list. With `force`, one that cannot leave is left
    as it is. Raises UsageError for the only manager.
    """
    try:
        if node.is_running and cluster.membership(node).state == "inactive":
            _strike_one_that_left(node.name, stay)
        else:
            _take_out(node, stay)
    except LabctlError as problem:
        if not force:
            raise
        emit(Warned(f"{node.name} did not leave the swarm in order: {problem.message}"))
    emit(NodeRemoved(node.name))


def strike_off(name: str, stay: Sequence[Node], *, force: bool = False, emit: Emit = quiet) -> None:
    """Take a node whose machine is gone off the list of those that stay."""
    try:
        _cross_out(cluster.working_manager(stay), name)
    except LabctlError as problem:
        if not force:
            raise
        emit(Warned(f"{name} is still on the swarm's list: {problem.message}"))
    emit(NodeRemoved(name))


def _strike_one_that_left(name: str, stay: Sequence[Node]) -> None:
    """A manager that left keeps its vote until it is off the list; where there is no swarm, there is no list."""
    try:
        manager = cluster.working_manager(stay)
    except QuorumLost:
        raise
    except LabError:
        return
    _cross_out(manager, name)


def _cross_out(manager: Node, name: str) -> None:
    """Take all members of that name off the list; a manager gives its vote back first."""
    for member in [one for one in SwarmView(manager.engine).nodes() if one.hostname == name]:
        if member.role == "manager":
            _change(manager, "demote", member.id)
        _change(manager, "rm", "--force", member.id)


def leave_if_joined(node: Node, stay: Sequence[Node]) -> None:
    """Take a node out of the swarm of those that stay, where it got so far as to join it."""
    if node.is_running and cluster.membership(node).state == "active":
        _take_out(node, stay)


def _take_out(node: Node, stay: Sequence[Node]) -> None:
    manager = _staying_manager(node, stay)
    view = SwarmView(manager.engine)
    for member in [one for one in view.nodes() if one.hostname == node.name]:
        if member.role == "manager":
            _change(manager, "demote", member.id)
        if member.state == "ready" and node.is_running:
            _drain(manager, view, member)
            _leave(node)
        # Forced, because the managers hold a node that has left for ready until it misses its heartbeats (15 s).
        _change(manager, "rm", "--force", member.id)


def _change(manager: Node, *words: str) -> None:
    """Change a member by `docker node ...`. A change that meets one of the swarm's own is refused: it is tried again.

    A demotion goes on behind the command's back, and changes the node's record once more when it is through.
    """

    def attempt() -> None:
        try:
            manager.expect(["docker", "node", *words])
        except CommandFailed as failed:
            if "out of sequence" in failed.message or "must be demoted" in failed.message:
                raise Pending(failed.message) from None
            if lacks_majority(failed.message):
                raise QuorumLost(NO_MAJORITY[0], hint=NO_MAJORITY[1]) from failed
            raise

    wait_until(f"docker node {words[0]}", attempt, limit=CHANGE_LIMIT, pause=0.1)


def _staying_manager(node: Node, stay: Sequence[Node]) -> Node:
    try:
        return cluster.working_manager(stay)
    except QuorumLost:
        raise
    except LabError:
        if not node.is_running or not cluster.membership(node).is_manager:
            raise
        raise UsageError(
            f"{node.name} is the swarm's only manager",
            hint="`labctl docker -- node promote NODE` makes another one first; `labctl down` removes the whole lab.",
        ) from None


def _drain(manager: Node, view: SwarmView, member: SwarmNode) -> None:
    _change(manager, "update", "--availability", "drain", member.id)

    def drained() -> None:
        left = [task for task in view.tasks() if task.node_id == member.id and task.state == "running"]
        if left:
            raise Pending(f"{counted(len(left), 'task still runs', 'tasks still run')} on {member.hostname}")

    wait_until(f"{member.hostname} being drained", drained, limit=DRAIN_LIMIT, pause=0.2)


def _leave(node: Node) -> None:
    """Let the node leave its swarm; an engine that is busy stopping tasks gives up, and is asked again."""

    def attempt() -> None:
        result = node.run("docker swarm leave --force")
        if not result.ok and cluster.membership(node).state == "active":
            failed = CommandFailed(node.name, result)
            raise Pending(failed.message) if "deadline exceeded" in failed.message else failed

    wait_until(f"{node.name} leaving its swarm", attempt, limit=LEAVE_LIMIT, pause=0.5)
