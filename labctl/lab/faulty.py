"""What is said of faults: where a node has one, that is what ails it, and healing it is what helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from labctl.backend import LabRecord
from labctl.concurrent import each
from labctl.errors import LabctlError, LabError, UsageError
from labctl.node import Node
from labctl.state import lab_path

if TYPE_CHECKING:
    from labctl.faults import Fault
    from labctl.faults.reading import Trace
    from labctl.swarm.state import Service

__all__ = ["faults_of_services", "faults_told", "refuse_held_down", "with_faults"]

HOLDS = "engine-stop"  # the kind that keeps an engine from starting
PING_LIMIT = 2.0  # seconds
ADVICE = re.compile(r"`labctl (?:start|restart|resume)\b")


def with_faults(record: LabRecord, problems: Sequence[str]) -> list[str]:
    """The problems, where nodes have faults with these in the place of the advice to start such a node over.

    Nodes are asked only where there is a problem; that a lab in which all is well has a fault, its user knows.
    """
    if not problems:
        return []
    faults = _faults_of_nodes(record)
    names = {fault.target for fault in faults}
    return [*map(_told, faults), *(one for one in problems if not _advises_about(one, names))]


@contextmanager
def faults_told(look: Callable[[], LabRecord | None]) -> Iterator[None]:
    """A block whose errors tell of the faults that the lab's nodes have, before their own advice; `look` finds the lab.

    What was asked wrongly is no fault's doing.
    """
    try:
        yield
    except UsageError:
        raise
    except LabctlError as problem:
        told: list[str] = []
        with suppress(LabctlError):  # what is raised already is the one to tell
            record = look()
            told = [_told(fault) for fault in _faults_of_nodes(record)] if record is not None else []
        known = problem.message + (problem.hint or "")
        if fresh := [f"{one}." for one in told if one not in known]:
            problem.hint = "\n".join([*fresh, *([problem.hint] if problem.hint else [])])
        raise


def refuse_held_down(record: LabRecord, node: Node, limit: float) -> None:
    """Raise LabError for a node that runs and whose engine a fault holds down for more than `limit` seconds."""
    if _answers(node):
        return
    held = [fault for fault in _faults_of_nodes(record) if fault.target == node.name and fault.kind == HOLDS]
    if lasting := [fault for fault in held if fault.left is None or fault.left > limit]:
        raise LabError("\n".join(map(_told, lasting)))


def _answers(node: Node) -> bool:
    try:
        node.engine.ping(limit=PING_LIMIT)
    except LabctlError:
        return False
    return True


def _told(fault: Fault) -> str:
    return f"{fault.target} has the fault {fault.kind} ({fault.id}): `labctl fault heal {fault.id}`"


def faults_of_services(services: Iterable[Service]) -> list[str]:
    """The faults that services have, as their labels tell, each with what heals it."""
    from labctl.faults.kinds import healed_by
    from labctl.faults.reading import fault_of
    from labctl.faults.services import traces_of

    told = []
    for service in [one for one in services if one.labels]:
        for trace in traces_of(service):
            try:
                fault = fault_of(trace, healed_by("manager"))
            except ValueError:
                continue
            late = ", which is overdue" if fault.is_overdue else ""
            told.append(
                f"service {service.name} has the fault {fault.kind} ({fault.id}){late}: `labctl fault heal {fault.id}`"
            )
    return told


def _advises_about(problem: str, names: Iterable[str]) -> bool:
    """Whether a problem says to start one of these nodes."""
    return ADVICE.search(problem) is not None and any(re.search(rf"\b{re.escape(one)}\b", problem) for one in names)


def _faults_of_nodes(record: LabRecord) -> list[Fault]:
    """What is noted on this host for nodes that do not run, and what running nodes tell."""
    from labctl.faults.innode import traces_on
    from labctl.faults.model import ID
    from labctl.faults.reading import Trace, fault_of

    def ask(node: Node) -> list[Trace]:
        try:
            return traces_on(node)
        except LabctlError:
            return []

    down = {node.name for node in record.nodes if not node.is_running}
    here = [(Trace("", id_, text), "host") for id_, text in _noted(record.name).items()]
    asked = each([node for node in record.nodes if node.is_running], ask)
    there = [(trace, "node") for traces in asked for trace in traces if re.fullmatch(ID, trace.id)]
    found: list[Fault] = []
    if not here and not there:
        return found
    from labctl.faults.kinds import healed_by

    for trace, healer in [*here, *there]:
        try:
            fault = fault_of(trace, healed_by(healer))
        except ValueError:
            continue
        if healer == "node" or fault.target in down:
            found.append(fault)
    return found


def _noted(lab: str) -> dict[str, str]:
    """What is noted on this host; where nothing is, what reads notes is not loaded."""
    if not (lab_path(lab) / "faults").is_dir():
        return {}
    from labctl.faults.notes import texts

    return texts(lab)
