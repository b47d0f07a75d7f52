"""What a node's own engine says of its place in a swarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.node import Node

__all__ = ["Membership", "membership"]


@dataclass(frozen=True)
class Membership:
    """What a node's own engine says: `state` is inactive, pending, active, locked or error."""

    state: str
    node_id: str
    is_manager: bool
    cluster_id: str
    error: str
    size: int = 0  # how many nodes its swarm has; only a manager's engine knows
    managers: tuple[str, ...] = ()  # the addresses of its managers, also where they have no majority

    @classmethod
    def of(cls, swarm: Mapping[str, Any]) -> Membership:
        """Read what GET /info says under "Swarm"."""
        return cls(
            state=swarm.get("LocalNodeState", "inactive"),
            node_id=swarm.get("NodeID", ""),
            is_manager=bool(swarm.get("ControlAvailable")),
            cluster_id=(swarm.get("Cluster") or {}).get("ID", ""),
            error=swarm.get("Error", ""),
            size=swarm.get("Nodes", 0),
            managers=tuple(str(one["Addr"]).rpartition(":")[0] for one in swarm.get("RemoteManagers") or ()),
        )


def membership(node: Node) -> Membership:
    """Ask the node's engine whether it is in a swarm (GET /info)."""
    return Membership.of(node.engine.info()["Swarm"])
