"""What a lab was, kept and gone back to: the snapshots of a `Lab`."""

from __future__ import annotations

from labctl.backend import Snapshot
from labctl.events import Emit
from labctl.lab.core import LabCore

__all__ = ["Keeping"]


class Keeping(LabCore):
    """The verbs on snapshots; a part of `Lab`."""

    def snapshots(self) -> list[Snapshot]:
        """The lab's snapshots, oldest first."""
        from labctl.lab import snapshots

        return snapshots.snapshots_of(self._now(None))

    def save_snapshot(self, name: str, *, on_event: Emit | None = None) -> Snapshot:
        """Keep what all nodes are now, and let the lab serve again. It stands still for some seconds.

        Raises UsageError for a name that is taken or cannot be one; LabError for a lab of which a node is down, or has
        a fault; HostError where there is no room.
        """
        from labctl.lab import snapshots

        return snapshots.save(self.heard_by(on_event), name)

    def restore_snapshot(self, name: str, *, unlock_key: str | None = None, on_event: Emit | None = None) -> None:
        """Let the lab be what it was, and wait until it serves. What it is now is lost.

        Raises NotFoundError; LabError when the snapshot is not whole or the lab has more nodes now, and nothing is
        changed then.
        """
        from labctl.lab import snapshots

        try:
            snapshots.restore(self.heard_by(on_event, unlock_key), name)
        finally:
            self.record = self.backend.find(self.name) or self.record

    def remove_snapshot(self, name: str) -> None:
        """Forget a snapshot. Raises NotFoundError."""
        from labctl.lab import snapshots

        snapshots.remove(self._now(None), name)
