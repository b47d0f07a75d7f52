"""The spec as labctl notes it, on a lab's label or in its folder: JSON without what is the default.

It is read without pydantic, which takes longer to load than `status` or `ssh` shall take. Anybody may have written a
label, so the rules are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import isfinite
from typing import Any, get_args

from labctl.errors import SpecError
from labctl.spec import rules
from labctl.spec.model import Backend, LabSpec, Membership, NodeSpec, PortSpec, Protocol, Provider, Role, Swarm

__all__ = ["as_noted", "note_of", "spec_noted"]

Read = Callable[[Any], Any]


def as_noted(part: LabSpec | NodeSpec | PortSpec) -> dict[str, Any]:
    """The spec, or a part of it, as JSON can carry it, without what is the default."""
    said = ((one.name, getattr(part, one.name), one) for one in fields(part))
    return {name: _plain(value) for name, value, one in said if value != _default_of(one)}


def note_of(spec: LabSpec) -> str:
    """The spec as a label carries it."""
    return json.dumps(as_noted(spec), separators=(",", ":"), ensure_ascii=False)


def spec_noted(said: object, *, source: str) -> LabSpec | None:
    """Read what was noted; None where it is no spec. What another labctl noted may be written in other ways."""
    if not isinstance(said, Mapping):
        return None
    try:
        spec = LabSpec(**_read(said, LAB))
        spec.refuse_contradictions()
    except ValueError:
        from labctl.spec.reading import read_mapping

        try:
            return read_mapping(said, source=source)
        except SpecError:
            return None
    return spec


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, NodeSpec | PortSpec):
        return as_noted(value)
    return value


def _default_of(one: Any) -> Any:
    """The default of a field; what is none, nothing is equal to."""
    return {} if callable(one.default_factory) else one.default


def _read(said: object, how: Mapping[str, Read]) -> dict[str, Any]:
    if not isinstance(said, Mapping) or not set(said) <= set(how):
        raise ValueError("there is no such key")
    return {key: how[key](value) for key, value in said.items()}


def _is(kind: type, check: Read = lambda value: value) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return check(value)

    return read


def _one_of(words: object) -> Read:
    known = get_args(words)

    def read(value: Any) -> Any:
        if value not in known:
            raise ValueError(f"{value!r} is none of {known}")
        return value

    return read


def _between(least: int, most: int) -> Read:
    def check(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(f"{value} is not between {least} and {most}")
        return value

    return _is(int, check)


def _each(read: Read, most: int | None = None) -> Read:
    def whole(value: Sequence[Any]) -> tuple[Any, ...]:
        if most is not None and len(value) > most:
            raise ValueError(f"{most} is the most")
        return tuple(map(read, value))

    return _is(list, whole)


def _values(read: Read) -> Read:
    return _is(dict, lambda value: {_is(str)(key): read(inner) for key, inner in value.items()})


def _cpus(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or value <= 0:
        raise ValueError(f"{value!r} is no number of CPUs")
    return float(value)


SIZE: Mapping[str, Read] = {
    "cpus": _cpus,
    "memory": _is(str, rules.check_memory),
    "engine": _is(dict, rules.check_engine_options),
}
NODE: Mapping[str, Read] = {
    **SIZE,
    "name": _is(str, rules.check_node_name),
    "role": _one_of(Role),
    "swarm": _one_of(Membership),
    "labels": _values(_is(str)),
}
A_PORT = _between(1, rules.LAST_PORT)
PORT: Mapping[str, Read] = {"target": A_PORT, "host": A_PORT, "protocol": _one_of(Protocol)}


def _node(value: object) -> NodeSpec:
    given = _read(value, NODE)
    if "name" not in given:
        raise ValueError("a node without a name")
    return NodeSpec(**given)


def _port(value: object) -> PortSpec:
    given = _read(value, PORT)
    if not {"target", "host"} <= set(given):
        raise ValueError("a port that leads from nowhere, or to nowhere")
    return PortSpec(**given)


LAB: Mapping[str, Read] = {
    **SIZE,
    "name": _is(str, rules.check_name),
    "backend": _one_of(Backend),
    "provider": _one_of(Provider),
    "box": _is(str, rules.check_box),
    "managers": _between(1, rules.MAX_MANAGERS),
    "workers": _between(0, rules.MAX_NODES),
    "nodes": _each(_node, rules.MAX_NODES),
    "swarm": _one_of(Swarm),
    "subnet": _is(str, rules.check_subnet),
    "registry": _is(bool),
    "ports": _each(_port),
    "images": _each(_is(str, rules.check_image)),
    "node_labels": _values(_values(_is(str))),
    "bare_names": _is(bool),
    "privileged_tasks": _is(bool),
}
