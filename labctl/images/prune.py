"""What labctl made and needs no more: images of older versions, and what the mirror holds of them."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.engine import Engine
from labctl.errors import EngineRefused
from labctl.images.catalogue import Catalogue, read_catalogue
from labctl.images.ensuring import ensure_services
from labctl.images.lock import held
from labctl.images.mode import MirrorMode
from labctl.images.node import node_image
from labctl.images.progress import Note, no_note
from labctl.images.recipes import BASE, base_identity, tag_for
from labctl.images.store import collect_garbage, forget
from labctl.spec import labels

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what could not be since something uses it."""

    removed: tuple[str, ...]
    in_use: tuple[str, ...]


def prune(engine: Engine, note: Note = no_note, *, everything: bool = False) -> Pruned:
    """Remove the images of older versions and what the mirror's stores hold of them; `everything` labctl's at all.

    What a container uses stays. Running labs go on serving what is current.
    """
    current = set() if everything else _current(engine, read_catalogue())
    removed: list[str] = []
    in_use: list[str] = []
    for image in engine.images([labels.IMAGE]):
        _remove(engine, image, current, removed, in_use)
    volumes = [str(volume["Name"]) for volume in engine.volumes([labels.CACHE])]
    for volume in volumes:
        if everything:
            (removed if _volume_removed(engine, volume) else in_use).append(volume)
            forget(volume)
    stores = [volume for volume in volumes if not everything and volume != "labctl-hub-cache"]
    if stores:
        services = ensure_services(engine, note=note)
        with held("mirror", note, engine=engine):
            for volume in stores:
                removed += collect_garbage(engine, MirrorMode(store=volume), current, services=services, note=note)
    return Pruned(tuple(removed), tuple(in_use))


def _current(engine: Engine, catalogue: Catalogue) -> set[str]:
    base = base_identity(engine)
    tags = {tag_for(image.name, image.sources(), base) for image in catalogue.images.values()}
    return tags | {node_image(engine), BASE}


def _remove(engine: Engine, image: dict[str, object], current: set[str], removed: list[str], in_use: list[str]) -> None:
    tags = image.get("RepoTags")
    # An image that a user built on one of ours inherits its labels, but not its tag.
    names = (
        [str(tag) for tag in tags if tag == BASE or str(tag).startswith("labctl-")] if isinstance(tags, list) else []
    )
    for name in names:
        if name in current:
            continue
        try:
            engine.remove_image(name)
            removed.append(name)
        except EngineRefused as refused:
            if refused.status != 409:
                raise
            in_use.append(name)


def _volume_removed(engine: Engine, volume: str) -> bool:
    try:
        engine.remove_volume(volume)
    except EngineRefused as refused:
        if refused.status != 409:
            raise
        return False
    return True
