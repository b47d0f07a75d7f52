"""Images on their way to a lab's nodes: pushed to its registry, pulled from there, or copied from this host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl import registry
from labctl.errors import LabctlError, LabError, NotFoundError
from labctl.events import Steps
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.lab.context import Context
    from labctl.lab.core import LabCore
    from labctl.node import Node
    from labctl.registry import StoredImage

__all__ = ["build", "build_own", "load", "pull", "push", "stored_images"]


def build(context: Context, folder: Path, name: str, *, dockerfile: Path | None = None, network: str = "bridge") -> str:
    """Build a folder's Dockerfile as an image of this host's engine, and return the image's whole name."""
    from labctl.images.own import build_folder

    steps = Steps(context.emit, total=1)
    with steps.step(f"Building {name}"):
        return build_folder(
            context.engine, folder, name, steps.emit, steps.note, dockerfile=dockerfile, network=network
        )


def build_own(context: Context, names: Sequence[str] | None) -> dict[str, str]:
    """Build labctl's own images, all where `names` is None, and let the mirror serve them; see `Host.build_images`."""
    from labctl import images

    engine, mode, catalogue = context.engine, images.mirror_mode(), images.read_catalogue()
    wanted = ["node", *catalogue.images] if names is None else names
    found = [catalogue.find(name) for name in wanted if name not in ("base", "node")]
    chosen = list({image.name: image for image in found}.values())
    steps, tags = Steps(context.emit, total=1 + ("node" in wanted) + bool(chosen) * 2), {}
    with steps.step("Base image"):
        images.ensure_base(engine, steps.emit, steps.note, mode=mode)
    if "node" in wanted:
        with steps.step("Node image"):
            tags["node"] = images.ensure_node_image(engine, steps.emit, steps.note, mode=mode)
            steps.note(tags["node"])
    if chosen:
        with steps.step(counted(len(chosen), "image")):
            built = images.build_images(engine, chosen, steps.emit, steps.note, mode=mode)
            steps.note("")
        with steps.step("Mirror"):
            images.serve(engine, chosen, built, steps.emit, steps.note, mode=mode)
            served = sum(len(each.served(mode)) for each in chosen)
            steps.note(f"{counted(served, 'name')} of {counted(len(chosen), 'image')}")
        tags.update(built)
    return tags


def push(lab: LabCore, image: str, as_name: str = "") -> str:
    """Push an image to the lab's registry, and return what nodes call it there."""
    steps = Steps(lab.context.emit, total=1)
    with steps.step(f"Pushing {image}"):
        stored = registry.push(lab.context.engine, lab.name, image, as_name, steps.note)
        steps.note(stored.digest)
    return stored.name


def pull(lab: LabCore, image: str, nodes: Sequence[Node]) -> None:
    """Let nodes pull an image, one of labctl's own after it was built. Raises NotFoundError or LabError."""
    from labctl.images import ensure

    steps = Steps(lab.context.emit, total=2)
    unknown: NotFoundError | None = None
    with steps.step("Images"):
        try:
            ensure(lab.context.engine, [image], steps.emit, steps.note)
        except NotFoundError as problem:
            # The nodes may know it all the same: from before, or by a mirror of their own.
            unknown = problem
            steps.note("not one of labctl's")
    with steps.step(f"Pulling {image} on {counted(len(nodes), 'node')}"):
        try:
            registry.pull(nodes, image, steps.note)
        except LabError as problem:
            raise _pushed_instead(lab, image) or unknown or problem from None
        steps.note("")


def _pushed_instead(lab: LabCore, image: str) -> NotFoundError | None:
    """What to say where the lab's registry has the image: nodes know it by the registry's name."""
    try:
        stored = stored_images(lab)
    except LabctlError:  # no registry, or none that answers: what the engines said is the one to tell
        return None
    there = next((each.name for each in stored if each.name == registry.inside(image).familiar), None)
    if there is None:
        return None
    return NotFoundError("image", image, None, hint=f"The lab's registry has it: `labctl image pull {there}`.")


def load(lab: LabCore, image: str, nodes: Sequence[Node]) -> None:
    """Copy an image of this host's engine straight to nodes."""
    steps = Steps(lab.context.emit, total=1)
    with steps.step(f"Loading {image} on {counted(len(nodes), 'node')}"):
        registry.load(lab.context.engine, nodes, image, steps.note)


def stored_images(lab: LabCore) -> list[StoredImage]:
    """What the lab's registry holds, by name."""
    return registry.catalog(registry.open_registry(lab.context.engine, lab.name))
