"""Which swarm is the lab's where its nodes are in several, and which nodes are in another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from labctl.errors import LabError
from labctl.node import Node
from labctl.swarm.cluster import Membership
from labctl.swarm.state import SwarmNode
from labctl.words import counted

__all__ = ["former_selves", "refuse_split", "strays_of"]


def strays_of(nodes: Sequence[Node], seen: Mapping[str, Membership], known: Collection[str] = ()) -> dict[str, str]:
    """What is wrong with the nodes that are in a swarm which is not the lab's, with the way out, by name.

    `seen` is what the nodes' engines say, `known` are the ids of the members of the lab's swarm (none: nobody said).
    Engines of workers do not tell their swarm's id, so theirs are looked for among these.
    """
    lab, *others = _swarms(nodes, seen) or [[]]
    found = {
        name: f"{name} is in another swarm, not in the lab's{_of(lab)}: {_leave(name)}"
        for group in others
        for name in group
    }
    # These ids may be those of the other swarm.
    if known and all(seen[name].node_id in known for name in lab):
        found |= {
            name: f"{name} is not in the lab's swarm{_of(lab)}, though its engine is in one: `labctl up` lets it join"
            for name, one in seen.items()
            if one.state == "active" and not one.is_manager and one.node_id and one.node_id not in known
        }
    return found


def refuse_split(nodes: Sequence[Node], seen: Mapping[str, Membership]) -> None:
    """Raise LabError when managers are in different swarms: only the user may give up a swarm with its services."""
    swarms = _swarms(nodes, seen)
    if len(swarms) < 2:
        return
    lab, *others = swarms
    groups = "; ".join(", ".join(group) for group in others)
    leave = ", ".join(f"`labctl ssh {name} docker swarm leave --force`" for group in others for name in group)
    raise LabError(
        f"the managers are in {len(swarms)} swarms: {groups}; the lab's is that of {', '.join(lab)}",
        hint=f"{leave}: that ends the other swarm (with its services); `labctl up` then lets its nodes join the lab's.",
    )


def former_selves(seen: Mapping[str, Membership], known: Sequence[SwarmNode]) -> tuple[list[str], list[str]]:
    """What the list has of nodes that left and joined again: as managers, whose votes count still, and as workers.

    A line for each node, with what takes that off; `seen` is as in `strays_of`, `known` are the swarm's members.
    """
    ids = {name: one.node_id for name, one in seen.items() if one.state == "active" and one.node_id}
    old = [one for one in known if one.state != "ready" and ids.get(one.hostname, one.id) != one.id]
    votes = Counter(one.hostname for one in old if one.role == "manager")
    idle = Counter(one.hostname for one in old if one.role != "manager")

    def told(name: str, times: int, vote: str = "") -> str:
        more = counted(times, "time")
        return f"{name} is on the swarm's list {more} more{vote}, since it left and joined again: `labctl up` ends that"

    return [told(*one, ", as a manager with a vote") for one in votes.items()], [told(*one) for one in idle.items()]


def _swarms(nodes: Sequence[Node], seen: Mapping[str, Membership]) -> list[list[str]]:
    """The names of the managers of each swarm; the lab's comes first.

    That is the one of most of the nodes that were made as managers; where that is a tie, the one with most nodes, and
    then the one of the first manager.
    """
    swarms: dict[str, list[str]] = {}
    for name, one in seen.items():
        if one.is_manager and one.cluster_id:
            swarms.setdefault(one.cluster_id, []).append(name)
    made = {node.name for node in nodes if node.is_manager}

    def weight(group: list[str]) -> tuple[int, int]:
        return len(made.intersection(group)), max(len(group), *(seen[name].size for name in group))

    first = [node.name for node in nodes if node.is_manager]
    order = sorted(swarms.values(), key=lambda group: first[:1] != group[:1])
    return sorted(order, key=weight, reverse=True)


def _of(lab: Sequence[str]) -> str:
    return f" (that of {', '.join(lab)})" if lab else ""


def _leave(name: str) -> str:
    return f"`labctl ssh {name} docker swarm leave --force` ends that (with its services), and `labctl up` lets it join"
