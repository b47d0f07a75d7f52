"""A bundle: one file with all images of labctl, for a room without network.

It is an ordinary archive as `docker save` makes it, gzipped, with a list of its contents put before it:
`docker load` takes it too. The list comes first so that a wrong file is refused at once; what is in the archive is
compared with it before the engine gets any of it, and what arrived there after.

Nobody signs it: whoever wrote the file chose what the next lab's nodes run, and these are root's. A bundle is trusted
like root, by where it comes from or by its SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from labctl import __version__
from labctl.engine import Engine
from labctl.errors import EngineRefused, HostError, UsageError
from labctl.events import Emit, Warned, quiet
from labctl.files import written_whole
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
from labctl.images.saved import check_saved, rewritten_saved
from labctl.images.upload import ByteStream
from labctl.tarstream import TarReader

__all__ = ["Bundle", "load", "read_manifest", "save"]

MANIFEST = "labctl-bundle.json"
FORMAT = 1
LARGEST_MANIFEST = 4 << 20  # bytes
CHUNK = 1 << 20
IDLE = 300.0  # seconds without a word after which an engine is given up
OWN = re.compile(r"labctl-[a-z0-9][a-z0-9._-]*:[\w.-]+")  # what labctl calls what it builds
# What a bundle may unpack to, in bytes: a half more than it must announce, and never more than any room's disk.
SLACK, LARGEST = 64 << 20, 64 << 30
LEVEL = 1  # of gzip: 6 takes four times as long for a tenth less


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds: the tag of each image and what its layers are; `size` is that of the file, in bytes.

    `unpacked` is what the images take, in bytes; 0 where it does not say, and then it is not loaded. `sha256` is the
    file's, where it was read.
    """

    version: str
    architecture: str
    images: dict[str, str]
    created: str
    size: int = 0
    unpacked: int = 0
    sha256: str = field(default="", compare=False)


def save(path: Path, engine: Engine, emit: Emit = quiet, note: Note = no_note) -> Bundle:
    """Write a bundle of everything that labctl builds, building first what is missing.

    The file appears when it is whole. Raises UsageError for a place that cannot be written, HostError when its disk is
    full.
    """
    path = _writable(path)
    # What goes to a room without network must hold the stand-ins, even where the Hub is in reach.
    tags = [BASE, *_all_tags(engine, emit, note, MirrorMode())]
    found = {tag: engine.image(tag) or {} for tag in tags}
    images = {tag: layers_identity(image) for tag, image in found.items()}
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    unpacked = sum(int(image.get("Size") or 0) for image in found.values())
    bundle = Bundle(__version__, str(engine.version().get("Arch", "")), images, created, unpacked=unpacked)
    try:
        _write(path, bundle, engine, note)
    except OSError as problem:
        raise HostError(
            f"the bundle cannot be written to {path.parent}: {problem.strerror or problem}; nothing was kept",
            hint="A bundle takes about as much room as `docker images` says, halved.",
        ) from problem
    return replace(bundle, size=path.stat().st_size, sha256=_digest(path))


def load(path: Path, engine: Engine, emit: Emit = quiet, note: Note = no_note, *, sha256: str | None = None) -> Bundle:
    """Load a bundle into the engine and let the mirror serve it. It is trusted like root: see the module.

    Raises UsageError for a file that is no bundle, has another SHA-256 than `sha256`, holds images that are not in its
    list or not named as labctl's, or more than it announces; HostError for a damaged one or one for other machines.
    """
    bundle = read_manifest(path)
    note(f"reading {read_size(bundle.size)}")
    bundle = replace(bundle, sha256=_digest(path))
    if sha256 is not None and bundle.sha256 != sha256.strip().lower():
        raise UsageError(
            f"{path} is not the file that was meant: its SHA-256 is {bundle.sha256}",
            hint="Copy the file once more, or ask for the sum again: `labctl bundle save` prints it.",
        )
    _check_tags(path, bundle)
    ours = str(engine.version().get("Arch", ""))
    if bundle.architecture != ours:
        raise HostError(f"{path} is for {bundle.architecture}, and this engine is {ours}")
    if bundle.version != __version__:
        emit(Warned(f"{path} was made by labctl {bundle.version}, this is {__version__}: what differs is built again"))
    with path.open("rb") as file:
        _check_images(path, file, bundle, note)
        file.seek(0)
        _into_engine(path, file, engine, bundle, note)
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
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # it is read three times over
            raise UsageError(f"{path} is not a regular file", hint=_HINT)
        size = found.st_size
        with path.open("rb") as file:
            text = _first(file)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint=_HINT) from None
    except (OSError, EOFError, tarfile.TarError, zlib.error) as problem:
        said = getattr(problem, "strerror", None) or "it is no gzipped archive"
        raise UsageError(f"{path} is no bundle: {said}", hint=_HINT) from problem
    try:
        given = json.loads(text)
        if given["format"] != FORMAT:
            raise UsageError(f"{path} is a bundle of format {given['format']}; this labctl reads {FORMAT}", hint=_HINT)
        images = {str(tag): str(layers) for tag, layers in given["images"].items()}
        said = given.get("unpacked")
        unpacked = said if type(said) is int else 0
        return Bundle(str(given["version"]), str(given["architecture"]), images, str(given["created"]), size, unpacked)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise UsageError(f"{path} is an archive, but no bundle of labctl's", hint=_HINT) from problem


def _first(file: IO[bytes]) -> bytes:
    """The list, which is the first entry; nothing where another is, or one that no bundle has."""
    reader = TarReader(_unzipped(file))
    first = next(iter(reader), None)
    is_list = first is not None and first.name == MANIFEST and first.size <= LARGEST_MANIFEST
    return b"".join(reader.content()) if is_list else b""


def _unzipped(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file, mode="rb") as packed:
        while chunk := packed.read(CHUNK):
            yield chunk


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_tags(path: Path, bundle: Bundle) -> None:
    """Refuse a list with names that labctl gives to nothing it builds."""
    strange = sorted(tag for tag in bundle.images if tag != BASE and not OWN.fullmatch(tag))
    if strange:
        raise UsageError(f"{path} is refused: {', '.join(strange[:3])} is no image of labctl's", hint=_FORGED)


def _check_images(path: Path, file: IO[bytes], bundle: Bundle, note: Note) -> None:
    """Refuse an archive that holds anything but what its list says, before the engine sees it."""
    most = min(LARGEST, bundle.unpacked * 3 // 2 + SLACK)
    with _told(path):
        if bundle.unpacked <= 0:
            raise UsageError("its list does not say how many bytes it unpacks to")
        check_saved(_noted(file, bundle, note, "checked"), bundle.images, most_bytes=most, skip=MANIFEST)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except UsageError as forged:
        raise UsageError(f"{path} is refused: {forged.message}", hint=_FORGED) from forged
    except (OSError, EOFError, tarfile.TarError, zlib.error) as problem:
        raise HostError(f"{path} is damaged: {problem}", hint="Copy the file once more.") from problem


_FORGED = (
    "`labctl bundle save` writes no such file: somebody else made or changed it. Load only what you trust like root."
)
_NAME_ONE = "Name a file: labctl-bundle.tar.gz."
_HINT = "`labctl bundle save FILE` makes one, on a machine with network."


def _all_tags(engine: Engine, emit: Emit, note: Note, mode: MirrorMode) -> list[str]:
    ensure_base(engine, emit, note)
    node = ensure_node_image(engine, emit, note)
    built = build_images(engine, list(read_catalogue().images.values()), emit, note, mode=mode)
    return [node, *built.values()]


def _writable(path: Path) -> Path:
    """Refuse a place that cannot be written before minutes are spent on what would go there; return it in full."""
    path = path.absolute()
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
        "unpacked": bundle.unpacked,
    }
    with written_whole(path) as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
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


def _into_engine(path: Path, file: IO[bytes], engine: Engine, bundle: Bundle, note: Note) -> None:
    chunks = rewritten_saved(_noted(file, bundle, note, "loaded"), skip=MANIFEST)
    archive = io.BufferedReader(ByteStream(chunks), CHUNK)
    try:
        with _told(path):
            for line in heard(engine.load_images(archive), f"loading {path}", idle=IDLE):
                note(_said(line))
    except EngineRefused as refused:
        if is_no_space(refused.message):
            raise HostError(
                f"the engine's disk has no room for {path}",
                hint="`docker system df` shows what takes room there.",
            ) from refused
        raise HostError(f"{path} is damaged: {refused.message}", hint="Copy the file once more.") from refused


def _noted(file: IO[bytes], bundle: Bundle, note: Note, done: str) -> Iterator[bytes]:
    for chunk in _unzipped(file):
        note(f"{read_size(file.tell())} of {read_size(bundle.size)} {done}")
        yield chunk


def _said(line: dict[str, Any]) -> str:
    return str(line.get("stream") or line.get("status") or "").strip()
