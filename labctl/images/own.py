"""A folder with a Dockerfile of the user's own, built on this host's engine.

In a room without network that engine knows no nginx:latest: the FROM lines of a build are then led to
the stand-ins, as the mirror leads the nodes to them, and it is said.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from labctl.engine import Engine
from labctl.engine.imagecalls import CONTEXT_DOCKERFILE
from labctl.errors import NotFoundError, UsageError
from labctl.events import Emit, Noted, Warned, quiet
from labctl.images.base import ensure_base
from labctl.images.building import Recipe, build
from labctl.images.catalogue import read_catalogue
from labctl.images.ensuring import build_images
from labctl.images.mode import MirrorMode, mirror_mode
from labctl.images.names import parse
from labctl.images.progress import Note, no_note
from labctl.images.recipes import BASE

__all__ = ["bases_of", "build_folder", "with_bases"]

_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)(.*)$", re.IGNORECASE | re.MULTILINE)


def build_folder(
    engine: Engine,
    folder: Path,
    name: str,
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    dockerfile: Path | None = None,
    mode: MirrorMode | None = None,
    network: str = "bridge",
) -> str:
    """Build a folder's Dockerfile (or `dockerfile`) as image `name` on this host's engine; returns its whole name.

    `network` is what its commands reach. With "host" that is all that listens on this host's 127.0.0.1, too.
    Raises UsageError when there is nothing to build, NotYetError with the failing line of the Dockerfile.
    """
    reference = parse(name)
    text, place = _dockerfile(folder, dockerfile)
    text = with_bases(text, _replacements(engine, text, emit, note, mode or mirror_mode()))
    try:
        context = engine.build_context(folder, text)
    except OSError as problem:
        raise UsageError(f"{folder} cannot be read: {problem}") from problem
    with contextlib.closing(context):
        recipe = Recipe(
            name=reference.familiar,
            tag=reference.familiar,
            context=context,
            dockerfile=text,
            own=True,
            where=str(place),
            inner=CONTEXT_DOCKERFILE,
            network=network,
        )
        build(engine, recipe, note)
    return reference.familiar


def bases_of(dockerfile: str) -> list[str]:
    """Return the images that a Dockerfile begins its stages with; not its own stages, nor what an argument names."""
    stages: set[str] = set()
    bases = []
    for found in _FROM.finditer(dockerfile):
        base, rest = found[2], found[3].split()
        if base not in stages and base != "scratch" and "$" not in base:
            bases.append(base)
        if len(rest) >= 2 and rest[0].upper() == "AS":
            stages.add(rest[1])
    return list(dict.fromkeys(bases))


def with_bases(dockerfile: str, replacements: dict[str, str]) -> str:
    """Return the Dockerfile with other images in its FROM lines; the lines stay where they are."""
    return _FROM.sub(lambda found: f"{found[1]}{replacements.get(found[2], found[2])}{found[3]}", dockerfile)


def _dockerfile(folder: Path, given: Path | None) -> tuple[str, Path]:
    if not folder.is_dir():
        told = "a file" if folder.exists() else "not there"
        raise UsageError(f"{folder} is {told}; `labctl image build PATH -t NAME` takes a folder with a Dockerfile")
    place = given or folder / "Dockerfile"
    try:
        return place.read_text(encoding="utf-8"), place
    except FileNotFoundError:
        raise UsageError(
            f"there is no {place}", hint="`-f FILE` names a Dockerfile that is called otherwise."
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{place} cannot be read as text: {problem}") from problem


def _replacements(engine: Engine, dockerfile: str, emit: Emit, note: Note, mode: MirrorMode) -> dict[str, str]:
    """What this host's engine lacks and labctl has, by the name in the Dockerfile."""
    replaced: dict[str, str] = {}
    catalogue = read_catalogue()
    for base in bases_of(dockerfile):
        reference = parse(base)
        if reference.familiar == BASE:
            ensure_base(engine, emit, note, mode=mode)
        if not reference.is_hub or engine.image(base) is not None:
            continue
        try:
            image = catalogue.find(base)
        except NotFoundError:
            continue  # the engine itself may know where to get it; if not, its own words tell
        if any(name.path == reference.path for name in image.served(mode)):
            replaced[base] = build_images(engine, [image], emit, note, mode=mode)[image.name]
            said = f"FROM {base}: {image.versions}"
            emit(Warned(f"{said}, a stand-in") if image.stands_in(reference) else Noted(said))
    return replaced
