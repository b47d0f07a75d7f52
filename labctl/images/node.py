"""The node image: a whole engine in a container, from dind/ and the mesh agent."""

from __future__ import annotations

import threading
from pathlib import Path

import labctl
from labctl.assets import asset
from labctl.engine import Engine
from labctl.events import Emit, Noted, quiet
from labctl.images.base import ensure_base
from labctl.images.building import build
from labctl.images.lock import held
from labctl.images.mode import MirrorMode
from labctl.images.progress import Note, no_note
from labctl.images.recipes import base_identity, find_built, recipe_for, sources_of, tag_for

__all__ = ["ensure_node_image", "node_folders", "node_image"]

NAME = "node"


def node_folders() -> dict[str, Path]:
    """What the image is made of: places in its build context, and the folders that go there."""
    return {"": asset("dind"), "mesh": Path(labctl.__file__).parent / "mesh"}


def node_image(engine: Engine) -> str:
    """Return the tag that the node image has, or will have once it is built on the base that is here."""
    base, sources = base_identity(engine), sources_of(node_folders())
    return find_built(engine, NAME, sources, base) or tag_for(NAME, sources, base or "unbuilt")


def ensure_node_image(
    engine: Engine,
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Return the tag of the node image, built first where it is missing.

    `note` hears each line of a build. Raises HostError with the failing line of the Dockerfile, Abandoned once `stop`
    is set.
    """
    folders = node_folders()
    sources = sources_of(folders)
    tag = find_built(engine, NAME, sources, base_identity(engine))
    if tag is not None:
        return tag
    ensure_base(engine, emit, note, mode=mode, stop=stop)
    with held(NAME, note, engine=engine, stop=stop):
        base = base_identity(engine)
        tag = find_built(engine, NAME, sources, base)
        if tag is None:
            recipe = recipe_for(NAME, folders, sources, base)
            build(engine, recipe, note, stop=stop)
            tag = recipe.tag
            emit(Noted(f"built the node image {tag}"))
    return tag
