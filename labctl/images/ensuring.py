"""`ensure`: let images be there, built and served by the mirror, and do only what is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from labctl.assets import asset
from labctl.concurrent import gather
from labctl.engine import Engine
from labctl.engine.client import tar_of
from labctl.errors import NotFoundError
from labctl.events import Emit, Noted, quiet
from labctl.images.base import ensure_base
from labctl.images.building import Recipe, build
from labctl.images.catalogue import Image, folders_of, read_catalogue, read_images
from labctl.images.lock import held
from labctl.images.mode import MirrorMode, mirror_mode
from labctl.images.names import Reference, parse
from labctl.images.progress import Note, no_note
from labctl.images.recipes import base_identity, find_built, recipe_for, sources_of
from labctl.images.sharing import shared_beginnings
from labctl.images.store import fill, held_names, remember_whole, whole_since
from labctl.words import counted

__all__ = ["build_images", "ensure", "ensure_all", "ensure_services", "serve", "services_built"]

AT_ONCE = 2  # builds; each is mostly one download and one unpacking
SERVICES = "services"


def ensure(
    engine: Engine,
    names: Sequence[str],
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Let the nodes of every lab be able to pull `names`, and a lab's registry be able to start.

    Names that are not this project's are left to Docker Hub; so are those of stand-ins while the Hub is in
    reach. Raises NotFoundError for a name that only the Hub could serve when it is out of reach, and Abandoned once
    `stop` is set.
    """
    chosen = mode or mirror_mode()
    base = base_identity(engine)
    if _all_there(engine, names, chosen, base):
        return
    images = _meant(names, chosen)
    tags = build_images(engine, [_services(), *images], emit, note, mode=chosen, stop=stop)
    serve(engine, images, tags, emit, note, mode=chosen)
    note(f"{counted(len(tags), 'image is', 'images are')} there")


def ensure_all(
    engine: Engine,
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Let the mirror serve every image of this project, so that whatever a tutorial names is there.

    With the Hub in reach that leaves the stand-ins out. Where nothing has changed since the last time it
    costs a look at the files, and no description of an image is read. Raises Abandoned once `stop` is set.
    """
    chosen = mode or mirror_mode()
    digest = sources_of({"": asset("images")}, base_identity(engine))
    if whole_since(engine, chosen) == digest and services_built(engine):
        return
    images = [image for image in read_catalogue().images.values() if image.served(chosen)]
    tags = build_images(engine, [_services(), *images], emit, note, mode=chosen, stop=stop)
    serve(engine, images, tags, emit, note, mode=chosen)
    # The base may only be there since the build.
    remember_whole(engine, chosen, sources_of({"": asset("images")}, base_identity(engine)))


def services_built(engine: Engine) -> bool:
    """Whether the image that registries, mirrors and proxies run is there."""
    sources = sources_of(folders_of(asset("images") / SERVICES))
    return find_built(engine, SERVICES, sources, base_identity(engine)) is not None


def ensure_services(engine: Engine, emit: Emit = quiet, note: Note = no_note) -> str:
    """Return the tag of the image that registries, mirrors and edges run, built first where it is missing."""
    found = find_built(engine, SERVICES, sources_of(folders_of(asset("images") / SERVICES)), base_identity(engine))
    return found or build_images(engine, [_services()], emit, note)[SERVICES]


def build_images(
    engine: Engine,
    images: Sequence[Image],
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode | None = None,
    stop: threading.Event | None = None,
) -> dict[str, str]:
    """Build what is missing of the images, two at a time; returns the tag of each by its name.

    Raises HostError with the failing line of a Dockerfile, and Abandoned once `stop` is set.
    """
    base = base_identity(engine)
    if any(find_built(engine, image.name, image.sources(), base) is None for image in images):
        # Without anything to build, a base that was removed is not missed.
        ensure_base(engine, emit, note, mode=mode, stop=stop)
        base = base_identity(engine)
    builder = _Builder(engine, base, emit, note, stop or threading.Event())
    builder.build_shared(images)
    with ThreadPoolExecutor(AT_ONCE, "labctl-build") as pool:
        # Variants share their files, and with them all layers but the last: one after the other.
        folders = {image.folder: [other for other in images if other.folder == image.folder] for image in images}
        futures = [pool.submit(builder.build_all, group) for group in folders.values()]
        try:
            built = gather(futures)
        except BaseException:
            builder.stop.set()
            raise
    return {name: tag for tags in built for name, tag in tags.items()}


def serve(
    engine: Engine,
    images: Sequence[Image],
    tags: dict[str, str],
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode,
) -> int:
    """Let the mirror's store hold built images under all their names; returns how many names were missing."""

    def missing() -> dict[str, Sequence[Reference]]:
        there = held_names(engine, mode)
        names = {
            tags[image.name]: [name for name in image.served(mode) if there.get(name.path) != tags[image.name]]
            for image in images
        }
        return {tag: references for tag, references in names.items() if references}

    if not missing():
        return 0
    with held("mirror", note, engine=engine):
        wanted = missing()
        if wanted:
            began = time.monotonic()
            fill(engine, mode, wanted, services=tags.get(SERVICES) or ensure_services(engine, emit, note), note=note)
            count = sum(len(references) for references in wanted.values())
            emit(Noted(f"the mirror serves {counted(count, 'more name')} ({time.monotonic() - began:.1f} s)"))
            return count
    return 0


@dataclass
class _Builder:
    engine: Engine
    base: str
    emit: Emit
    note: Note
    stop: threading.Event = field(default_factory=threading.Event)

    def build_shared(self, images: Sequence[Image]) -> None:
        """Build the steps that several images begin with, once; two builds at once would each make their own."""
        todo = [image for image in images if find_built(self.engine, image.name, image.sources(), self.base) is None]
        told = {image.name: (image.folder / "Dockerfile").read_text(encoding="utf-8") for image in todo}
        for steps in shared_beginnings(told):
            with held("shared", self.note, engine=self.engine, stop=self.stop):
                self.note("building what several images share")
                context = tar_of({"Dockerfile": (steps.encode(), 0o644)})
                build(self.engine, Recipe("shared steps", "", context, steps), self.note, stop=self.stop)

    def build_all(self, images: Sequence[Image]) -> dict[str, str]:
        """Return the images' tags, each built first where it is missing."""
        return {image.name: self._built(image) for image in images}

    def _built(self, image: Image) -> str:
        sources = image.sources()
        tag = find_built(self.engine, image.name, sources, self.base)
        if tag is not None:
            return tag
        with held(image.name, self.note, engine=self.engine, stop=self.stop):
            tag = find_built(self.engine, image.name, sources, self.base)
            if tag is None:
                began = time.monotonic()
                recipe = recipe_for(image.name, image.folders(), sources, self.base, image.build_args)
                build(self.engine, recipe, self.note, stop=self.stop)
                self.emit(Noted(f"built {image.name} ({time.monotonic() - began:.0f} s)"))
                tag = recipe.tag
        return tag


def _all_there(engine: Engine, names: Sequence[str], mode: MirrorMode, base: str) -> bool:
    """Whether nothing is to be done, found out without reading a single image.yaml."""
    folder = asset("images")
    if find_built(engine, SERVICES, sources_of(folders_of(folder / SERVICES)), base) is None:
        return False
    there = held_names(engine, mode)
    return all(_is_current(there.get(parse(name).path, ""), folder, base) for name in names)


def _is_current(tag: str, folder: Path, base: str) -> bool:
    """Whether the tag is that of an image made of what lies in the folder now."""
    image, _, mark = tag.removeprefix("labctl-").partition(":")
    sources, _, made_on = mark.partition("-")
    variant = ""
    if not (folder / image).is_dir():
        image, _, variant = image.rpartition("-")
    if not image or not (folder / image).is_dir() or (base and made_on != base):
        return False
    return sources_of({"": folder / image}, variant) == sources


def _services() -> Image:
    return read_images(asset("images") / SERVICES)[0]


def _meant(names: Sequence[str], mode: MirrorMode) -> list[Image]:
    """The images that must be built for these names."""
    catalogue = read_catalogue()
    images: dict[str, Image] = {}
    for name in names:
        try:
            image = catalogue.find(name)
        except NotFoundError:
            if mode.upstream or not parse(name).is_hub:
                continue
            raise
        if image.served(mode):
            images[image.name] = image
    return list(images.values())
