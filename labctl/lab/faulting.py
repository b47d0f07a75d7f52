"""The lab as faults see it, and a fault for as long as a block runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from labctl.faults import Injected, Scene, kind_named, planned
from labctl.lab.choosing import chosen

if TYPE_CHECKING:
    from labctl.lab.lab import Lab

__all__ = ["injected", "scene_of"]


def scene_of(lab: Lab) -> Scene:
    """The lab as faults see it, as it is now."""
    now = lab.refresh()
    sizes = {spec.name: spec.memory_bytes for spec in now.spec.all_nodes()}

    def try_with(names: Sequence[str]) -> None:
        """Try the lab with nodes that have come back, and mend what they missed."""
        now.refresh().start(names)

    return Scene(
        now.name,
        now.record.subnet or now.spec.subnet or "",
        now.nodes,
        now.backend,
        now.swarm,
        try_with,
        lambda node: sizes.get(node.name),
        now.context.emit,
    )


def injected(
    lab: Lab, kind: str, on: str | Sequence[str], seconds: float | None, options: Mapping[str, str], *, sure: bool
) -> Injected:
    """The fault, which begins with the block that it is given to."""
    found, said = kind_named(kind), dict(options)
    names = [on] if isinstance(on, str) else list(on)
    if found.acts_on == "node":
        names = [node.name for node in chosen(lab, names)]
    if kind == "partition" and not said.get("from"):
        said["from"] = ",".join(node.name for node in lab.nodes if node.name not in names)
    return Injected(scene_of(lab), planned(found, names, said, seconds), sure)
