"""Snapshots of a lab's machines: made of all of them together, put back together, or not at all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from labctl.backend.base import Snapshot
from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.tool import Tool
from labctl.concurrent import gather
from labctl.errors import LabctlError, LabError

__all__ = ["check", "delete", "refuse_half_restored", "restore", "save"]


def save(lab: VmLab, tool: Tool, name: str) -> None:
    """Take the snapshot of every machine, and write it down once it is whole. What is half-made is removed again."""
    machines = [machine.name for machine in lab.nodes]
    try:
        _to_its_end(lambda: tool.save_snapshot(machines, name))
    except BaseException:
        with contextlib.suppress(LabctlError):  # the error that led here is the one to tell
            _delete_all(tool, name)
        raise
    replace(lab, snapshots=(*lab.snapshots, Snapshot(name, time.time(), tuple(machines)))).save()


def check(lab: VmLab, tool: Tool, name: str) -> None:
    """Raise LabError when a machine has no such snapshot any more."""
    wanted = _machines_of(lab, name)
    there = tool.snapshots()
    missing = [node for node in wanted if name not in there.get(node, ())]
    if missing or not wanted:
        raise LabError(
            f"snapshot {name} has nothing of {', '.join(missing) or lab.lab} any more",
            hint=f"It cannot be restored; `labctl snapshot rm {name}` removes the rest of it.",
        )


def restore(lab: VmLab, tool: Tool, name: str) -> None:
    """Put every machine back. Raises LabError with what Vagrant said.

    Ctrl-C does not leave some of them back and others not: managers of two different times are no swarm. Where Vagrant
    fails on the way, or this process is killed, the lab remembers it, and `refuse_half_restored` stops those who would
    let its machines go on.
    """
    machines = _machines_of(lab, name)
    replace(lab, restoring=name).save()
    try:
        _to_its_end(lambda: tool.restore_snapshot(machines, name))
    except KeyboardInterrupt:
        tool.restore_snapshot(machines, name)
        replace(lab, restoring="").save()
        raise
    except LabError as problem:
        mend = f"Some machines may be put back and others not: `labctl snapshot restore {name}` does it again."
        raise LabError(problem.message, hint=mend) from problem
    replace(lab, restoring="").save()


def refuse_half_restored(lab: VmLab) -> None:
    """Raise LabError for a lab some of whose machines are put back to a snapshot, and others may not be."""
    if lab.restoring:
        raise LabError(
            f"lab {lab.lab} is put back to snapshot {lab.restoring} in part, and would be no swarm",
            hint=f"`labctl snapshot restore {lab.restoring}` finishes it; another one that is whole would do, too.",
        )


def delete(lab: VmLab, tool: Tool, name: str) -> None:
    """Delete the snapshot of every machine that has it, and only then strike it off, so that it can be done again."""
    _delete_all(tool, name)
    replace(lab, snapshots=tuple(known for known in lab.snapshots if known.name != name)).save()


def _machines_of(lab: VmLab, name: str) -> tuple[str, ...]:
    return next((known.nodes for known in lab.snapshots if known.name == name), ())


def _delete_all(tool: Tool, name: str) -> None:
    having = [machine for machine, names in tool.snapshots().items() if name in names]
    if having:
        tool.delete_snapshot(having, name)


def _to_its_end(call: Callable[[], None]) -> None:
    """Call Vagrant, and wait for its end on Ctrl-C too: when it is killed, libvirt goes on behind everybody's back."""
    with ThreadPoolExecutor(1, "labctl-vagrant") as pool:
        gather([pool.submit(call)])
