"""Forming a swarm: the commands that a person would type, on the nodes themselves."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labctl.errors import CommandFailed, EngineRefused, EngineUnreachable, LabctlError, LabError, NodeDown, QuorumLost
from labctl.events import Emit, NodeJoined, quiet
from labctl.node import Node
from labctl.swarm.state import SwarmNode, SwarmView
from labctl.waiting import Pending, stretched, wait_until

__all__ = ["Membership", "Tokens", "init", "join", "membership", "tokens", "wait_ready", "working_manager"]

JOIN_PORT = 2377
JOIN_LIMIT = 120.0  # seconds; a join that answered "will continue in the background" may take that long
READY_LIMIT = 120.0
DECISION_LIMIT = 3.0  # seconds that managers without a majority are given to say so
RPC = re.compile(r"rpc error: code = \w+ desc = ")


@dataclass(frozen=True)
class Tokens:
    """The secrets that let a node join; never in a log, an event or an error."""

    worker: str
    manager: str

    def of(self, role: str) -> str:
        """The token for a role."""
        return self.manager if role == "manager" else self.worker


@dataclass(frozen=True)
class Membership:
    """What a node's own engine says: `state` is inactive, pending, active, locked or error."""

    state: str
    node_id: str
    is_manager: bool
    cluster_id: str
    error: str


def membership(node: Node) -> Membership:
    """Ask the node's engine whether it is in a swarm (GET /info)."""
    swarm = node.engine.info()["Swarm"]
    return Membership(
        state=swarm.get("LocalNodeState", "inactive"),
        node_id=swarm.get("NodeID", ""),
        is_manager=bool(swarm.get("ControlAvailable")),
        cluster_id=(swarm.get("Cluster") or {}).get("ID", ""),
        error=swarm.get("Error", ""),
    )


def init(manager: Node, emit: Emit = quiet) -> None:
    """Make a new swarm on the node. Its own address is told, so that several addresses are no question."""
    manager.expect(
        f"docker swarm init --advertise-addr {manager.address} --data-path-addr {manager.address}", limit=JOIN_LIMIT
    )
    emit(NodeJoined(manager.name, "manager"))


def tokens(manager: Node) -> Tokens:
    """Read the join tokens from a manager's API, where no argv and no log shows them."""
    found = manager.engine.get_json("/swarm")["JoinTokens"]
    return Tokens(found["Worker"], found["Manager"])


def join(node: Node, manager: Node, token: str, emit: Emit = quiet) -> None:
    """Let the node join the manager's swarm; the token's kind decides as what."""
    command = (
        f"docker swarm join --token {token} --advertise-addr {node.address} --data-path-addr {node.address}"
        f" {manager.address}:{JOIN_PORT}"
    )
    result = node.run(command, limit=JOIN_LIMIT, hide=(token,))
    if not result.ok and "continue in the background" not in result.stderr:
        raise CommandFailed(node.name, result)
    if not result.ok:
        wait_until(f"{node.name} joining", lambda: _joined(node), limit=JOIN_LIMIT, pause=0.5)
    emit(NodeJoined(node.name, node.role))


def _joined(node: Node) -> None:
    seen = membership(node)
    if seen.state != "active":
        raise Pending(f"{seen.state}{': ' + seen.error if seen.error else ''}")


def working_manager(nodes: Sequence[Node]) -> Node:
    """Return a manager that can change the swarm; the nodes made as managers are asked first.

    Raises QuorumLost when managers answer and none can, LabError when none answers at all.
    """
    reasons: list[str] = []
    mends: list[str | None] = []
    lost = False
    running = [node for node in nodes if node.is_running]
    limit = _decision_limit(nodes)
    for node in sorted(running, key=lambda n: not n.is_manager):
        try:
            _ask_swarm(node, limit)
        except EngineRefused as refused:
            if "not a swarm manager" in refused.message or "not part of a swarm" in refused.message:
                if node.is_manager:
                    reasons.append(f"{node.name} is not a manager of a swarm")
                continue
            lost = lost or refused.status in (500, 503)
            reasons.append(f"{node.name}: {RPC.sub('', refused.message)}")
        except (EngineUnreachable, NodeDown) as problem:
            # Whether a worker answers says nothing about the managers.
            if node.is_manager:
                reasons.append(problem.message)
                mends.append(problem.hint)
        else:
            return node
    down = [f"{node.name} is {node.state}" for node in nodes if node.is_manager and not node.is_running]
    said = "; ".join([*reasons, *down]) or "there is no manager"
    if lost:
        raise QuorumLost(
            f"no manager can change the swarm: {said}",
            hint="Start the managers that are down: `labctl start`. If they are lost: `labctl down` and `labctl up`.",
        )
    mend = next(filter(None, mends), None) or "`labctl start` starts what is down; `labctl up` mends the lab."
    raise LabError(f"no manager answers: {said}", hint=mend)


def _decision_limit(nodes: Sequence[Node]) -> float | None:
    """Managers without a majority answer after 20 s only; those that have one may be about to elect a leader."""
    managers = [node for node in nodes if node.is_manager]
    alive = sum(node.is_running for node in managers)
    return stretched(DECISION_LIMIT) if 2 * alive <= len(managers) else None


def _ask_swarm(node: Node, limit: float | None) -> None:
    """Ask the node for its swarm; it must answer within the limit, or is taken for a manager that cannot decide."""
    if limit is None:
        node.engine.get_json("/swarm")
        return
    said: queue.SimpleQueue[LabctlError | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            node.engine.get_json("/swarm")
        except LabctlError as problem:
            said.put(problem)
        else:
            said.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = said.get(timeout=limit)
    except queue.Empty:
        problem = EngineRefused(f"it reaches no majority of the managers within {limit:g} s", status=503)
    if problem is not None:
        raise problem


def wait_ready(
    manager: Node, names: Sequence[str], *, limit: float = READY_LIMIT, noted: Callable[[str], None] | None = None
) -> list[SwarmNode]:
    """Wait until the swarm has a leader and every named node is ready, and return the nodes."""
    view = SwarmView(manager.engine)

    def look() -> list[SwarmNode]:
        try:
            nodes = view.nodes()
        except LabctlError as problem:
            raise Pending(problem.message) from None
        state = {node.hostname: node.state for node in nodes if node.state == "ready"}
        missing = [name for name in names if name not in state]
        if missing:
            seen = {node.hostname: node.state for node in nodes}
            raise Pending(", ".join(f"{name} {seen.get(name, 'unknown to the manager')}" for name in missing[:5]))
        if not any(node.leader for node in nodes):
            raise Pending("no leader")
        return nodes

    return wait_until("all nodes being ready", look, limit=limit, pause=0.05, longest_pause=0.5, noted=noted)
