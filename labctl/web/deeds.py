"""What a page may do to nodes, by name: what is not listed here cannot be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labctl.errors import UsageError
from labctl.events import Emit
from labctl.faults import active, heal, inject, kind_named, planned
from labctl.lab import Lab
from labctl.web import files

__all__ = ["DEEDS", "QUIET", "Deed"]

Said = Mapping[str, Any]
Deed = Callable[[Lab, Said, Emit], Any]


def _node(said: Said) -> str:
    name = said.get("node")
    if not isinstance(name, str) or not name:
        raise UsageError("which node?")
    return name


def _text(said: Said, key: str) -> str:
    value = said.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{key}: expected a text")
    return value


def _cut(lab: Lab, said: Said, _emit: Emit) -> None:
    name = lab.node(_node(said)).name
    inject(lab.scene(), planned(kind_named("cut"), [name]), sure=said.get("sure") is True)


def _heal(lab: Lab, said: Said, _emit: Emit) -> None:
    name, scene = lab.node(_node(said)).name, lab.scene()
    if ids := [one.id for one in active(scene) if one.target == name]:
        heal(scene, ids)


def _add(lab: Lab, _said: Said, emit: Emit) -> list[str]:
    return [node.name for node in lab.add_nodes(on_event=emit)]


def _read(lab: Lab, said: Said, _emit: Emit) -> dict[str, Any]:
    return files.read(lab.node(_node(said)), _text(said, "path"))


def _write(lab: Lab, said: Said, _emit: Emit) -> dict[str, Any]:
    return files.write(lab.node(_node(said)), _text(said, "path"), _text(said, "text"))


def _list(lab: Lab, said: Said, _emit: Emit) -> dict[str, Any]:
    return files.listed(lab.node(_node(said)), _text(said, "path"))


DEEDS: Mapping[str, Deed] = {
    "stop": lambda lab, said, emit: lab.stop([_node(said)], on_event=emit) and None,
    "start": lambda lab, said, emit: lab.start([_node(said)], on_event=emit) and None,
    "kill": lambda lab, said, emit: lab.kill([_node(said)], on_event=emit) and None,
    "cut": _cut,
    "heal": _heal,
    "add-node": _add,
    "remove-node": lambda lab, said, emit: lab.remove_nodes([_node(said)], on_event=emit),
    "list-files": _list,
    "read-file": _read,
    "write-file": _write,
}
QUIET = ("list-files", "read-file", "write-file")  # nothing of the lab's look is another after them
