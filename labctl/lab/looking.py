"""What a lab is doing, asked piece by piece: the map, its stacks, what machines said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from labctl.lab.core import LabCore

if TYPE_CHECKING:
    from labctl.lab.mapping import SwarmMap
    from labctl.lab.stacklists import StackService, StackTask
    from labctl.lab.stacks import Files
    from labctl.node import Node

__all__ = ["Looking"]


class Looking(LabCore):
    """The verbs that only look; a part of `Lab`."""

    def map(self) -> SwarmMap:
        """All nodes, each with its tasks, and the tasks that no node has taken yet. Anybody may ask.

        Of somebody else's lab only its machines are known. Raises QuorumLost or LabError where no manager answers.
        """
        from labctl.lab.mapping import look

        return look(self._seen())

    def node_logs(self, node: Node | str, *, tail: int | None = None, follow: bool = False) -> Iterator[bytes]:
        """What a node's machine said (its engine, containerd, the mesh), or the last lines; it need not run.

        With `follow` it goes on until the node is down, or the iterator is closed.
        """
        from labctl.lab.choosing import chosen

        lab = self._seen()
        return lab.backend.follow(chosen(lab, node)[0], tail=tail, wait=follow)

    def service_logs(self, service: str, *, tail: int | None = None, limit: float = 30.0) -> str:
        """What a service's tasks have said, those that are over too: a line each, with its time, its task and its node.

        `tail` is how many lines of each task, the last ones; the service's stack may be left out. Raises NotFoundError
        for a service that is not there, UsageError where several stacks have one of that name.
        """
        from labctl.lab.saying import service_logs

        return service_logs(self._now(None), service, tail, limit)

    def stacks(self) -> dict[str, int]:
        """The stacks by name, each with its number of services."""
        from labctl.swarm.stack import stacks

        return {stack.name: stack.services for stack in stacks(self._now(None).swarm())}

    def stack_services(self, name: str) -> list[StackService]:
        """A stack's services, how many of their tasks run, and why not all. Raises NotFoundError."""
        from labctl.lab.stacklists import services_of

        lab = self._now(None)
        return services_of(lab.swarm(), name, lab.nodes)

    def stack_tasks(self, name: str) -> list[StackTask]:
        """A stack's tasks, those that are over too, the newest of each slot first. Raises NotFoundError."""
        from labctl.lab.stacklists import tasks_of

        return tasks_of(self._now(None).swarm(), name)

    def stack_config(
        self, files: Files, *, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """Stack files as Docker understands them: merged, each ${VARIABLE} filled in; arguments as `deploy` has them.

        Raises UsageError for files that Docker does not take.
        """
        from labctl.lab.stacks import merged

        return merged(self._now(None), files, text=text, environment=environment)
