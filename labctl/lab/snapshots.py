"""Snapshots of a lab: what all its machines were at one moment, and the way back to it.

The machines stand still while they are saved and while they are put back. A manager that has heard of what another one
has not said yet brings the swarm down: so all of them are of the same moment.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

from labctl.backend import Snapshot
from labctl.concurrent import each
from labctl.errors import LabError, NotFoundError, UsageError
from labctl.events import Noted, Steps
from labctl.lab.lab import Lab
from labctl.lab.standing import refuse_without_keys
from labctl.lab.waking import WAKE_STEPS, wake

__all__ = ["find", "remove", "restore", "save", "snapshots_of"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def snapshots_of(lab: Lab) -> list[Snapshot]:
    """The lab's snapshots, oldest first. Raises UsageError for a lab that can have none."""
    return lab.backend.snapshots(lab.name)


def find(lab: Lab, name: str) -> Snapshot:
    """The snapshot of that name. Raises NotFoundError with the nearest one."""
    known = {snapshot.name: snapshot for snapshot in snapshots_of(lab)}
    if name not in known:
        raise NotFoundError("snapshot", name, known, hint=f"`labctl snapshot ls -l {lab.name}` lists them.")
    return known[name]


def save(lab: Lab, name: str) -> Snapshot:
    """Keep what all machines of the lab are now, and let it serve again; one that is suspended stays so.

    Raises UsageError for a name that is taken or cannot be one, LabError for a lab of which a machine is down or gone.
    """
    refuse_without_keys(lab.name, lab.nodes)
    with lab.held() as lab:
        _refuse_name(lab, name)
        _refuse_missing(lab)
        running = [node for node in lab.nodes if node.is_running]
        steps = Steps(lab.context.emit, total=2 + (WAKE_STEPS if running else 0))
        try:
            with steps.step("Suspending"):
                each(running, lab.backend.suspend)
            with steps.step("Saving"):
                lab.backend.save_snapshot(lab.name, name)
        except BaseException:
            each(running, lab.backend.resume)
            raise
        if running:
            wake(lab, [replace(node, state="paused") for node in running], steps, lab.backend.resume)
    return find(lab, name)


def restore(lab: Lab, name: str) -> None:
    """Let the lab be what it was, and wait until it serves. What it is now is lost.

    Raises NotFoundError, and LabError when the lab has other nodes now than it had then.
    """
    refuse_without_keys(lab.name, lab.nodes)
    with lab.held() as lab:
        _refuse_other_nodes(lab, find(lab, name))
        lab.backend.check_snapshot(lab.name, name)
        running = [node for node in lab.nodes if node.is_running]
        steps = Steps(lab.context.emit, total=2 + WAKE_STEPS)
        try:
            with steps.step("Suspending"):
                each(running, lab.backend.suspend)
        except BaseException:
            each(running, lab.backend.resume)
            raise
        try:
            with steps.step(f"Restoring {name}"):
                lab.backend.restore_snapshot(lab.name, name)
                lab._end_faults(lab.nodes)
        except KeyboardInterrupt:
            steps.emit(Noted(f"lab {lab.name} is put back, and suspended: `labctl resume` lets it go on"))
            raise
        lab = lab.refresh()
        wake(lab, lab.nodes, steps, lab.backend.resume)


def remove(lab: Lab, name: str) -> None:
    """Forget a snapshot. Raises NotFoundError."""
    with lab.held() as lab:
        find(lab, name)
        lab.backend.delete_snapshot(lab.name, name)


def _refuse_name(lab: Lab, name: str) -> None:
    taken = next((known for known in snapshots_of(lab) if known.name == name), None)
    if taken is not None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(taken.taken))
        raise UsageError(
            f"snapshot {name} is there already, taken {when}",
            hint=f"Take another name, or `labctl snapshot rm {name}` first.",
        )
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a snapshot",
            hint="Letters, digits, `-`, `_` and `.`, at most 63, and the first a letter or a digit: before-upgrade.",
        )


def _refuse_missing(lab: Lab) -> None:
    """A snapshot is of the whole lab, and as it serves: one with a hole would be put back with it."""
    for name in lab.gone:
        raise LabError(f"{name} is gone, and a snapshot is of the whole lab", hint="`labctl up` makes it anew.")
    for node in lab.nodes:
        if node.state not in ("running", "paused"):
            raise LabError(
                f"{node.name} is {node.state}, and a snapshot is of the whole lab, while it runs",
                hint=f"`labctl start {node.name}` starts it.",
            )


def _refuse_other_nodes(lab: Lab, snapshot: Snapshot) -> None:
    have = {node.name for node in lab.nodes}
    lost = [name for name in snapshot.nodes if name not in have]
    more = sorted(have - set(snapshot.nodes))
    if lost:
        raise LabError(
            f"snapshot {snapshot.name} has {', '.join(lost)}, and the machine was removed since, its part with it",
            hint=f"It cannot be restored; `labctl snapshot rm {snapshot.name}` removes the rest of it.",
        )
    if more:
        raise LabError(
            f"snapshot {snapshot.name} is of a lab without {', '.join(more)}",
            hint=f"`labctl node rm {' '.join(more)}` first; the swarm of then does not know it.",
        )
