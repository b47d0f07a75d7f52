"""Which faults there are: looked for on nodes, on this host and on services. A look changes nothing.

Who could not be asked is told, as is what looks like a fault and is none that this labctl can read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from labctl.concurrent import each
from labctl.errors import LabctlError
from labctl.faults import innode, notes, services
from labctl.faults.kinds import KINDS, healed_by
from labctl.faults.model import Fault, Kind, Scene, State
from labctl.faults.reading import Trace, fault_of, plain
from labctl.node import Node

__all__ = ["Found", "acting", "on_host", "on_nodes", "on_services", "search"]


@dataclass
class Found:
    """Faults that left a trace, what cannot be read, with how to clear it away, and who could not be asked."""

    faults: list[Fault] = field(default_factory=list)
    unread: list[tuple[str, Callable[[], object]]] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    def __add__(self, other: Found) -> Found:
        return Found([*self.faults, *other.faults], [*self.unread, *other.unread], [*self.silent, *other.silent])

    def take(self, trace: Trace, where: str, kinds: Mapping[str, Kind], clear: Callable[[], object]) -> None:
        """Take what was read as a fault of these kinds, or as what cannot be read."""
        try:
            self.faults.append(fault_of(trace, kinds))
        except ValueError as wrong:
            self.unread.append(
                (f"{where} has something like a fault, {plain(trace.id)!r}, that cannot be read: {wrong}", clear)
            )


def search(scene: Scene) -> Found:
    """Look everywhere."""
    return on_host(scene) + on_nodes(scene) + on_services(scene)


def on_nodes(scene: Scene) -> Found:
    """What the running nodes know of. One that is suspended has its faults still, and cannot tell."""
    found, nodes = Found(), scene.now()

    def ask(node: Node) -> list[Trace] | LabctlError:
        try:
            return innode.traces_on(node)
        except LabctlError as problem:
            return problem

    kinds = healed_by("node")
    running = [node for node in nodes if node.is_running]
    for node, said in zip(running, each(running, ask), strict=True):
        if isinstance(said, LabctlError):
            found.silent.append(f"{node.name}: {_first_line(said)}")
            continue
        for trace in said:
            found.take(trace, node.name, kinds, lambda node=node, trace=trace: innode.clear(node, trace))  # type: ignore[misc]  # mypy knows no defaults of lambdas
    found.silent += [f"{node.name} is suspended" for node in nodes if node.state == "paused"]
    return found


def on_host(scene: Scene) -> Found:
    """What this user's notes tell of."""
    found, kinds = Found(), healed_by("host")
    for id_, text in notes.texts(scene.lab).items():
        if not _is_json(text):  # nobody writes half a note
            notes.drop(scene.lab, id_)
            continue
        found.take(Trace("", id_, text), "this host", kinds, lambda id_=id_: notes.drop(scene.lab, id_))  # type: ignore[misc]
    return found


def on_services(scene: Scene) -> Found:
    """What services have in their labels."""
    found, kinds = Found(), healed_by("manager")
    try:
        traces = services.traces_on_services(scene)
    except LabctlError as problem:
        if scene.swarmed:
            found.silent.append(f"no manager tells of the services: {_first_line(problem)}")
        return found
    for trace in traces:
        clear = lambda trace=trace: services.clear(scene, trace.where, trace.id)  # noqa: E731
        found.take(trace, f"service {plain(trace.where)}", kinds, clear)
    return found


def acting(scene: Scene, faults: Iterable[Fault]) -> list[Fault]:
    """Those that act, or are about to; one whose node cannot be asked any more may act."""

    def state(fault: Fault) -> State:
        try:
            return KINDS[fault.kind].state(scene, fault)
        except LabctlError:
            return "acts"

    looked = list(faults)
    states = each(looked, state)
    return [replace(one, state=now) for one, now in zip(looked, states, strict=True) if now != "over"]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _first_line(problem: LabctlError) -> str:
    return problem.message.splitlines()[0]
