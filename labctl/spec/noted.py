"""The spec as labctl notes it, on a lab's label or in its folder: JSON without what is the default.

It is read without pydantic, which takes longer to load than `status` or `ssh` shall take. Anybody may have written a
label, so the rules are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from labctl.errors import SpecError
from labctl.spec import rules
from labctl.spec.model import Backend, LabSpec, Membership, NodeSpec, PortSpec, Protocol, Provider, Role, Swarm
from labctl.spec.shapes import Read, between, each_of, of_kind, one_of, read_part, values_of

__all__ = ["NewerNote", "as_noted", "note_of", "spec_noted"]

# Of what this labctl notes and reads. A note that says nothing is of the first; what an older labctl could not read
# without loss takes the next one.
FORMAT = 1


class NewerNote(ValueError):
    """A note that a newer labctl wrote, and of which this one would lose something; says what."""


def as_noted(part: LabSpec | NodeSpec | PortSpec) -> dict[str, Any]:
    """The spec, or a part of it, as JSON can carry it, without what is the default."""
    said = ((one.name, getattr(part, one.name), one) for one in fields(part))
    return {name: _plain(value) for name, value, one in said if value != _default_of(one)}


def note_of(spec: LabSpec) -> str:
    """The spec as a label carries it."""
    return json.dumps(as_noted(spec), separators=(",", ":"), ensure_ascii=False)


def spec_noted(said: object, *, source: str) -> LabSpec | None:
    """Read what was noted; None where it is no spec. What an older labctl noted may be written in other ways.

    Raises NewerNote for what a newer one noted.
    """
    if not isinstance(said, Mapping):
        return None
    _refuse_newer(said)
    said = {key: value for key, value in said.items() if key != "format"}
    try:
        spec = LabSpec(**read_part(said, LAB))
        spec.refuse_contradictions()
    except ValueError:
        from labctl.spec.reading import read_mapping

        try:
            return read_mapping(said, source=source)
        except SpecError:
            return None
    return spec


def _refuse_newer(said: Mapping[str, Any]) -> None:
    """Raise NewerNote for another format, and for keys that this labctl does not know."""
    written = said.get("format", FORMAT)
    if type(written) is not int or written > FORMAT:
        raise NewerNote(f"format {written!r}, and this one reads {FORMAT}")
    parts = [(said, {*LAB, "format"})]
    for key, known in (("nodes", NODE), ("ports", PORT)):
        listed = said.get(key)
        parts += [(one, set(known)) for one in (listed if isinstance(listed, list) else ()) if isinstance(one, Mapping)]
    unknown = sorted({str(key) for part, known in parts for key in part if key not in known})
    if unknown:
        raise NewerNote(f"it says {', '.join(unknown)}")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, NodeSpec | PortSpec):
        return as_noted(value)
    return value


def _default_of(one: Any) -> Any:
    """The default of a field; what is none, nothing is equal to."""
    return {} if callable(one.default_factory) else one.default


def _cpus(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is no number of CPUs")
    return float(value)


SIZE: Mapping[str, Read] = {
    "cpus": _cpus,
    "memory": of_kind(str, rules.check_memory),
    "engine": of_kind(dict, rules.check_engine_options),
}
NODE: Mapping[str, Read] = {
    **SIZE,
    "name": of_kind(str, rules.check_node_name),
    "role": one_of(Role),
    "swarm": one_of(Membership),
    "labels": values_of(of_kind(str)),
}
A_PORT = between(1, rules.LAST_PORT)
PORT: Mapping[str, Read] = {"target": A_PORT, "host": A_PORT, "protocol": one_of(Protocol)}


def _node(value: object) -> NodeSpec:
    given = read_part(value, NODE)
    if "name" not in given:
        raise ValueError("a node without a name")
    return NodeSpec(**given)


def _port(value: object) -> PortSpec:
    given = read_part(value, PORT)
    if not {"target", "host"} <= set(given):
        raise ValueError("a port that leads from nowhere, or to nowhere")
    return PortSpec(**given)


LAB: Mapping[str, Read] = {
    **SIZE,
    "name": of_kind(str, rules.check_name),
    "backend": one_of(Backend),
    "provider": one_of(Provider),
    "box": of_kind(str, rules.check_box),
    "managers": between(1, rules.MAX_MANAGERS),
    "workers": between(0, rules.MAX_NODES),
    "nodes": each_of(_node, rules.MAX_NODES),
    "swarm": one_of(Swarm),
    "subnet": of_kind(str, rules.check_subnet),
    "registry": of_kind(bool),
    "ports": each_of(_port),
    "images": each_of(of_kind(str, rules.check_image)),
    "node_labels": values_of(values_of(of_kind(str))),
    "bare_names": of_kind(bool),
    "privileged_tasks": of_kind(bool),
}
