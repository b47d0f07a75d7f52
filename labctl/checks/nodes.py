"""Which node an exercise means by m1 or w2."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labctl.errors import NotFoundError
from labctl.node import Node
from labctl.spec import expand

__all__ = ["node_named"]


def node_named(nodes: Sequence[Node], name: str) -> Node:
    """The node that an exercise means: by its name or short name, or m1, w2 by role and number where names are others.

    Raises NotFoundError with the nearest name.
    """
    try:
        first = next((node.name for node in nodes if node.is_manager), None)
        found = expand(name, [node.name for node in nodes], manager=first)
    except NotFoundError:
        short = re.fullmatch(r"([mw])([1-9]\d*)", name)
        if short is None:
            raise
        of_role = [node for node in nodes if node.is_manager == (short[1] == "m")]
        if int(short[2]) > len(of_role):
            raise
        return of_role[int(short[2]) - 1]
    return next(node for node in nodes if node.name == found)
