"""Commands and files on a lab's nodes, many at once: what a `Lab` does with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.events import Emit, Warned
from labctl.lab.choosing import Nodes, chosen
from labctl.lab.core import LabCore

if TYPE_CHECKING:
    from labctl.lab.everywhere import NodeResult
    from labctl.provision import Recap

__all__ = ["Using"]


class Using(LabCore):
    """The verbs that do something on nodes; a part of `Lab`."""

    def run(
        self,
        command: str | Sequence[str],
        nodes: Nodes | None = None,
        *,
        limit: float = 60.0,
        on_result: Callable[[NodeResult], None] | None = None,
    ) -> list[NodeResult]:
        """Run a command as root on nodes, all at once, for at most `limit` seconds each, and return how it ended there.

        Text goes to the shell, a list to none. A node where it could not run is a result too, with `code` None and
        why in `stderr`. `on_result` gets each as it comes, from any thread.
        """
        from labctl.lab.everywhere import run_everywhere

        meant = chosen(self._now(None), nodes)
        return run_everywhere(meant, command, limit=limit, heard=on_result or (lambda _: None))

    def copy(
        self,
        source: Path | str,
        target: Path | str,
        *,
        recursive: bool = False,
        delta: bool = False,
        on_event: Emit | None = None,
    ) -> str:
        """Copy a file, or with `recursive` a folder, to a node, from one, or between two; returns where it is now.

        "w1:/etc/hosts" is a place on a node, "root@w1:notes" one in a user's home there; a Path is on this host.
        `delta` leaves out what is there already. Raises UsageError for what cannot be copied, NotFoundError for a node.
        """
        from labctl.lab.copying import copy, place

        lab = self._now(on_event)

        def warn(text: str) -> None:
            lab.context.emit(Warned(text))

        return str(copy(place(lab, source), place(lab, target), recursive=recursive, delta=delta, warn=warn))

    def provision(
        self, nodes: Nodes | None = None, *, inside: bool = False, on_event: Emit | None = None
    ) -> dict[str, Recap]:
        """Let the playbook make virtual machines what a node is, and return by node what it did.

        `inside` runs Ansible in the machines, not on this host. Raises UsageError for a lab of containers.
        """
        from labctl.lab.provisioning import provision_nodes

        lab = self._now(on_event)
        return provision_nodes(lab, chosen(lab, nodes), inside=inside)
