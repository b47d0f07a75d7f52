"""Nodes that somebody has taken off their address: nothing of the lab finds them there, and no engine says why."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.backend import LabRecord
from labctl.errors import LabError
from labctl.node import Node
from labctl.spec.names import short

__all__ = ["moved_problems", "refuse_moved", "way_back"]


def moved_problems(record: LabRecord) -> dict[str, str]:
    """What is told of each node that is not where the others look for it, with the way back, by name."""
    return {
        node.name: f"{_told(node)}: {way_back(node, record, is_on=bool(node.moved_to))}"
        for node in record.nodes
        if node.moved_to is not None and record.network is not None
    }


def refuse_moved(record: LabRecord, nodes: Sequence[Node]) -> None:
    """Raise LabError for nodes that are not where the others look for them: to try these tells nothing else."""
    names = {node.name for node in nodes}
    if told := [text for name, text in moved_problems(record).items() if name in names]:
        raise LabError("\n".join(told))


def _told(node: Node) -> str:
    if not node.moved_to:
        return f"{node.name} was taken off the lab's network, where the others look for it at {node.address}"
    return f"{node.name} has the address {node.moved_to} now, and the others look for it at {node.address}"


def way_back(node: Node, record: LabRecord, *, is_on: bool) -> str:
    """The commands that take a node back to its address and its names; `is_on` the network is it with others."""
    names = [one.name for one in (record.spec.all_nodes() if record.spec else record.nodes)]
    called = [node.name, *short(node.name, names), *(["manager"] if node.name == names[0] else [])]
    aliases = " ".join(f"--alias {name}" for name in dict.fromkeys(called))
    off = f"`docker network disconnect {record.network} {node.machine}` and " if is_on else ""
    on = f"`docker network connect --ip {node.address} {aliases} {record.network} {node.machine}`"
    return f"{off}{on} bring it back; if it does not serve then, `labctl restart {node.name}`"
