"""What boxes of older versions left where Vagrant and libvirt keep their copies. What a machine uses stays."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from labctl.backend.vagrant.pool import POOL, virsh, virsh_or_nothing, volume_of
from labctl.backend.vagrant.tool import remove_box, vagrant_home

__all__ = ["prune_copies"]

OURS = "labctl-"  # all boxes and volumes of labctl's begin so, and nothing else that we make
KERNELS = ("labctl-vmlinuz-", "labctl-initrd.img-")  # what `in_pool` made; a lab called labctl has disks, too
IMAGE = "_vagrant_box_image_"  # what vagrant-libvirt puts behind a box's name


def prune_copies(boxes: Collection[str], files: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Remove labctl's boxes from Vagrant, and their disks and kernels from libvirt's pool, but for these.

    `boxes` are the names that stay, `files` the kernels and initial disks that do. Returns what was removed, and what
    stays since a machine is a copy of it or starts with it. Raises HostError and LabError when a tool fails.
    """
    removed: list[str] = []
    in_use: list[str] = []
    kept_files = {volume_of(file) for file in files if file.exists()}
    old = [
        volume
        for volume in _volumes()
        if (volume.partition(IMAGE)[0] not in boxes if IMAGE in volume else volume not in kept_files)
    ]
    used = _used(old) if old else set()
    for volume in old:
        if volume in used:
            in_use.append(volume)
            continue
        virsh(["vol-delete", volume, "--pool", POOL])
        removed.append(volume)
    used_boxes = {volume.partition(IMAGE)[0] for volume in in_use}
    for folder in sorted((vagrant_home() / "boxes").glob(f"{OURS}*")):
        if folder.name in used_boxes:
            in_use.append(folder.name)
        elif folder.name not in boxes:
            # VERSION/PROVIDER, and from Vagrant 2.4 on VERSION/ARCHITECTURE/PROVIDER
            for provider in sorted({found.parent.name for found in folder.rglob("metadata.json")}):
                remove_box(folder.name, provider)
            removed.append(folder.name)
    return removed, in_use


def _volumes() -> Sequence[str]:
    """labctl's volumes in libvirt's pool; none where there is no libvirt."""
    if shutil.which("virsh") is None:
        return []
    names = _all_volumes()
    return [name for name in names if name.startswith(OURS) and (IMAGE in name or name.startswith(KERNELS))]


def _all_volumes() -> list[str]:
    return [line.split()[0] for line in virsh_or_nothing(["vol-list", POOL]).splitlines() if line.strip()]


def _used(volumes: Iterable[str]) -> set[str]:
    """Those that a machine starts with, or has a disk that is a copy of. Others than labctl's count too."""
    machines = [virsh(["dumpxml", domain]) for domain in virsh(["list", "--all", "--name"]).split()]
    disks = {name: virsh(["vol-dumpxml", name, "--pool", POOL]) for name in _all_volumes()}
    used: set[str] = set()
    for volume in volumes:
        path = virsh(["vol-path", volume, "--pool", POOL]).strip()
        others = (xml for name, xml in disks.items() if name != volume)  # its own description has its path, too
        if any(path in xml for xml in (*machines, *others)):
            used.add(volume)
    return used
