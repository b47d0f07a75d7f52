"""What `up` is to make: what is asked for, a file or a spec, and the lab that stands, as one spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.lab.context import Context
    from labctl.spec import LabSpec

__all__ = ["SpecKeys", "SpecOf", "counts", "merged", "wanted"]

# Makes the spec of the lab as it stands (None: nothing does): to be asked again while the lab is held.
SpecOf = Callable[["LabRecord | None"], "LabSpec"]


class SpecKeys(TypedDict, total=False):
    """The keys of lab.yaml that `Lab.up` takes as they are; nodes are counted, or named by a LabSpec."""

    backend: Literal["dind", "vagrant"]
    provider: Literal["libvirt", "virtualbox", "hyperv"]
    box: str
    cpus: float
    memory: str
    swarm: Literal["formed", "empty"]
    subnet: str
    engine: Mapping[str, Any]
    registry: bool
    ports: Sequence[int | str]
    images: Sequence[str]
    node_labels: Mapping[str, Mapping[str, str]]
    bare_names: bool
    privileged_tasks: bool


def counts(nodes: int | None, managers: int | None, workers: int | None, *, flag: str = "") -> dict[str, int]:
    """How many managers and workers are meant; `flag` is what stands before these words where they are typed.

    Raises UsageError for what contradicts itself.
    """
    for key, count in (("nodes", nodes), ("managers", managers), ("workers", workers)):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise UsageError(f"{flag}{key} {count!r}: a whole number is wanted")
    if nodes is None:
        return {key: value for key, value in (("managers", managers), ("workers", workers)) if value is not None}
    if workers is not None:
        raise UsageError(f"say either {flag}nodes or {flag}workers", hint=f"{flag}nodes counts the managers too.")
    if nodes < 1:
        raise UsageError(f"{flag}nodes {nodes}: a lab has at least one node")
    first = 1 if managers is None else managers
    if first > nodes:
        raise UsageError(f"{flag}managers {first} is more than {flag}nodes {nodes}")
    return {"managers": first, "workers": nodes - first}


def wanted(
    context: Context,
    source: LabSpec | Path | None,
    given: Mapping[str, Any],
    *,
    usual: Mapping[str, Any] | None = None,
) -> tuple[LabSpec, SpecOf]:
    """Return the spec that is asked for, and what makes it of the lab as it stands.

    A spec or a lab.yaml is taken as it is, what is `given` wins over it, and it over what is `usual`. Where there is
    neither, a lab that stands is what it was, with what is given. Raises SpecError with all problems.
    """
    from labctl.spec import read_file, read_mapping
    from labctl.state import labs_of_machines

    if source is not None:
        described = read_file(source, given, usual=usual) if isinstance(source, Path) else _overlaid(source, given)
        return described, lambda _: described
    # What is said of a lab of virtual machines need not say again that it is one.
    kind = {"backend": "vagrant"} if given.get("name", "lab") in labs_of_machines() else {}
    asked = read_mapping({**kind, **given})

    def of(record: LabRecord | None) -> LabSpec:
        if record is None or record.spec is None:
            return asked if not kind else read_mapping(given)
        return read_mapping(merged(record.spec, given))

    return of(context.holding(asked.name).find(asked.name)), of


def _overlaid(spec: LabSpec, given: Mapping[str, Any]) -> LabSpec:
    """A spec with what is given in the place of what it says, checked as a file is."""
    from labctl.spec import as_noted, read_mapping

    whole = as_noted(spec) | ({"name": spec.name} if spec.is_named else {})
    if {"managers", "workers"} & set(given):
        whole.pop("nodes", None)
    return read_mapping({**whole, **given}, source="the lab's spec")


def merged(standing: LabSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a lab that stands shall be when these flags are given: what it was, and what they add or change."""
    from labctl.spec import PortSpec, as_noted

    whole = as_noted(standing)
    if given.get("backend", standing.backend) != standing.backend:
        # That it is of another kind will be told; what only one kind has would be complained of first.
        whole = {key: value for key, value in whole.items() if key not in ("provider", "box", "privileged_tasks")}
    if {"managers", "workers"} & set(given):
        whole.pop("nodes", None)
        given = _with_bare_nodes(standing, given)
    for key, value in given.items():
        if isinstance(value, dict):
            whole[key] = {**whole.get(key, {}), **value}
        elif isinstance(value, list):
            whole[key] = [*whole.get(key, []), *(one for one in value if one not in whole.get(key, []))]
        else:
            whole[key] = value
    if "ports" in given:
        # The same port said again, in its short form, is the same port.
        ports = (PortSpec(**one) if isinstance(one, dict) else PortSpec.parse(str(one)) for one in whole["ports"])
        whole["ports"] = list(dict.fromkeys(map(str, ports)))
    return whole


def _with_bare_nodes(standing: LabSpec, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is counted is the swarm: engines that somebody made beside it stay as they are."""
    from labctl.spec import as_noted, read_mapping

    bare = [node for node in standing.nodes if node.swarm == "bare"]
    if not bare:
        return given
    counts = {key: given[key] for key in ("managers", "workers") if key in given}
    nodes = [*read_mapping({"name": standing.name, **counts}).all_nodes(), *bare]
    others = {key: value for key, value in given.items() if key not in counts}
    return {**others, "nodes": [as_noted(node) for node in nodes]}
