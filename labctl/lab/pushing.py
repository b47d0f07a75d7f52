"""An image of this host for the nodes of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.events import Steps
from labctl.registry import push as push_image

if TYPE_CHECKING:
    from labctl.lab.lab import Lab

__all__ = ["push"]


def push(lab: Lab, image: str, as_name: str = "") -> str:
    """Push an image to the lab's registry, and return what nodes call it there."""
    steps = Steps(lab.context.emit, total=1)
    with steps.step(f"Pushing {image}"):
        stored = push_image(lab.context.engine, lab.name, image, as_name, steps.note)
        steps.note(stored.digest)
    return stored.name
