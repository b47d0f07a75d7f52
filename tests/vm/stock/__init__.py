"""A box that labctl did not make, as far as labctl can tell: a plain Debian 12, for libvirt, without an engine."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from labctl.assets import asset
from labctl.engine import Engine
from labctl.images import ensure_base
from labctl.images.box_build import disk_of
from labctl.images.box_package import package
from labctl.images.building import Recipe, build
from labctl.images.debootstrap import make_base
from labctl.images.recipes import archive_of

__all__ = ["NAME", "stock_box"]

HERE = Path(__file__).parent
SUITE = "bookworm"
BASE = f"labctl-test/{SUITE}:base"
ROOT = f"labctl-test/{SUITE}:stock"
NAME = f"labctl-test/{SUITE}"
KEYS = "files/box/home/vagrant/.ssh"
CMD_LINE = "root=LABEL=labctl rw net.ifnames=0 console=tty0 console=ttyS0,115200"
# What libvirt calls its copies of the box, and something with their time behind it.
VOLUMES = f"{NAME.replace('/', '-VAGRANTSLASH-')}_vagrant_box_image_"
VIRSH = ["virsh", "-q", "-c", "qemu:///system"]


@contextlib.contextmanager
def stock_box(engine: Engine, folder: Path) -> Iterator[str]:
    """The name of the box, which Vagrant knows until the block ends. Its images stay in the engine, as a cache."""
    ensure_base(engine)
    if engine.image(BASE) is None:
        make_base(engine, BASE, print, suite=SUITE)
    _root(engine)
    disk_of(engine, ROOT, folder, cmd_line=CMD_LINE, digest="stock", note=print)
    box = folder / "stock.box"
    package("libvirt", folder / "disk.qcow2", box)
    _vagrant("box", "add", "--force", "--provider", "libvirt", "--name", NAME, str(box))
    try:
        yield NAME
    finally:
        _vagrant("box", "remove", "--force", "--all", "--provider", "libvirt", NAME)
        listed = subprocess.run([*VIRSH, "vol-list", "default"], capture_output=True, text=True, check=True, timeout=60)
        for line in listed.stdout.splitlines():
            if (volume := line.strip().partition(" ")[0]).startswith(VOLUMES):
                subprocess.run([*VIRSH, "vol-delete", volume, "--pool", "default"], check=True, timeout=60)


def _root(engine: Engine) -> None:
    context = archive_of({"": HERE, "ssh": asset("playbooks") / KEYS})
    text = (HERE / "Dockerfile").read_text()
    where = str(HERE / "Dockerfile")
    build(engine, Recipe("stock", ROOT, context, text, build_args={"BASE": BASE}, where=where), print)


def _vagrant(*words: str) -> None:
    quiet = {**os.environ, "VAGRANT_CHECKPOINT_DISABLE": "1"}
    subprocess.run(["vagrant", *words], check=True, timeout=300, env=quiet)
