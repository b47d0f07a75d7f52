"""A bundle: one file with all images of labctl, for a room without network.

It is an ordinary archive as `docker save` makes it, gzipped, with a list of its contents put before it:
`docker load` takes it too. The list comes first so that a wrong file is refused at once; what arrives is
compared with it layer by layer.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from labctl import __version__
from labctl.engine import Engine
from labctl.errors import EngineRefused, HostError, UsageError
from labctl.events import Emit, Warned, quiet
from labctl.images import (
    MirrorMode,
    build_images,
    ensure_base,
    ensure_node_image,
    mirror_mode,
    read_catalogue,
    serve,
)
from labctl.images.building import is_no_space
from labctl.images.progress import Note, heard, no_note, read_size
from labctl.images.recipes import BASE, layers_identity
from labctl.images.upload import ByteStream

__all__ = ["Bundle", "load", "read_manifest", "save"]

MANIFEST = "labctl-bundle.json"
FORMAT = 1
LARGEST_MANIFEST = 4 << 20  # bytes
CHUNK = 1 << 20
IDLE = 300.0  # seconds without a word after which an engine is given up
LEVEL = 1  # of gzip: 6 takes four times as long for a tenth less


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds: the tag of each image and what its layers are; `size` is that of the file, in bytes."""

    version: str
    architecture: str
    images: dict[str, str]
    created: str
    size: int = 0


def save(path: Path, engine: Engine, emit: Emit = quiet, note: Note = no_note) -> Bundle:
    """Write a bundle of everything that labctl builds, building first what is missing.

    The file appears when it is whole. Raises UsageError for a place that cannot be written, HostError when its disk is
    full.
    """
    path = _writable(path)
    # What goes to a room without network must hold the stand-ins, even where the Hub is in reach.
    tags = [BASE, *_all_tags(engine, emit, note, MirrorMode())]
    images = {tag: layers_identity(engine.image(tag) or {}) for tag in tags}
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    bundle = Bundle(__version__, str(engine.version().get("Arch", "")), images, created)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(fresh, bundle, engine, note)
        fresh.replace(path)
    except OSError as problem:
        raise HostError(
            f"the bundle cannot be written to {path.parent}: {problem.strerror or problem}; nothing was kept",
            hint="A bundle takes about as much room as `docker images` says, halved.",
        ) from problem
    finally:
        fresh.unlink(missing_ok=True)
    return Bundle(bundle.version, bundle.architecture, images, created, path.stat().st_size)


def load(path: Path, engine: Engine, emit: Emit = quiet, note: Note = no_note) -> Bundle:
    """Load a bundle into the engine and let the mirror serve it.

    Raises UsageError for a file that is no bundle, HostError for a damaged one or one for other machines.
    """
    bundle = read_manifest(path)
    ours = str(engine.version().get("Arch", ""))
    if bundle.architecture != ours:
        raise HostError(f"{path} is for {bundle.architecture}, and this engine is {ours}")
    if bundle.version != __version__:
        emit(Warned(f"{path} was made by labctl {bundle.version}, this is {__version__}: what differs is built again"))
    _into_engine(path, engine, bundle, note)
    damaged = [tag for tag, layers in bundle.images.items() if layers_identity(engine.image(tag) or {}) != layers]
    if damaged:
        raise HostError(f"after loading {path} the engine lacks {', '.join(damaged)}", hint="Copy the file once more.")
    catalogue = read_catalogue()
    there = {tag.partition(":")[0].removeprefix("labctl-"): tag for tag in bundle.images}
    known = [image for image in catalogue.images.values() if image.name in there]
    serve(engine, known, there, emit, note, mode=mirror_mode())
    return bundle


def read_manifest(path: Path) -> Bundle:
    """Read what a bundle says of itself. Raises UsageError for a file that is none."""
    try:
        size = path.stat().st_size
        with gzip.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
            first = archive.next()
            content = archive.extractfile(first) if first and first.name == MANIFEST else None
            text = content.read(LARGEST_MANIFEST) if content else b""
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint=_HINT) from None
    except (OSError, EOFError, tarfile.TarError) as problem:
        said = getattr(problem, "strerror", None) or "it is no gzipped archive"
        raise UsageError(f"{path} is no bundle: {said}", hint=_HINT) from problem
    try:
        given = json.loads(text)
        if given["format"] != FORMAT:
            raise UsageError(f"{path} is a bundle of format {given['format']}; this labctl reads {FORMAT}", hint=_HINT)
        images = {str(tag): str(layers) for tag, layers in given["images"].items()}
        return Bundle(str(given["version"]), str(given["architecture"]), images, str(given["created"]), size)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"{path} is an archive, but no bundle of labctl's", hint=_HINT) from problem


_NAME_ONE = "Name a file: labctl-bundle.tar.gz."
_HINT = "`labctl bundle save FILE` makes one, on a machine with network."


def _all_tags(engine: Engine, emit: Emit, note: Note, mode: MirrorMode) -> list[str]:
    ensure_base(engine, emit, note)
    node = ensure_node_image(engine, emit, note)
    built = build_images(engine, list(read_catalogue().images.values()), emit, note, mode=mode)
    return [node, *built.values()]


def _writable(path: Path) -> Path:
    """Refuse a place that cannot be written before minutes are spent on what would go there; return where it leads."""
    path = path.resolve()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; a bundle is a file", hint="For example labctl-bundle.tar.gz.")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is a device or a pipe, and a bundle is a file that takes its place", hint=_NAME_ONE)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint=f"`mkdir -p {path.parent}` makes it.")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path.parent} cannot be written to", hint="Name a file in a folder of yours.")
    return path


def _write(path: Path, bundle: Bundle, engine: Engine, note: Note) -> None:
    content = {
        "format": FORMAT,
        "version": bundle.version,
        "architecture": bundle.architecture,
        "created": bundle.created,
        "images": bundle.images,
    }
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
        packed.write(_entry(MANIFEST, json.dumps(content, indent=1).encode()))
        taken = 0
        for chunk in heard(engine.save_images(list(bundle.images)), "saving images", idle=IDLE):
            packed.write(chunk)
            taken += len(chunk)
            note(f"{read_size(taken)} saved, {read_size(raw.tell())} written")


def _entry(name: str, content: bytes) -> bytes:
    """One file of a tar archive, without the archive's end: what comes after it goes on."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    padding = -len(content) % tarfile.BLOCKSIZE
    return entry.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * padding


def _into_engine(path: Path, engine: Engine, bundle: Bundle, note: Note) -> None:
    with path.open("rb") as file:
        archive = io.BufferedReader(ByteStream(_chunks(file, bundle.size, note)), CHUNK)
        try:
            for line in heard(engine.load_images(archive), f"loading {path}", idle=IDLE):
                note(_said(line))
        except EngineRefused as refused:
            if is_no_space(refused.message):
                raise HostError(
                    f"the engine's disk has no room for {path}",
                    hint="`docker system df` shows what takes room there.",
                ) from refused
            raise HostError(f"{path} is damaged: {refused.message}", hint="Copy the file once more.") from refused


def _chunks(file: IO[bytes], size: int, note: Note) -> Iterator[bytes]:
    taken = 0
    while chunk := file.read(CHUNK):
        taken += len(chunk)
        note(f"{read_size(taken)} of {read_size(size)} read")
        yield chunk


def _said(line: dict[str, Any]) -> str:
    return str(line.get("stream") or line.get("status") or "").strip()
