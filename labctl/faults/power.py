"""Faults of a node as a machine: stopped, its plug pulled, frozen. This host injects and heals them.

What is remembered (a file in the lab's folder) is only who did it and until when; whether it acts, the node's state
tells. The lease is `labctl fault heal` as a process of its own, started before the fault.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from labctl.faults.model import Fault, Healer, Option, Scene, Target
from labctl.node import Node
from labctl.state import lab_dir, lab_path, write_private

__all__ = ["Kill", "Pause", "Stop", "found_on_host"]


class _Power:
    """A kind of fault that is a node's state."""

    name = ""
    summary = ""
    acts_on: Target = "node"
    healer: Healer = "host"
    options: tuple[Option, ...] = ()
    breaks_node = True
    states: tuple[str, ...] = ("exited",)

    def strike(self, scene: Scene, node: Node) -> None:
        """Do it to the node."""
        raise NotImplementedError

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise NodeDown for a node that does not run."""
        scene.running(fault.target)

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Note it, arm the lease, and strike."""
        node = scene.running(fault.target)
        _note(scene.lab, fault, lease=None)
        try:
            if fault.left is not None:
                _note(scene.lab, fault, lease=_lease(scene.lab, fault))
            self.strike(scene, node)
        except BaseException:
            _forget(scene.lab, fault)
            raise

    def heal(self, scene: Scene, fault: Fault) -> None:
        """Bring the node back; one that is back already is fine.

        The lab is not held for it: whoever holds it may be waiting for just this node.
        """
        node = scene.node(fault.target)
        if node is not None and node.state in self.states:
            (scene.backend.resume if node.state == "paused" else scene.backend.start)(node)
        _forget(scene.lab, fault)

    def is_active(self, scene: Scene, fault: Fault) -> bool:
        """Whether the node is in that state."""
        node = scene.node(fault.target)
        return node is not None and node.state in self.states


class Stop(_Power):
    """A node that was shut down."""

    name = "stop"
    summary = "Shut a node down in order."

    def strike(self, scene: Scene, node: Node) -> None:
        """As `labctl stop`."""
        scene.backend.stop(node)


class Kill(_Power):
    """A power cut."""

    name = "kill"
    summary = "Pull a node's plug, as a power cut does."

    def strike(self, scene: Scene, node: Node) -> None:
        """As `labctl kill`."""
        scene.backend.kill(node)


class Pause(_Power):
    """A node that hangs."""

    name = "pause"
    summary = "Freeze a node: it hangs, and answers nobody."
    states = ("paused",)

    def strike(self, scene: Scene, node: Node) -> None:
        """As `labctl suspend`."""
        scene.backend.suspend(node)


def found_on_host(scene: Scene) -> list[Fault]:
    """The faults that this user's notes tell of, active or not; a note that nobody can read is dropped."""
    found = []
    for path in sorted(_folder(scene.lab).glob("*.json")):
        try:
            said = json.loads(path.read_text())
            found.append(Fault(**{key: value for key, value in said.items() if key != "lease"}))
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
    return found


def _folder(lab: str) -> Path:
    return lab_path(lab) / "faults"


def _note(lab: str, fault: Fault, *, lease: int | None) -> None:
    folder = lab_dir(lab) / "faults"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / f"{fault.id}.json", json.dumps({**asdict(fault), "lease": lease}).encode())


def _forget(lab: str, fault: Fault) -> None:
    """Drop the note, and end the lease unless it is the one that heals now."""
    path = _folder(lab) / f"{fault.id}.json"
    with contextlib.suppress(OSError, ValueError):
        lease = json.loads(path.read_text()).get("lease")
        if lease and lease != os.getpid() and _is_lease(lease, fault):
            with contextlib.suppress(ProcessLookupError):
                os.kill(lease, signal.SIGTERM)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _lease(lab: str, fault: Fault) -> int:
    """Start what heals the fault when its time is over, whatever becomes of this process, and return its id."""
    command = [sys.executable, "-m", "labctl", "fault", "heal", fault.id, "-l", lab, "--after", f"{fault.left:.1f}"]
    # By a shell, whose child nobody has to wait for: it outlives this process, and is no zombie of one that goes on.
    started = subprocess.run(
        ["/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 & echo $!', "sh", *command],
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


def _is_lease(pid: int, fault: Fault) -> bool:
    """Whether the process is still that lease: ids come again."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return fault.id in psutil.Process(pid).cmdline()
    return False
