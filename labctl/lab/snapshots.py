"""Snapshots of a lab: what all its machines were at one moment, and the way back to it.

The machines stand still while they are saved. Those that are put back with their memory stand still meanwhile, too; of
containers there are only disks, and new ones are made of them. A manager that has heard of what another one has not
said yet brings the swarm down: so all of them are of the same moment.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.backend import Snapshot
from labctl.concurrent import each
from labctl.errors import LabctlError, LabError, NotFoundError, UsageError
from labctl.events import Noted, Steps, Warned
from labctl.lab.standing import refuse_newer, refuse_unstartable, refuse_without_keys, refused_as_empty
from labctl.lab.waking import WAKE_STEPS, wake

if TYPE_CHECKING:
    from labctl.lab.core import LabCore

__all__ = ["find", "remove", "restore", "save", "snapshots_of"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def snapshots_of(lab: LabCore) -> list[Snapshot]:
    """The lab's snapshots, oldest first."""
    return lab.backend.snapshots(lab.name)


def find(lab: LabCore, name: str) -> Snapshot:
    """The snapshot of that name. Raises NotFoundError with the nearest one."""
    known = {snapshot.name: snapshot for snapshot in snapshots_of(lab)}
    if name not in known:
        raise NotFoundError("snapshot", name, known, hint=f"`labctl snapshot ls -l {lab.name}` lists them.")
    return known[name]


def save(lab: LabCore, name: str) -> Snapshot:
    """Keep what all machines of the lab are now, and let it serve again; one that is suspended stays so.

    Raises UsageError for a name that is taken or cannot be one; LabError for a lab of which a machine is down, gone or
    has a fault; HostError where there is no room.
    """
    refuse_without_keys(lab.name, lab.nodes)
    with lab.held() as lab:
        refuse_unstartable(lab.record)
        refuse_newer(lab.record)
        _refuse_name(lab, name)
        _refuse_missing(lab)
        running = [node for node in lab.nodes if node.is_running]
        steps = Steps(lab.context.emit, total=3 + (WAKE_STEPS if running else 0))
        with steps.step("Looking for room"):
            if running:  # in a lab that stands still there is nobody to ask
                _refuse_faults(lab)
            lab.backend.prepare_save(lab.name, name)
        try:
            with steps.step("Suspending"):
                each(running, lab.backend.suspend)
            with steps.step("Saving"):
                lab.backend.save_snapshot(lab.name, name, steps.note)
        except BaseException:
            each(running, lab.backend.resume)
            raise
        if running:
            try:
                wake(lab, [replace(node, state="paused") for node in running], steps, lab.backend.resume)
            except LabctlError as problem:  # what was asked for is done
                told = f"{name} is saved, and the lab does not serve again yet: {problem.message}"
                steps.emit(Warned(f"{told}; `labctl status` tells more"))
    return find(lab, name)


def restore(lab: LabCore, name: str) -> None:
    """Let the lab be what it was, and wait until it serves. What it is now is lost.

    Raises NotFoundError; LabError when the lab has other nodes now than it had then, or the snapshot is not whole.
    """
    refuse_without_keys(lab.name, lab.nodes)
    with lab.held() as lab:
        refuse_newer(lab.record)
        _refuse_other_nodes(lab, find(lab, name))
        memory = lab.backend.keeps_memory
        steps = Steps(lab.context.emit, total=2 + memory + WAKE_STEPS)
        with steps.step(f"Looking at {name}" if memory else f"Copying {name}"):
            lab.backend.prepare_restore(lab.name, name, steps.note)
        if memory:
            _suspend_all(lab, steps)
        try:
            with steps.step(f"Restoring {name}"):
                lab.backend.restore_snapshot(lab.name, name)
                lab._end_faults(lab.nodes)
        except KeyboardInterrupt:
            how = "suspended: `labctl resume` lets it go on" if memory else "not tried yet: `labctl start` tries it"
            steps.emit(Noted(f"lab {lab.name} is put back, and {how}"))
            raise
        lab = lab.refresh()
        # Those without memory have just been started: like all that start together they may miss what others said.
        meant = lab.nodes if memory else [replace(node, state="exited") for node in lab.nodes]
        wake(lab, meant, steps, lab.backend.resume if memory else lab.backend.start)


def remove(lab: LabCore, name: str) -> None:
    """Forget a snapshot. Raises NotFoundError, and LabError for one that the lab is put back to in part."""
    with lab.held() as lab:
        find(lab, name)
        if lab.record.restoring == name:
            raise LabError(
                f"lab {lab.name} is put back to snapshot {name} in part, and would be lost without it",
                hint=f"`labctl snapshot restore {name}` finishes it; `labctl down -l {lab.name}` removes both.",
            )
        lab.backend.delete_snapshot(lab.name, name)


def _suspend_all(lab: LabCore, steps: Steps) -> None:
    running = [node for node in lab.nodes if node.is_running]
    try:
        with steps.step("Suspending"):
            each(running, lab.backend.suspend)
    except BaseException:
        each(running, lab.backend.resume)
        raise


def _refuse_name(lab: LabCore, name: str) -> None:
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


def _refuse_missing(lab: LabCore) -> None:
    """A snapshot is of the whole lab, and as it serves: one with a hole would be put back with it."""
    if empty := refused_as_empty(lab.record):
        raise empty
    for name in lab.gone:
        raise LabError(f"{name} is gone, and a snapshot is of the whole lab", hint="`labctl up` recreates it.")
    for node in lab.nodes:
        if node.state not in ("running", "paused"):
            raise LabError(
                f"{node.name} is {node.state}, and a snapshot is of the whole lab, while it runs",
                hint=f"`labctl start {node.name}` starts it.",
            )


def _refuse_faults(lab: LabCore) -> None:
    """A fault is not in the snapshot, but what it does to the lab is: services that moved, a log that fell behind."""
    from labctl.faults import look
    from labctl.lab.faulting import scene_of

    acting, _ = look(scene_of(replace(lab)))
    for fault in acting:
        raise LabError(
            f"{fault.target} has the fault {fault.kind}, and a snapshot is of a lab in which all is well",
            hint=f"`labctl fault heal {fault.id}` heals it.",
        )


def _refuse_other_nodes(lab: LabCore, snapshot: Snapshot) -> None:
    have = {node.name for node in lab.nodes}
    lost = [name for name in snapshot.nodes if name not in have]
    more = sorted(have - set(snapshot.nodes))
    if lost and lab.backend.keeps_memory:
        raise LabError(
            f"snapshot {snapshot.name} has {', '.join(lost)}, and the machine was removed since, its part with it",
            hint=f"It cannot be restored; `labctl snapshot rm {snapshot.name}` removes the rest of it.",
        )
    if more and snapshot.nodes:
        raise LabError(
            f"snapshot {snapshot.name} is of a lab without {', '.join(more)}",
            hint=f"`labctl node rm {' '.join(more)}` first; the swarm of then does not know it.",
        )
    if lab.record.network is None:
        raise LabError(
            f"the network of lab {lab.name} is gone, and with it the way from node to node",
            hint=f"`labctl down -l {lab.name}` and `labctl up -l {lab.name}` recreate the lab.",
        )
