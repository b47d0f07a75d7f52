"""testinfra over a lab's nodes: every module of testinfra works on a Node, with limits that testinfra lacks."""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from labctl.checks.deadline import SlowCommand, seconds_left
from labctl.node import Node

__all__ = ["COMMAND_LIMIT", "NodeBackend", "host_of"]

COMMAND_LIMIT = 10.0  # seconds that one command of a check may take on a node


class NodeBackend(BaseBackend):
    """Runs testinfra's commands on a Node. Raises NodeDown for one that is down: the lab is broken, not the learner."""

    NAME = "labctl"

    def __init__(self, node: Node, *, limit: float = COMMAND_LIMIT) -> None:
        super().__init__(node.name)
        self.node = node
        self.limit = limit

    def run(self, command: str, *args: str, **_kwargs: Any) -> CommandResult:
        """Run a command on the node. Raises SlowCommand when it does not end within the limit."""
        text = self.get_command(command, *args)
        limit = seconds_left(self.limit)
        result = self.node.run(text, limit=limit)
        if result.timed_out and result.seconds >= limit:
            raise SlowCommand(text, result.seconds, self.node)
        return self.result(result.code, text.encode(), result.stdout, result.stderr)


def host_of(node: Node) -> Host:
    """The node as testinfra knows hosts. Not from testinfra's cache: that one outlives a node."""
    backend = NodeBackend(node)
    host = Host(backend)
    backend.set_host(host)
    return host
