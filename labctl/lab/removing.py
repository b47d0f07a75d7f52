"""Stacks that are taken away: several at once, and a word on nodes that do not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl import edge
from labctl.concurrent import each
from labctl.errors import LabctlError, NotFoundError
from labctl.events import Steps, Warned
from labctl.swarm import SwarmView
from labctl.swarm import stack as stacks

if TYPE_CHECKING:
    from labctl.lab.core import LabCore
    from labctl.node import Node

__all__ = ["remove_stacks"]

AT_ONCE = 4


def remove_stacks(
    lab: LabCore, names: Sequence[str], limit: float
) -> tuple[dict[str, tuple[str, ...]], list[NotFoundError]]:
    """Remove those of the stacks that are there, and close their ports.

    Returns by name the nodes that did not answer, and the errors for names that there are not.
    """
    manager = lab.manager()
    view = SwarmView(manager.engine)
    known = stacks.names(view)
    there = [name for name in dict.fromkeys(names) if name in known]
    # What is removed now is not offered for a name that there is not.
    missing = [NotFoundError("stack", name, known - set(there)) for name in dict.fromkeys(names) if name not in known]
    if not there:
        return {}, missing
    silent = _remove(lab, manager, there, limit, Steps(lab.context.emit, total=1))
    for name, nodes in silent.items():
        _warn_of_silence(lab, name, nodes)
    _close_ports(lab)
    return silent, missing


def _remove(
    lab: LabCore, manager: Node, names: Sequence[str], limit: float, steps: Steps
) -> dict[str, tuple[str, ...]]:
    """Remove stacks that are there, and return by name the nodes that said nothing of what is left."""

    def take(name: str) -> tuple[str, ...]:
        def noted(text: str) -> None:
            steps.note(f"{name}: {text}" if len(names) > 1 else text)

        return stacks.remove(manager, name, nodes=lab.nodes, limit=limit, emit=steps.emit, noted=noted)

    with steps.step(f"Removing {', '.join(names)}"):
        silent = dict(zip(names, each(names, take, at_once=AT_ONCE), strict=True))
        unknown = dict.fromkeys(node for nodes in silent.values() for node in nodes)
        but = f", but for {', '.join(unknown)}" if unknown else ""
        steps.note(f"tasks and networks are gone{but}")
    return silent


def _warn_of_silence(lab: LabCore, name: str, nodes: Sequence[str]) -> None:
    """Say where a stack's containers may still run: the swarm has given up nodes that say nothing."""
    if nodes:
        does, is_back = ("does", "it is") if len(nodes) == 1 else ("do", "they are")
        lab.context.emit(
            Warned(
                f"{', '.join(nodes)} {does} not answer: containers of {name} may go on there until {is_back} back; "
                "`labctl status` tells what brings a node back"
            )
        )


def _close_ports(lab: LabCore) -> None:
    """Where the lab's proxy cannot follow by itself, let it close what the stacks published."""
    try:
        edge.refresh(lab.context.engine, lab.name, lab.nodes, lab.context.emit)
    except LabctlError as problem:
        lab.context.emit(Warned(f"the proxy of published ports: {problem.message}"))
