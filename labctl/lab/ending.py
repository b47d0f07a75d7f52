"""Nodes that are on their way down: `sudo shutdown now` answers at once, and the node's engine takes its time to end.

Until then the machine runs and its engine answers. Whoever takes it for one that is up waits for a node that then
ends; so commands that bring nodes up wait for the end first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.backend import Backend
from labctl.concurrent import each
from labctl.errors import LabctlError, LabError, WaitTimeout
from labctl.node import Node
from labctl.waiting import Pending, wait_until

__all__ = ["ENDING_FILE", "as_ended"]

ENDING_FILE = "/run/labctl/stopping"  # made by the node's first program once it stops all others
END_LIMIT = 60.0  # seconds; an engine gives each container ten to end


def as_ended(backend: Backend, nodes: Sequence[Node], note: Callable[[str], None]) -> list[Node]:
    """Return the nodes as they are once those that are going down have ended. Machines tell of it by themselves.

    Raises LabError for one that does not end.
    """

    def awaited(node: Node) -> Node:
        if not node.is_running or not _is_ending(node):
            return node

        def look() -> Node:
            if (now := backend.look(node)).is_running:
                raise Pending(f"{node.name} is going down")
            return now

        try:
            return wait_until(f"the end of {node.name}", look, limit=END_LIMIT, pause=0.1, noted=note)
        except WaitTimeout as timeout:
            raise LabError(
                f"{node.name} has been going down for {timeout.limit:g} s",
                hint=f"`labctl kill {node.name}` ends it at once, and `labctl start {node.name}` starts it.",
            ) from timeout

    return list(nodes) if backend.has_own_kernel else each(nodes, awaited)


def _is_ending(node: Node) -> bool:
    try:
        node.get(ENDING_FILE)
    except LabctlError:
        return False
    return True
