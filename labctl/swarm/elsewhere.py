"""What keeps a task from starting on one node, and is there on another: the scheduler tries that one sooner or later.

So it is with an image that was built on one node (`eval "$(labctl env)"; docker build ...`), and with a folder that
was made on one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from labctl.concurrent import each, within
from labctl.errors import EngineRefused, LabctlError
from labctl.node import Node
from labctl.swarm.progress import MISSING_IMAGE, NO_SOURCE
from labctl.waiting import stretched

__all__ = ["absent_images", "is_elsewhere", "missing_image"]

IMAGE = re.compile(rf"{MISSING_IMAGE}: (?P<name>[^\s,;]+)")
SOURCE = re.compile(rf"{NO_SOURCE}: (?P<path>/[^\s,;]+)")

ASKED_FOR = 5.0  # seconds; a mirror that has no image says so at once
NO_LOGIN = (401, 403)  # a task may bring the login that our question lacks


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


def absent_images(names: Iterable[str], nodes: Sequence[Node]) -> set[str]:
    """Which of the images no node has, and none can pull: the engine of one asks their registries, and pulls nothing.

    An image of which nobody can tell is not among them.
    """
    asked = next((node for node in nodes if node.is_running), None)
    absent: set[str] = set()
    if asked is None:
        return absent

    def ask(name: str) -> None:
        try:
            asked.engine.get_json(f"/distribution/{name}/json")
        except EngineRefused as refused:
            if refused.status not in NO_LOGIN and not is_elsewhere(f"{MISSING_IMAGE}: {name}", nodes):
                absent.add(name)

    within(stretched(ASKED_FOR), *(partial(ask, name) for name in dict.fromkeys(names)))
    return set(absent)


def _any(nodes: Sequence[Node], has: Callable[[Node], bool]) -> bool:
    def ask(node: Node) -> bool:
        try:
            return has(node)
        except LabctlError:
            return False

    return any(each([node for node in nodes if node.is_running], ask))
