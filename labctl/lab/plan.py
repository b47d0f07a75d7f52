"""What `up` would change: the difference between a spec and the lab that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.backend import LabRecord
from labctl.errors import LabError, UsageError
from labctl.node import Node
from labctl.swarm.voters import may_have_manager

if TYPE_CHECKING:
    from labctl.spec import LabSpec, NodeSpec

__all__ = ["HALF_MADE", "Plan", "lost_swarm", "plan_of", "refuse_half_made"]

# A container in this state was made by an `up` that ended before it could start it.
HALF_MADE = "created"


@dataclass(frozen=True)
class Plan:
    """What is to be made, started and left alone. `extra` are nodes that the spec does not name."""

    spec: LabSpec
    is_new: bool
    create: tuple[NodeSpec, ...]
    replace: tuple[Node, ...]
    start: tuple[Node, ...]
    keep: tuple[Node, ...]
    extra: tuple[Node, ...]

    @property
    def whole(self) -> tuple[Node, ...]:
        """The nodes that stand, running or not."""
        return (*self.start, *self.keep, *self.extra)

    @property
    def changes(self) -> bool:
        """Whether a node is to be made or started."""
        return bool(self.create or self.start)

    def lines(self) -> list[str]:
        """The plan as a person reads it, one line each."""
        made = [f"create  {node.name} ({node.role})" for node in self.create]
        started = [f"{_verb(node)} {node.name} ({node.role}), which is {node.state}" for node in self.start]
        kept = [f"keep    {node.name} ({node.role})" for node in self.keep]
        extra = [f"keep    {node.name} ({node.role}), which the spec does not name" for node in self.extra]
        head = f"{'create' if self.is_new else 'keep  '}  lab {self.spec.name} ({self.spec.backend})"
        return [head, *made, *started, *kept, *extra]


def _verb(node: Node) -> str:
    return "resume " if node.state == "paused" else "start  "


def plan_of(spec: LabSpec, record: LabRecord | None) -> Plan:
    """Compare the spec with the lab that stands (None: nothing does).

    Raises UsageError when they differ in what cannot change, LabError when the swarm's only manager is lost.
    """
    nodes = {node.name: node for node in record.nodes} if record else {}
    wanted = spec.all_nodes()
    if record is not None:
        _refuse_other_kind(spec, record)
        _refuse_other_registry(spec, record)
        _refuse_other_devices(spec, record)
    whole = {name: node for name, node in nodes.items() if node.state != HALF_MADE}
    create = tuple(node for node in wanted if node.name not in whole)
    if record is not None and (lost := lost_swarm(spec, record.nodes)):
        raise lost
    names = {node.name for node in wanted}
    return Plan(
        spec=spec,
        is_new=not whole,
        create=create,
        replace=tuple(node for node in nodes.values() if node.state == HALF_MADE),
        start=tuple(node for node in whole.values() if not node.is_running),
        keep=tuple(node for name, node in whole.items() if node.is_running and name in names),
        extra=tuple(node for name, node in whole.items() if node.is_running and name not in names),
    )


def refuse_half_made(nodes: Sequence[Node]) -> None:
    """Raise LabError for nodes that have no keys and no settings yet: started, they would run and never answer."""
    if half := [node.name for node in nodes if node.state == HALF_MADE]:
        raise LabError(
            f"{', '.join(half)}: half made, by an `up` that was killed", hint="`labctl up` makes the lab whole."
        )


def _refuse_other_kind(spec: LabSpec, record: LabRecord) -> None:
    if spec.subnet and record.subnet and spec.subnet != record.subnet:
        raise UsageError(
            f"lab {spec.name} stands on {record.subnet}, and {spec.subnet} was asked for",
            hint=f"`labctl down -l {spec.name}` first, or give the new lab another name (`-l NAME`).",
        )
    if record.spec is not None and record.spec.backend != spec.backend:
        raise UsageError(
            f"lab {spec.name} was made with --backend {record.spec.backend}, and {spec.backend} was asked for",
            hint=f"`labctl down -l {spec.name}` first, or give the new lab another name (`-l NAME`).",
        )


def _refuse_other_registry(spec: LabSpec, record: LabRecord) -> None:
    """Engines are told of the registry when they are made: it can neither come to a lab nor go from it."""
    if record.spec is not None and record.nodes and record.spec.registry != spec.registry:
        raise UsageError(
            f"lab {spec.name} was made {'with' if record.spec.registry else 'without'} a registry, and stays so",
            hint=f"`labctl down -l {spec.name}` first, or give the new lab another name (`-l NAME`).",
        )


def _refuse_other_devices(spec: LabSpec, record: LabRecord) -> None:
    """A node is given its devices when it is made."""
    if record.spec is not None and record.nodes and record.spec.privileged_tasks != spec.privileged_tasks:
        had = "with" if record.spec.privileged_tasks else "without"
        raise UsageError(
            f"lab {spec.name} was made {had} privileged_tasks, and stays so",
            hint=f"`labctl down -l {spec.name}` first, or give the new lab another name (`-l NAME`).",
        )


def lost_swarm(spec: LabSpec, nodes: Sequence[Node]) -> LabError | None:
    """The error for nodes that have lost all managers of their swarm; None where one is left, or nothing stands.

    Without any of its managers a swarm cannot be joined again: only a new lab helps.
    """
    whole = {node.name: node for node in nodes if node.state != HALF_MADE}
    if spec.swarm != "formed" or not whole or any(node.is_manager for node in whole.values()):
        return None
    if not any(node.role == "manager" and node.name not in whole for node in spec.all_nodes()):
        return None
    if may_have_manager(list(whole.values())):
        return None  # one that was promoted
    return LabError(
        f"lab {spec.name} has lost its managers, and with them the swarm; "
        f"{', '.join(sorted(whole))} cannot join another by themselves",
        hint=f"`labctl down -l {spec.name}` and `labctl up -l {spec.name}` recreate it.",
    )
