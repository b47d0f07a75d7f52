"""Forming a swarm: what a person would type, asked of the nodes' own engines.

Not typed, because the host's `ps` and its engine's events show each command in a node, with the tokens in it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import EngineRefused, LabctlError, LabError, QuorumLost, SwarmLocked
from labctl.events import CommandShown, Emit, NodeJoined, quiet
from labctl.node import Node
from labctl.swarm.asking import Asking
from labctl.swarm.membership import Membership, membership
from labctl.swarm.state import SwarmNode, SwarmView
from labctl.swarm.stuck import Stuck
from labctl.swarm.voters import is_no_manager, voters_of
from labctl.waiting import Clock, Pending, stretched, unhurried, wait_until
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.spec import Role

__all__ = [
    "DECISION_LIMIT",
    "Membership",
    "Tokens",
    "init",
    "join",
    "leave",
    "lost_for_good",
    "membership",
    "tokens",
    "wait_ready",
    "working_manager",
]

JOIN_PORT = 2377
JOIN_LIMIT = 120.0  # seconds; a join that answered "will continue in the background" may take that long
READY_LIMIT = 120.0
DECISION_LIMIT = 3.0  # seconds that managers without a majority are given to say so
ELECTION_LIMIT = 20.0  # seconds that managers with a majority may take to choose a leader, when they have lost theirs
NEXT_AFTER = 0.5  # seconds after which a manager that is silent is no reason not to ask the next
RPC = re.compile(r"rpc error: code = \w+ desc = ")


@dataclass(frozen=True)
class Tokens:
    """The secrets that let a node join; never in a log, an event or an error."""

    worker: str
    manager: str

    def of(self, role: str) -> str:
        """The token for a role."""
        return self.manager if role == "manager" else self.worker


def init(manager: Node, emit: Emit = quiet) -> None:
    """Make a new swarm on the node. Its own address is told, so that several addresses are no question."""
    manager.show(CommandShown(manager.name, f"docker swarm init {_own_flags(manager)}"))
    manager.engine.post("/swarm/init", {**_own_addresses(manager), "Spec": {}})
    emit(NodeJoined(manager.name, "manager"))


def leave(node: Node) -> None:
    """Take the node out of its swarm, whatever that says to it; one that is in none is fine."""
    node.show(CommandShown(node.name, "docker swarm leave --force"))
    try:
        node.engine.post("/swarm/leave", force="true")
    except EngineRefused as refused:
        if "not part of a swarm" not in refused.message:
            raise


def tokens(manager: Node) -> Tokens:
    """Read the join tokens from a manager's API, where no argv and no log shows them."""
    found = manager.engine.get_json("/swarm")["JoinTokens"]
    return Tokens(found["Worker"], found["Manager"])


def join(node: Node, manager: Node, token: str, emit: Emit = quiet) -> None:
    """Let the node join the manager's swarm; the token's kind decides as what."""
    remote = f"{manager.address}:{JOIN_PORT}"
    node.show(CommandShown(node.name, f"docker swarm join --token *** {_own_flags(node)} {remote}"))
    try:
        node.engine.post("/swarm/join", {**_own_addresses(node), "RemoteAddrs": [remote], "JoinToken": token})
    except EngineRefused as refused:
        if "continue in the background" not in refused.message:
            said = refused.message.replace(token, "***")
            raise EngineRefused(said, status=refused.status, hint=refused.hint) from None
        wait_until(f"{node.name} joining", lambda: _joined(node), limit=JOIN_LIMIT, pause=0.5)
    emit(NodeJoined(node.name, node.role))


def _own_flags(node: Node) -> str:
    return f"--advertise-addr {node.address} --data-path-addr {node.address}"


def _own_addresses(node: Node) -> dict[str, str]:
    """What the flags say, and what `docker swarm` adds by itself."""
    return {"ListenAddr": f"0.0.0.0:{JOIN_PORT}", "AdvertiseAddr": node.address, "DataPathAddr": node.address}


def _joined(node: Node) -> None:
    seen = membership(node)
    if seen.state != "active":
        raise Pending(f"{seen.state}{': ' + seen.error if seen.error else ''}")


def working_manager(
    nodes: Sequence[Node],
    *,
    limit: float | None = None,
    noted: Callable[[str], None] | None = None,
    gone: Mapping[str, Role] | None = None,
) -> Node:
    """Return a manager that can change the swarm; the nodes made as managers are asked first.

    A swarm that can have a leader is given ELECTION_LIMIT seconds to choose one, and `noted` hears that this takes
    a while; with `limit` nobody is waited for longer than that. `gone` is as in `voters_of`.
    Raises QuorumLost when managers answer and none can, SwarmLocked for locked ones, LabError when none answers at all.
    """
    soon = min(unhurried(DECISION_LIMIT), longest := unhurried(limit or ELECTION_LIMIT))
    began = time.monotonic()
    asking = Asking()
    running = [node for node in nodes if node.is_running]
    for node in sorted(running, key=lambda n: not n.is_manager):
        left = began + soon - time.monotonic()
        if left <= 0:
            break
        asking.ask(node)
        if found := asking.wait(min(stretched(NEXT_AFTER), left), for_last=True):
            return found
    if found := asking.wait(began + soon - time.monotonic()):
        return found
    if locked := _locked(asking.problems(soon)):
        raise SwarmLocked(locked)
    voters = voters_of(nodes, asking.problems(soon), gone)
    if voters.majority_left:
        raise lost_for_good(voters.left, voters.lost, of=len(voters.left) + len(voters.lost))
    # Managers choose a leader when most of them are there to vote.
    if voters.may_elect and longest > soon:
        soon = longest
        if noted is not None and not asking.is_over:
            noted(f"no manager answers yet: they may be choosing a leader, and have {ELECTION_LIMIT:g} s for it")
        if found := asking.wait(began + longest - time.monotonic()):
            return found
    raise _no_manager(nodes, asking.problems(soon), may_elect=voters.may_elect)


def lost_for_good(left: Sequence[Node], gone: Sequence[str], *, of: int) -> QuorumLost:
    """The error for a swarm that has lost most of its managers and gets them back by nothing, with the cure."""
    first = left[0]
    flags = f"--force-new-cluster --advertise-addr {first.address}"
    are = "is" if len(left) == 1 else "are"
    return QuorumLost(
        f"{len(left)} of the swarm's {counted(of, 'manager')} {are} left ({', '.join(node.name for node in left)}), "
        f"which is no majority, and {', '.join(gone)} cannot come back into it: nobody can change the swarm",
        hint=f"`labctl ssh {first.name} docker swarm init {flags}` makes {first.name} its only manager and keeps its "
        "services; then `labctl up` lets the others join again.",
        for_good=True,
    )


def _locked(problems: Sequence[tuple[Node, LabctlError]]) -> list[str]:
    """The managers that wait for the swarm's key: no other can be waited for before they have it."""
    refused = [(node, problem) for node, problem in problems if isinstance(problem, EngineRefused)]
    return [node.name for node, problem in refused if "needs to be unlocked" in problem.message]


def _no_manager(nodes: Sequence[Node], problems: Sequence[tuple[Node, LabctlError]], *, may_elect: bool) -> LabError:
    """The error that tells why no manager can change the swarm."""
    reasons: list[str] = []
    mends: list[str | None] = []
    lost = False
    for node, problem in problems:
        if not isinstance(problem, EngineRefused):
            # Whether a worker answers says nothing about the managers.
            if node.is_manager:
                reasons.append(problem.message)
                mends.append(problem.hint)
        elif is_no_manager(problem):
            if node.is_manager:
                reasons.append(f"{node.name} is not a manager of a swarm")
        else:
            lost = lost or problem.status in (500, 503)
            reasons.append(f"{node.name}: {RPC.sub('', problem.message)}")
    down = [f"{node.name} is {node.state}" for node in nodes if node.is_manager and not node.is_running]
    said = "; ".join(dict.fromkeys([*reasons, *down])) or "there is no manager"
    mend = next(filter(None, mends), None)
    if lost:
        return QuorumLost(f"no manager can change the swarm: {said}", hint=mend or _quorum_mend(may_elect=may_elect))
    usual = "`labctl start` starts what is down; `labctl up` mends the lab."
    if not any(node.is_manager for node in nodes):
        usual = "`labctl status` tells what helps."  # `up` may be refused: only a new lab has a swarm again
    return LabError(f"no manager answers: {said}", hint=mend or usual)


def _quorum_mend(*, may_elect: bool) -> str:
    if may_elect:
        slow = f"They may be choosing a leader, which takes up to {ELECTION_LIMIT:g} s."
        return f"{slow} If none comes: `labctl restart @manager`."
    return "Start the managers that are down: `labctl start`. If they are lost: `labctl down` and `labctl up`."


def wait_ready(
    manager: Node,
    names: Sequence[str],
    *,
    nodes: Sequence[Node],
    limit: float = READY_LIMIT,
    noted: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> list[SwarmNode]:
    """Wait until the swarm has a leader and every named node is ready, and return the nodes.

    `nodes` are the lab's: the engines of those that are not ready are asked, too. Raises LabError, with what helps,
    for one that will not be.
    """
    view = SwarmView(manager.engine)
    stuck = Stuck(nodes, clock)

    def look() -> list[SwarmNode]:
        try:
            nodes = view.nodes()
        except LabctlError as problem:
            raise Pending(problem.message) from None
        state = {node.hostname: node.state for node in nodes if node.state == "ready"}
        missing = [name for name in names if name not in state]
        if missing:
            stuck.check(missing)
            seen = {node.hostname: node.state for node in nodes}
            raise Pending(", ".join(f"{name} {seen.get(name, 'unknown to the manager')}" for name in missing[:5]))
        if not any(node.leader for node in nodes):
            raise Pending("no leader")
        return nodes

    hint = "`labctl status` tells what helps."
    return wait_until(
        "all nodes being ready", look, limit=limit, pause=0.05, longest_pause=0.5, clock=clock, noted=noted, hint=hint
    )
