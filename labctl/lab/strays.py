"""Nodes of a lab that belong to a swarm which is not the lab's, or which has no manager left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.node import Node
from labctl.swarm import cluster
from labctl.swarm.belonging import refuse_split, strays_of
from labctl.swarm.quorum import refuse_lost_majority
from labctl.swarm.state import SwarmView
from labctl.swarm.states import is_orphaned, memberships

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["Standing", "leave_again", "refuse_strays", "standing_of"]


@dataclass(frozen=True)
class Standing:
    """Where the nodes that stand belong. `strays` must leave before they can join; `may_init`: there is no swarm yet.

    `note` is a line for the user, empty where all is as it should be.
    """

    strays: frozenset[str] = frozenset()
    may_init: bool = True
    note: str = ""


def standing_of(spec: LabSpec, nodes: Sequence[Node], starting: Sequence[Node], manager: Node | None) -> Standing:
    """Compare the swarms of the running `nodes` with that of the working `manager` (None: there is none).

    Only ids tell: an engine says `active` also of a swarm that is dead. Raises LabError when managers of the lab are
    in different swarms, QuorumLost when most have left theirs.
    """
    members = [node for node in nodes if node.is_running and spec.joins(node.name)]
    seen = memberships(members)
    refuse_split(members, seen)
    inside = {name for name, one in seen.items() if one.state != "inactive"}
    if manager is not None:
        listed = SwarmView(manager.engine).nodes()
        refuse_lost_majority([*nodes, *starting], seen, listed, [node.name for node in spec.all_nodes()])
        known = {member.id for member in listed}
        strays = frozenset(
            name
            for name in inside
            if seen[name].node_id and seen[name].node_id not in known and not seen[name].is_manager
        )
        note = f"{_names(strays)} left another swarm to join the lab's" if strays else ""
        return Standing(strays, may_init=False, note=note)
    if any(node.is_manager for node in starting) or not is_orphaned(members, seen):
        return Standing(may_init=not inside and len(seen) == len(members))
    if not inside:
        return Standing()
    lost = f"no manager of the swarm of {_names(inside)} is left, and its services are lost with it"
    return Standing(frozenset(inside), note=f"{lost}: all nodes form a new swarm")


def refuse_strays(nodes: Sequence[Node], manager: Node) -> None:
    """Raise LabError when running `nodes` are in another swarm than the `manager`: nothing of the lab reaches them."""
    running = [node for node in nodes if node.is_running]
    seen = memberships(running)  # before the list: what joins in between is no stray
    if told := strays_of(running, seen, {member.id for member in SwarmView(manager.engine).nodes()}):
        raise LabError("\n".join(told.values()))


def leave_again(entered: Sequence[Node]) -> None:
    """Let nodes leave the swarm that a failed `up` has made of nodes that stood before."""
    for node in entered:
        cluster.leave(node)


def _names(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))
