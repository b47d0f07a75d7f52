"""labctl's own images as they are on this host: which are built, and which the mirror serves under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labctl.engine import Engine
from labctl.images.catalogue import Image, read_catalogue
from labctl.images.mode import MirrorMode
from labctl.images.recipes import base_identity, find_built
from labctl.images.store import held_names

__all__ = ["ImageName", "OwnImage", "own_images"]


@dataclass(frozen=True)
class ImageName:
    """A name of an image. `standin`: labctl's image takes the place of somebody else's. `served`: nodes can pull it."""

    name: str
    standin: bool
    served: bool


@dataclass(frozen=True)
class OwnImage:
    """An image that labctl builds. `tag` is None and `size`, in bytes, 0 while it is not built."""

    name: str
    kind: Literal["stand-in", "labctl's"]
    state: Literal["served", "built", "not built"]
    tag: str | None
    size: int
    names: tuple[ImageName, ...]
    summary: str
    versions: str


def own_images(engine: Engine, mode: MirrorMode) -> list[OwnImage]:
    """All images of the catalogue, in its order."""
    base, held = base_identity(engine), held_names(engine, mode)
    return [_seen(engine, image, base, held) for image in read_catalogue().images.values()]


def _seen(engine: Engine, image: Image, base: str, held: dict[str, str]) -> OwnImage:
    tag = find_built(engine, image.name, image.sources(), base)
    names = tuple(
        ImageName(each.familiar, image.stands_in(each), tag is not None and held.get(each.path) == tag)
        for each in image.names
    )
    return OwnImage(
        name=image.name,
        kind="stand-in" if image.standin else "labctl's",
        state="served" if any(each.served for each in names) else "built" if tag else "not built",
        tag=tag,
        size=int((engine.image(tag) or {}).get("Size", 0)) if tag else 0,
        names=names,
        summary=image.summary,
        versions=image.versions,
    )
