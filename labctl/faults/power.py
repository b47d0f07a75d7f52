"""Faults of a node as a machine: stopped, its plug pulled, frozen. This host injects and heals them.

What is noted (`notes`) is who did it, until when, and to which run of the node; whether it acts, the node tells. The
lease is `labctl fault heal` as a process of its own, started before the fault. An engine that was asked to stop a node
does so whatever becomes of labctl: the note and the lease stay until that is seen.
"""

from __future__ import annotations

import time
from dataclasses import replace

from labctl.errors import EngineRefused, LabError, NodeDown, UsageError
from labctl.faults import notes
from labctl.faults.model import Fault, Healer, Option, Scene, State, Target
from labctl.faults.notes import Note
from labctl.node import Node
from labctl.waiting import Pending, stretched, wait_until

__all__ = ["Kill", "Pause", "Stop"]


class _Power:
    """A kind of fault that is a node's state."""

    name = ""
    summary = ""
    acts_on: Target = "node"
    healer: Healer = "host"
    options: tuple[Option, ...] = ()
    breaks_node = True
    parts_nodes = False  # `labctl start` tries the lab with a node that is back
    states: tuple[str, ...] = ("exited",)
    takes = 5.0  # seconds that a strike may go on when labctl is gone

    def strike(self, scene: Scene, node: Node) -> None:
        """Do it to the node."""
        raise NotImplementedError

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise NodeDown for a node that does not run, LabError for one that is about to be down."""
        scene.running(fault.target)
        for id_, told in notes.targets(scene.lab).items():
            note = notes.read(scene.lab, id_) if told == fault.target else None
            if note is not None and not note.struck and self._goes_on(scene, note):
                raise LabError(f"{fault.target} is being struck already: {id_}", hint="`labctl fault status` tells.")

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Note it, arm the lease, and strike. Who injects holds the node (`notes.striking_on`)."""
        node = scene.running(fault.target)
        note = Note(run=node.run_id, since=time.time(), struck=False)
        notes.write(scene.lab, fault, note)
        try:
            if fault.left is not None:
                note = replace(note, lease=notes.arm(scene.lab, fault))
                notes.write(scene.lab, fault, note)
        except BaseException:
            notes.forget(scene.lab, fault.id)
            raise
        try:
            self.strike(scene, node)
        except (EngineRefused, NodeDown, UsageError):
            notes.forget(scene.lab, fault.id)
            raise
        notes.write(scene.lab, fault, replace(note, struck=True), again=True)

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """Bring the node back, when the strike has ended; one that is back already is fine.

        The lab is not held for it: whoever holds it may be waiting for just this node.
        """
        with notes.striking_on(scene.lab, [fault.target]):
            note = notes.read(scene.lab, fault.id)
            if note is None:  # somebody has stopped, started or removed the node himself
                return False

            def look() -> Node | None:
                node = scene.node(fault.target)
                if self._state(scene, node, note) == "striking":
                    raise Pending(f"{fault.target} is running")
                return node

            node = wait_until(
                f"the end of {self.name} on {fault.target}", look, limit=self._limit(scene) + 10, pause=0.2
            )
            is_down = node is not None and self._state(scene, node, note) == "acts"
            if node is not None and is_down:
                if node.state == "paused":
                    scene.backend.resume(node)
                else:
                    scene.missed(node)
                    scene.backend.start(node)
            notes.forget(scene.lab, fault.id)
            return is_down

    def state(self, scene: Scene, fault: Fault) -> State:
        """Whether the run of the node that was struck is in that state."""
        note = notes.read(scene.lab, fault.id)
        if note is None:
            return "over"
        if not note.struck and notes.is_held(scene.lab, fault.target):
            return "striking"
        return self._state(scene, scene.node(fault.target), note)

    def _state(self, scene: Scene, node: Node | None, note: Note) -> State:
        if node is None or note.run not in ("", node.run_id):
            return "over"
        if node.state in self.states:
            return "acts"
        return "striking" if not note.struck and self._goes_on(scene, note) else "over"

    def _goes_on(self, scene: Scene, note: Note) -> bool:
        return 0 <= time.time() - note.since < self._limit(scene)

    def _limit(self, scene: Scene) -> float:
        """How long the engine, or Vagrant, may be at it."""
        return stretched(self.takes * (6 if scene.backend.has_own_kernel else 1))


class Stop(_Power):
    """A node that was shut down."""

    name = "stop"
    summary = "Shut a node down in order."
    takes = 20.0  # the engine waits 10 before it kills

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
