"""Which nodes of a lab are meant: by names, by short names, by filters, or as they were found before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from labctl.errors import LabError, NotFoundError, raise_all
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.lab.core import LabCore

__all__ = ["Nodes", "chosen", "client_node", "first_node", "is_up", "named_nodes", "named_or_gone"]

# A node, its name, a filter that means several ("@worker"), or some of these.
Nodes = Node | str | Iterable[Node | str]


def is_up(node: Node) -> bool:
    """Whether a node can be brought down: it runs, or is suspended."""
    return node.is_running or node.state == "paused"


def chosen(lab: LabCore, nodes: Nodes | None) -> list[Node]:
    """Return the nodes that are meant, as the lab has them; all where None is said.

    Raises NotFoundError for a name that means none, LabError for a node that was removed meanwhile.
    """
    if nodes is None:
        return list(lab.nodes)
    given = [nodes] if isinstance(nodes, Node | str) else list(nodes)
    found = {node.name: node for node in lab.as_now([one for one in given if isinstance(one, Node)])}
    found |= {node.name: node for node in named_nodes(lab, [one for one in given if isinstance(one, str)])}
    return list(found.values())


def named_nodes(lab: LabCore, names: Sequence[str]) -> list[Node]:
    """Return the nodes that names and filters mean, each once. All names that mean none are told at once."""
    found: dict[str, Node] = {}
    unknown: list[NotFoundError] = []
    for name in names:
        try:
            found |= {node.name: node for node in lab.select(name)}
        except NotFoundError as problem:
            unknown.append(problem)
    raise_all(unknown)
    return list(found.values())


def named_or_gone(lab: LabCore, nodes: Nodes) -> tuple[list[Node], list[str]]:
    """Return the nodes that are meant, and the names among them of nodes whose machines are gone."""
    from labctl.spec import expand

    given = [nodes] if isinstance(nodes, Node | str) else list(nodes)
    names = [one if isinstance(one, str) else one.name for one in given]
    single = [part.strip() for name in names for part in name.split(",") if part.strip()]
    gone: dict[str, str] = {}
    for name in single:
        with contextlib.suppress(NotFoundError):
            gone[name] = expand(name, lab.gone)
    there = [one for one in given if isinstance(one, Node) and one.name not in gone]
    asked = [part.strip() for one in given if isinstance(one, str) for part in one.split(",") if part.strip()]
    return chosen(lab, [*there, *(name for name in asked if name not in gone)]), list(dict.fromkeys(gone.values()))


def first_node(lab: LabCore, name: str | None) -> Node:
    """Return the node of that name; where none is said the first one, which is a manager where the lab has one.

    Raises NotFoundError with the nearest name, LabError for a lab without nodes.
    """
    if name is not None:
        return lab.node(name)
    if not lab.nodes:
        raise LabError(f"lab {lab.name} has no nodes", hint=f"`labctl up -l {lab.name}` makes them.")
    return lab.nodes[0]


def client_node(lab: LabCore, node: Node | str | None) -> Node:
    """Return the node whose engine a Docker command is for: the one named, or a manager that can change the swarm.

    In a lab without a swarm it is the first node that runs. Raises QuorumLost or LabError.
    """
    if node is not None:
        return lab.as_now([node])[0] if isinstance(node, Node) else lab.node(node)
    try:
        return lab.manager()
    except LabError:
        if lab.spec.swarm == "formed":
            raise
    return next((each for each in lab.nodes if each.is_running), None) or first_node(lab, None)
