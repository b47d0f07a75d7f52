"""The disk of the box, made by the engine: a root file system by the playbook, a disk of it by a container of tools.

No loop device, no right on the host and no tool of the host's is needed; the engine may be on another machine.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labctl.assets import asset
from labctl.engine import Engine
from labctl.errors import CommandFailed, HostError, NotFoundError
from labctl.images.base import ensure_base
from labctl.images.building import Recipe, build, is_no_space
from labctl.images.lock import held
from labctl.images.progress import Note, read_size
from labctl.images.recipes import SOURCES, archive_of, base_identity, sources_of, tag_for
from labctl.images.upload import ByteStream
from labctl.spec import labels
from labctl.transport import DockerExec

__all__ = ["DISK_MIB", "build_disk", "convert_disk", "disk_of"]

DISK_MIB = 20 << 10  # what a node sees; on the host it takes what is written
MARK = "box"  # the label of containers that work on one
LIVES = 7200  # seconds after which a container of tools ends by itself, whatever became of us
TOOL = "/usr/lib/labctl/disk"
CHUNK = 1 << 20


def build_disk(engine: Engine, folder: Path, *, cmd_line: str, digest: str, note: Note) -> dict[str, str]:
    """Make disk.qcow2, vmlinuz and initrd.img in `folder`; returns the versions of what is in it.

    Raises HostError with the failing line of playbooks/box/Dockerfile, the failing task, or the tool's words.
    """
    ensure_base(engine, note=note)
    root = _image(engine, "boxroot", "box/Dockerfile", note)
    return disk_of(engine, root, folder, cmd_line=cmd_line, digest=digest, note=note)


def disk_of(engine: Engine, root: str, folder: Path, *, cmd_line: str, digest: str, note: Note) -> dict[str, str]:
    """Make the same of any image that has a kernel and an init. Raises HostError with the tool's words."""
    tools = _image(engine, "boxtools", "box/tools.Dockerfile", note)
    with _tools(engine, tools) as container:
        note("unpacking the root file system")
        with _container(engine, root, ["true"]) as source:
            _work(engine, container, ["unpack"], note, stdin=engine.get(source, "/"))
        _work(engine, container, ["make", str(DISK_MIB), cmd_line, digest], note)
        _fetch(engine, container, "/box", folder, note)
    facts = (folder / "facts").read_text().splitlines()
    (folder / "facts").unlink()
    return dict(line.split(" ", 1) for line in facts if " " in line)


def convert_disk(engine: Engine, disk: Path, folder: Path, suffix: str, note: Note) -> Path:
    """Make a disk of another format (vmdk, vhdx) out of a qcow2, in `folder`; returns its path."""
    tools = _image(engine, "boxtools", "box/tools.Dockerfile", note)
    with _tools(engine, tools) as container:
        note(f"converting the disk to {suffix}")
        _work(engine, container, ["convert", suffix], note, stdin=_chunks(disk))
        _fetch(engine, container, "/box", folder, note)
    return folder / f"disk.{suffix}"


def _image(engine: Engine, name: str, dockerfile: str, note: Note) -> str:
    """Return the tag of an image that a Dockerfile below playbooks/ describes, built where it is missing."""
    top = asset("playbooks")
    base = base_identity(engine)
    if not base:
        ensure_base(engine, note=note)
        base = base_identity(engine)
    sources = sources_of({"": top})
    tag = tag_for(name, sources, base)
    with held(name, note, engine=engine):
        if engine.image(tag) is None:
            recipe = Recipe(
                name=name,
                tag=tag,
                context=archive_of({"": top}),
                dockerfile=(top / dockerfile).read_text(encoding="utf-8"),
                labels={labels.IMAGE: name, SOURCES: sources},
                where=f"playbooks/{dockerfile}",
                inner=dockerfile,
            )
            build(engine, recipe, note)
    return tag


@contextlib.contextmanager
def _tools(engine: Engine, image: str) -> Iterator[str]:
    """A running container of the tools, without network."""
    for left in engine.containers([f"{labels.CACHE}={MARK}"]):
        if left["State"] != "running":
            engine.remove(left["Id"])
    with _container(engine, image, ["sleep", str(LIVES)]) as container:
        engine.start(container)
        yield container


@contextlib.contextmanager
def _container(engine: Engine, image: str, command: Sequence[str]) -> Iterator[str]:
    name = f"labctl-box-{secrets.token_hex(4)}"
    engine.create(
        name,
        {
            "Image": image,
            "Cmd": list(command),
            "Labels": {labels.CACHE: MARK},
            "HostConfig": {"NetworkMode": "none", "Init": True},
        },
    )
    try:
        yield name
    finally:
        engine.remove(name)


def _work(engine: Engine, container: str, words: Sequence[str], note: Note, *, stdin: Iterable[bytes] = ()) -> None:
    """Let the tool do one of its works; each line that it says is told."""
    said = b""
    try:
        for chunk in DockerExec(engine, container, "the box's tools").stream([TOOL, *words], stdin=stdin):
            *lines, said = (said + chunk).split(b"\n")
            for line in lines:
                note(f"the box's disk: {line.decode(errors='replace')}")
    except CommandFailed as failed:
        text = failed.result.stderr.strip()
        if is_no_space(text):
            raise HostError(
                "making the box: the engine's disk is full; nothing of it was kept",
                hint="`docker system df` shows what takes room; `labctl image prune` removes labctl's old images.",
            ) from failed
        last = text.splitlines()[-1] if text else f"it exited {failed.result.code} without a word"
        raise HostError(f"making the box's disk failed at `disk {words[0]}`: {last}") from failed


def _fetch(engine: Engine, container: str, path: str, folder: Path, note: Note) -> None:
    """Copy the files of a folder of the container to one of ours."""
    stream = ByteStream(engine.get(container, path))
    found = 0
    with tarfile.open(fileobj=io.BufferedReader(stream, CHUNK), mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            found += 1
            with (folder / Path(member.name).name).open("wb") as target:
                while chunk := file.read(CHUNK):
                    target.write(chunk)
                    note(f"the box's disk: {read_size(stream.read_so_far)} fetched")
    if not found:
        raise NotFoundError("file of the box", path, None)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
