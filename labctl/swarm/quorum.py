"""A swarm that has lost the majority of its managers for good: who is left, and the one cure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from labctl.node import Node
from labctl.swarm.cluster import Membership, lost_for_good
from labctl.swarm.state import SwarmNode

__all__ = ["refuse_lost_majority"]


def refuse_lost_majority(
    nodes: Sequence[Node], seen: Mapping[str, Membership], members: Sequence[SwarmNode], lab: Collection[str]
) -> None:
    """Raise QuorumLost when at most half of the `members` that are managers can ever answer again.

    A manager that has lost the others goes on answering for some seconds, and lets nobody join meanwhile. `nodes` are
    all machines of the lab, `seen` what their engines say, `lab` the names that its nodes have or shall have: one
    without a machine is gone. One that is down or silent may come back.
    """
    there = {node.name: node for node in nodes}

    def is_gone(member: SwarmNode) -> bool:
        node = there.get(member.hostname)
        if node is None:
            return member.hostname in lab
        return node.is_running and node.name in seen and seen[node.name].node_id != member.id

    # After the cure the list still has the others as managers, and only those that vote have a reachability.
    managers = [member for member in members if member.reachability]
    gone = [member for member in managers if is_gone(member)]
    left = [there[one.hostname] for one in managers if one not in gone and one.hostname in there]
    if gone and left and 2 * (len(managers) - len(gone)) <= len(managers):
        raise lost_for_good(left, [one.hostname for one in gone], of=len(managers))
