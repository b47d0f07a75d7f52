"""Files that libvirt's machines start with, put where libvirt's own user may read them.

QEMU runs as a user of its own there, which cannot look into anybody's home: so a kernel in the cache folder is no
kernel to it. libvirt's storage takes the file from us, without root, and keeps it under a name with its digest.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labctl.errors import HostError

__all__ = ["POOL", "in_pool", "virsh", "virsh_or_nothing", "volume_of"]

URI = "qemu:///system"
POOL = "default"
POOL_FOLDER = "/var/lib/libvirt/images"  # where libvirt's own default pool is
LIMIT = 60.0  # seconds; the largest is an initrd of some ten MiB


def in_pool(file: Path) -> str:
    """Return the path of the file's copy in libvirt's default pool, made where it is missing. Raises HostError."""
    name = volume_of(file)
    if not virsh_or_nothing(["vol-path", name, "--pool", POOL]):
        if not virsh_or_nothing(["pool-info", POOL]):
            virsh(["pool-define-as", POOL, "dir", "--target", POOL_FOLDER])
            virsh(["pool-build", POOL])
            virsh(["pool-autostart", POOL])
        if "running" not in virsh_or_nothing(["pool-info", POOL]):
            virsh(["pool-start", POOL])
        if not virsh_or_nothing(["vol-path", name, "--pool", POOL]):
            _upload(name, file)
    return virsh(["vol-path", name, "--pool", POOL]).strip()


def volume_of(file: Path) -> str:
    """Return the name of the file's copy, whether it is there or not."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:12]
    return f"labctl-{file.name}-{digest}"


def _upload(name: str, file: Path) -> None:
    """Two labs at once may both come here: the second finds the name taken, and the content is the same."""
    virsh_or_nothing(["vol-create-as", POOL, name, str(file.stat().st_size), "--format", "raw"])
    try:
        virsh(["vol-upload", "--pool", POOL, name, str(file)])
    except HostError:
        virsh_or_nothing(["vol-delete", name, "--pool", POOL])
        raise


def virsh_or_nothing(words: Sequence[str]) -> str:
    """Return what virsh prints; empty when it says no."""
    try:
        return virsh(words)
    except HostError:
        return ""


def virsh(words: Sequence[str]) -> str:
    """Return what virsh prints of libvirt's machines or storage. Raises HostError with what it complained of."""
    try:
        done = subprocess.run(
            ["virsh", "-q", "-c", URI, *words], capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise HostError(f"virsh {words[0]} failed: {problem}", hint="`labctl doctor --backend vagrant`") from problem
    if done.returncode != 0:
        raise HostError(f"virsh {words[0]} failed: {done.stderr.strip()}", hint="`labctl doctor --backend vagrant`")
    return done.stdout
