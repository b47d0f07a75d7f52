"""A lab with more nodes than it has: the spec that says so, and the nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.backend import LabRecord
from labctl.errors import LabError, NotFoundError, UsageError
from labctl.lab.standing import refuse_newer
from labctl.spec import LabSpec, Role, as_noted, read_mapping
from labctl.spec.names import short

__all__ = ["add_nodes", "bare_node", "more_nodes"]

if TYPE_CHECKING:
    from labctl.lab.lab import Lab

Extend = Callable[[LabRecord | None], LabSpec]


def bare_node(lab: str, name: str, options: Mapping[str, Any], kind: Mapping[str, str] | None = None) -> Extend:
    """One more engine that is in no swarm. A lab that is not there is made, of that one node and empty of a swarm.

    `kind` is the backend and the provider that were asked for; a lab that stands has its own, and must agree.
    """
    wanted = dict(kind or {})

    def extend(record: LabRecord | None) -> LabSpec:
        node = {**options, "name": name, "role": "worker"}
        if record is None:
            return read_mapping({"name": lab, "swarm": "empty", "nodes": [node], **wanted}, source="the new machine")
        spec = _spec_of(record)
        _refuse_taken(spec, record, [name])
        if wanted and wanted["backend"] != spec.backend:
            raise UsageError(
                f"lab {spec.name} is made with {spec.backend}; --driver {wanted.get('provider')} is another kind",
                hint="All machines of a lab are of one kind: leave --driver out, or make another lab with -l NAME.",
            )
        return _extended(spec, [node if spec.swarm == "empty" else {**node, "swarm": "bare"}])

    return extend


def more_nodes(lab: str, names: Sequence[str], role: Role, count: int, options: Mapping[str, Any]) -> Extend:
    """`count` more nodes, in the swarm where the lab has one; named as the lab's others where no names are given."""

    def extend(record: LabRecord | None) -> LabSpec:
        if record is None:
            raise NotFoundError("lab", lab, (), hint="`labctl up` makes one.")
        spec = _spec_of(record)
        chosen = list(names) or _free_names(spec, record, role, count)
        _refuse_taken(spec, record, chosen)
        return _extended(spec, [{**options, "name": name, "role": role} for name in chosen])

    return extend


def add_nodes(
    lab: Lab, names: Sequence[str], role: Role, count: int | None, options: Mapping[str, Any], *, verify: bool
) -> list[str]:
    """Add nodes to a lab, and return their names. Raises UsageError for names and a count."""
    from labctl.lab.up import UpOptions, grow

    if names and count is not None:
        raise UsageError("say either names or a count")
    if count is not None and count < 1:
        raise UsageError(f"{count} nodes more is no number of nodes to add")
    extend = more_nodes(lab.name, names, role, 1 if count is None else count, options)
    there: set[str] = set()

    def noted(record: LabRecord | None) -> LabSpec:
        there.update(known.name for known in (record.nodes if record else ()))
        return extend(record)

    grown = grow(lab.context, lab.name, noted, UpOptions(verify=verify))
    return [known.name for known in grown.nodes if known.name not in there]


def _spec_of(record: LabRecord) -> LabSpec:
    refuse_newer(record)
    if record.spec is None:
        raise LabError(
            f"what lab {record.name} shall be is not written on it any more",
            hint=f"`labctl down -l {record.name}` and `labctl up -l {record.name}` recreate it.",
        )
    return record.spec


def _extended(spec: LabSpec, added: Sequence[Mapping[str, Any]]) -> LabSpec:
    given = {key: value for key, value in as_noted(spec).items() if key not in ("managers", "workers", "nodes")}
    there = [as_noted(node) for node in spec.all_nodes()]
    return read_mapping({**given, "nodes": [*there, *added]}, source="the new node")


def _taken(spec: LabSpec, record: LabRecord) -> set[str]:
    return {node.name for node in spec.all_nodes()} | {node.name for node in record.nodes}


def _refuse_taken(spec: LabSpec, record: LabRecord, names: Sequence[str]) -> None:
    twice = sorted(set(names) & _taken(spec, record))
    if twice:
        raise UsageError(
            f"lab {spec.name} has a node named {', '.join(twice)} already", hint="`labctl ls` lists what there is."
        )
    known = [node.name for node in spec.all_nodes()]
    meant = {called: name for name in known for called in short(name, known)}
    if said := next((name for name in names if name in meant), None):
        told = f"{said} is short for {meant[said]} in lab {spec.name}"
        raise UsageError(told, hint="Give the new node another name.")


def _free_names(spec: LabSpec, record: LabRecord, role: Role, count: int) -> list[str]:
    taken = _taken(spec, record)
    numbers = range(1, len(taken) + count + 1)
    return [name for number in numbers if (name := f"{role}{number}") not in taken][:count]
