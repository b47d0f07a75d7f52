"""The box: what a lab's virtual machines are copies of, made of Debian's packages by this host's engine.

It is made once for each content of playbooks/ and kept in the user's cache folder (`$LABCTL_CACHE`):

    boxes/DIGEST/disk.qcow2, vmlinuz, initrd.img     the disk, and what a direct kernel boot starts it with
    boxes/DIGEST/libvirt.box, ...                    what Vagrant is given for a provider
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labctl.assets import asset, digest_of
from labctl.engine import Engine
from labctl.errors import HostError, UsageError
from labctl.events import Emit, Noted, quiet
from labctl.images.lock import held
from labctl.images.progress import Note, no_note
from labctl.spec.choices import PROVIDERS
from labctl.state import at_home

__all__ = ["CMD_LINE", "Box", "box_digest", "boxes_dir", "ensure_box", "find_box", "remove_boxes"]

# The last console is the one that systemd writes to. No AppArmor (a security module that is not listed): loading its
# profiles takes an emulated processor seconds, and nodes that are containers have none either.
CMD_LINE = (
    "root=LABEL=labctl rw net.ifnames=0 console=tty0 console=ttyS0,115200 "
    "lsm=yama audit=0 nowatchdog fsck.mode=skip 8250.nr_uarts=1 loglevel=4 "
    "systemd.show_status=yes"
)
PARTS = ("disk.qcow2", "vmlinuz", "initrd.img")
FORMAT = "1"  # changes when what is made of the same playbooks changes
ROOM = 3 << 30  # bytes that a disk and one box take while they are made, at most


@dataclass(frozen=True)
class Box:
    """A box as it stands on this machine. `file` is for `vagrant box add`, `disk` is the same as qcow2.

    `kernel` and `initrd` start the disk directly, with `cmd_line`; only libvirt can be told so.
    """

    name: str
    version: str
    file: Path
    disk: Path
    kernel: Path | None
    initrd: Path | None
    cmd_line: str
    digest: str


ANOTHER_CACHE = "LABCTL_CACHE names another folder."


def boxes_dir() -> Path:
    """Return the folder of all boxes, which may not be there."""
    chosen = os.environ.get("LABCTL_CACHE")
    if chosen:
        return at_home(lambda: Path(chosen).expanduser(), ANOTHER_CACHE) / "boxes"
    import platformdirs

    return at_home(lambda: platformdirs.user_cache_dir("labctl"), ANOTHER_CACHE) / "boxes"


def box_digest() -> str:
    """Return what the box is made of, as 12 hex digits."""
    return digest_of([asset("playbooks")], FORMAT, CMD_LINE)


def find_box(provider: str) -> Box | None:
    """Return the box for a provider where it is made already; nothing is built. Raises UsageError for no provider."""
    if provider not in PROVIDERS:
        raise UsageError(f"no box is made for {provider}", hint=f"Providers: {', '.join(PROVIDERS)}.")
    digest = box_digest()
    folder = boxes_dir() / digest
    file = folder / f"{provider}.box"
    if not _is_whole_file(file) or not _is_whole(folder):
        return None
    direct = provider == "libvirt"
    return Box(
        name=f"labctl-{digest}",
        version="0",  # Vagrant's own for a box that comes as a file
        file=file,
        disk=folder / "disk.qcow2",
        kernel=folder / "vmlinuz" if direct else None,
        initrd=folder / "initrd.img" if direct else None,
        cmd_line=CMD_LINE,
        digest=digest,
    )


def ensure_box(engine: Engine, provider: str, emit: Emit = quiet, note: Note = no_note) -> Box:
    """Return the box for a provider, made first where it is missing; one command at a time makes it.

    Raises HostError when packages cannot be had, a disk is full, or a tool fails: nothing is left behind then.
    """
    found = find_box(provider)
    if found is not None:
        return found
    with held("box", note):
        folder = boxes_dir() / box_digest()
        if not _is_whole(folder):
            _make_disk(engine, folder, note)
            emit(Noted(f"made the box's disk, in {folder}"))
        if find_box(provider) is None:
            _make_file(engine, folder, provider, note)
            emit(Noted(f"made the box for {provider}"))
    made = find_box(provider)
    if made is None:
        raise HostError(
            "playbooks/ changed while the box was made of it", hint="`labctl image build --vm` recreates it."
        )
    return made


def remove_boxes(kept: Collection[str], note: Note = no_note) -> list[str]:
    """Remove what is cached of all boxes but those with these digests; returns their digests. Raises HostError."""
    with held("box", note):
        found = sorted(path for path in boxes_dir().glob("*") if path.is_dir() and not path.name.startswith("."))
        removed = [path for path in found if path.name not in kept]
        for path in removed:
            shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in removed]


def _make_disk(engine: Engine, folder: Path, note: Note) -> None:
    from labctl.images.box_build import build_disk

    with _fresh(folder.parent, folder.name) as fresh:
        facts = build_disk(engine, fresh, cmd_line=CMD_LINE, digest=folder.name, note=note)
        content = {"digest": folder.name, "cmd_line": CMD_LINE, **facts, "sizes": _sizes(fresh, PARTS)}
        (fresh / "box.json").write_text(json.dumps(content, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)


def _make_file(engine: Engine, folder: Path, provider: str, note: Note) -> None:
    from labctl.images.box_build import convert_disk
    from labctl.images.box_package import DISKS, package

    with _fresh(folder, f"{provider}") as fresh:
        disk = folder / "disk.qcow2"
        if provider != "libvirt":
            disk = convert_disk(engine, disk, fresh, DISKS[provider], note)
        note(f"packing the box for {provider}")
        package(provider, disk, fresh / "box")
        size = (fresh / "box").stat().st_size
        (fresh / "box").replace(folder / f"{provider}.box")
        (fresh / "size").write_text(str(size))
        (fresh / "size").replace(folder / f"{provider}.box.size")


def _is_whole(folder: Path) -> bool:
    """Whether the folder has all parts, each as long as it was when it was made: a copy may have been cut short."""
    try:
        told = json.loads((folder / "box.json").read_text())
        return bool(told["sizes"] == _sizes(folder, PARTS))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_whole_file(file: Path) -> bool:
    try:
        return file.stat().st_size == int(file.with_name(f"{file.name}.size").read_text())
    except (OSError, ValueError):
        return False


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in names}


@contextlib.contextmanager
def _fresh(parent: Path, name: str) -> Iterator[Path]:
    """A folder to make something in, which goes whatever happens; what killed commands left goes too."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(".making-*"):
            if not Path("/proc", left.name.split("-")[1]).exists():
                shutil.rmtree(left, ignore_errors=True)
        free = shutil.disk_usage(parent).free
        if free < ROOM:
            raise _full(parent, f"{free >> 20} MiB are free, {ROOM >> 20} MiB may be needed")
        fresh = Path(tempfile.mkdtemp(prefix=f".making-{os.getpid()}-{name}-", dir=parent))
        try:
            fresh.chmod(0o755)
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(parent, "nothing of it was kept") from problem
        raise HostError(f"cannot make the box in {parent}: {problem.strerror or problem}") from problem


def _full(folder: Path, why: str) -> HostError:
    return HostError(
        f"making the box: no room in {folder}: {why}", hint="Make room there, or let LABCTL_CACHE name another folder."
    )
