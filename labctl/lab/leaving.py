"""Nodes that are taken out of a lab: out of its swarm in order, their machines, and out of what the lab shall be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.concurrent import each
from labctl.engine import contexts
from labctl.errors import UsageError
from labctl.events import Steps
from labctl.lab.members import leave_swarm, strike_off
from labctl.lab.standing import refuse_newer, refuse_without_keys
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.lab.lab import Lab
    from labctl.spec import LabSpec, NodeSpec

__all__ = ["take_out", "with_nodes"]


def take_out(lab: Lab, names: Sequence[str], *, force: bool) -> None:
    """Remove the nodes of these names, those too whose machines are gone.

    The lab is held, and has just been looked at. Raises UsageError when no node would stay.
    """
    refuse_without_keys(lab.name, lab.nodes)
    refuse_newer(lab.record)
    going = [node for node in lab.nodes if node.name in names]
    stay = [node for node in lab.nodes if node.name not in names]
    shown = ", ".join(sorted(set(names)))
    if not stay:
        what = f"{shown} {'is' if len(set(names)) == 1 else 'are'} all that the lab has"
        raise UsageError(what, hint=f"`labctl down -l {lab.name}` removes the lab.")
    out: set[str] = set()

    def take(node: Node) -> None:
        if node.is_running or lab.spec.joins(node.name):
            leave_swarm(node, stay, force=force, emit=lab.context.emit)
        lab.backend.remove_node(node)
        out.add(node.name)

    with Steps(lab.context.emit, total=1).step(f"Removing {shown}"):
        try:
            each([node for node in going if not node.is_manager], take)
            for manager in [node for node in going if node.is_manager]:
                take(manager)
            for name in [name for name in names if name in lab.gone]:
                if lab.spec.joins(name):
                    strike_off(name, stay, force=force, emit=lab.context.emit)
                out.add(name)
        finally:
            left = [spec for spec in lab.spec.all_nodes() if spec.name not in out]
            lab.backend.remember(with_nodes(lab.spec, left))
            contexts.create(lab.name, stay[0].endpoint, lab.context.emit)


def with_nodes(spec: LabSpec, nodes: Sequence[NodeSpec]) -> LabSpec:
    """The spec with these nodes, and on each the labels that a filter gave it: filters may name one that is gone."""
    labelled = [replace(node, labels=spec.labels_of(node)) for node in nodes]
    return replace(spec, nodes=tuple(labelled), node_labels={}, managers=1, workers=3)
