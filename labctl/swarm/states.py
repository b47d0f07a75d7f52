"""What nodes' own engines say of their swarm: what keeps a node out of it, each in a line with its way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from labctl.concurrent import within
from labctl.node import Node
from labctl.swarm.membership import Membership, membership
from labctl.swarm.state import SwarmNode
from labctl.waiting import unhurried

__all__ = ["is_orphaned", "leavers_of", "memberships", "state_problems", "trouble_of"]

ASKED_FOR = 5.0  # seconds; an engine that hangs shall not hold up what is told of the others


def memberships(nodes: Sequence[Node], *, limit: float = ASKED_FOR) -> dict[str, Membership]:
    """What each node's engine says, by name; one that does not answer within some seconds is left out."""
    found: dict[str, Membership] = {}

    def ask(node: Node) -> None:
        found[node.name] = membership(node)

    within(unhurried(limit), *(partial(ask, node) for node in nodes))
    return {node.name: found[node.name] for node in nodes if node.name in found}


def trouble_of(name: str, seen: Membership) -> str | None:
    """What is wrong with the node's place in its swarm, and what helps; None for nothing that its engine knows of."""
    said = f" ({_short(seen.error)})" if seen.error else ""
    if seen.state == "locked":
        return f"{name} is locked: `labctl ssh {name} docker swarm unlock` asks for the key"
    if seen.state == "pending":
        return f"{name} waits for a manager to let it into the swarm{said}: `labctl restart {name}` lets it ask again"
    if seen.state == "error":
        leave = f"`labctl ssh {name} docker swarm leave --force`"
        return f"{name} cannot take part in its swarm{said}: {leave} and `labctl up` let it join again"
    return None


def state_problems(seen: Mapping[str, Membership]) -> dict[str, str]:
    """Such troubles of the nodes of a swarm that has a manager, by name; that one has left is one more."""
    found = {name: trouble_of(name, one) for name, one in seen.items()}
    found |= {
        name: f"{name} is not in the swarm any more: `labctl up` lets it join again"
        for name, one in seen.items()
        if one.state == "inactive"
    }
    return {name: told for name, told in found.items() if told}


def leavers_of(nodes: Sequence[Node], seen: Mapping[str, Membership], known: Sequence[SwarmNode]) -> frozenset[str]:
    """The nodes that have left the swarm while its managers still list them as ready: they notice it after seconds.

    One whose engine was `seen` in no swarm may have joined meanwhile, so it is asked once more.
    """
    ready = {member.hostname for member in known if member.state == "ready"}
    out = [node for node in nodes if node.name in seen and seen[node.name].state == "inactive" and node.name in ready]
    return frozenset(name for name, one in memberships(out).items() if one.state == "inactive")


def is_orphaned(nodes: Sequence[Node], seen: Mapping[str, Membership]) -> bool:
    """Whether the swarm that nodes are in has no manager left: all nodes that were made as managers are in none.

    A manager that is down, or does not answer, may still have the swarm.
    """
    managers = [node for node in nodes if node.is_manager]
    if not managers or any(node.name not in seen for node in nodes):
        return False
    if any(one.is_manager or one.state in ("locked", "error") for one in seen.values()):
        return False
    return all(seen[node.name].state == "inactive" for node in managers)


def _short(error: str) -> str:
    """The engine's reason without the wire's words, in one line."""
    return error.splitlines()[0].rpartition("desc = ")[2].rstrip(".")
