"""What keeps a task from starting on one node, and is there on another: the scheduler tries that one sooner or later.

So it is with an image that was built on one node (`eval "$(labctl env)"; docker build ...`), and with a folder that
was made on one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from labctl.concurrent import each
from labctl.errors import LabctlError
from labctl.node import Node
from labctl.swarm.progress import MISSING_IMAGE, NO_SOURCE

__all__ = ["is_elsewhere", "missing_image"]

IMAGE = re.compile(rf"{MISSING_IMAGE}: (?P<name>[^\s,;]+)")
SOURCE = re.compile(rf"{NO_SOURCE}: (?P<path>/[^\s,;]+)")


def missing_image(reason: str) -> str | None:
    """The image that an engine did not have, None where it lacked none."""
    found = IMAGE.search(reason)
    return found["name"] if found else None


def is_elsewhere(reason: str, nodes: Sequence[Node]) -> bool:
    """Whether one of the nodes that run has the image or the folder that the reason says is missing."""
    image, source = missing_image(reason), SOURCE.search(reason)
    if image:
        return _any(nodes, lambda node: node.engine.image(image) is not None)
    if source:
        return _any(nodes, lambda node: node.transport.run(["test", "-e", source["path"]]).ok)
    return False


def _any(nodes: Sequence[Node], has: Callable[[Node], bool]) -> bool:
    def ask(node: Node) -> bool:
        try:
            return has(node)
        except LabctlError:
            return False

    return any(each([node for node in nodes if node.is_running], ask))
