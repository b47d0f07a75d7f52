"""Looking at the kernel: its configuration, its modules, and, where allowed, trying."""

from __future__ import annotations

import gzip
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from labctl.host.facts import KernelFacts, LimitFacts
from labctl.host.links import try_links

__all__ = ["LINK_KINDS", "gather_kernel", "gather_limits", "modules_of", "read_config"]

LINK_KINDS = ("veth", "bridge", "vxlan")
_OPTION = re.compile(r"^CONFIG_(\w+)=([ym])$", re.MULTILINE)


def gather_kernel() -> KernelFacts:
    """Look at this machine's kernel; nothing to see on a system that is not Linux."""
    if platform.system() != "Linux":
        return KernelFacts()
    release = platform.release()
    folder = Path("/lib/modules") / release
    return KernelFacts(
        release=release,
        config=_config(release),
        modules=modules_of(_text(folder / "modules.dep")) if folder.is_dir() else None,
        builtin=modules_of(_text(folder / "modules.builtin")),
        loaded=frozenset(line.split()[0] for line in _text(Path("/proc/modules")).splitlines()),
        filesystems=frozenset(_text(Path("/proc/filesystems")).replace("nodev", "").split()),
        links=try_links(LINK_KINDS),
        ipvs=_ipvs(),
    )


def gather_limits(proc: Path = Path("/proc")) -> LimitFacts:
    """Read the limits that many nodes run into."""
    thresholds = [_number(proc / f"sys/net/ipv4/neigh/default/gc_thresh{n}") for n in (1, 2, 3)]
    one, two, three = thresholds
    return LimitFacts(
        inotify_instances=_number(proc / "sys/fs/inotify/max_user_instances"),
        inotify_watches=_number(proc / "sys/fs/inotify/max_user_watches"),
        gc_thresh=None if one is None or two is None or three is None else (one, two, three),
        neighbours=_neighbours(_text(proc / "net/stat/arp_cache")),
        unified_cgroups=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
    )


def read_config(text: str) -> dict[str, str]:
    """Return the options of a kernel's configuration that are on: name without CONFIG_ -> y or m."""
    return dict(_OPTION.findall(text))


def modules_of(listing: str) -> frozenset[str]:
    """Return the names in a modules.dep or modules.builtin, as the kernel writes them (with _ for -)."""
    return frozenset(_module_names(listing.splitlines()))


def _module_names(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        path = line.partition(":")[0].strip()
        if path:
            yield path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _config(release: str) -> dict[str, str] | None:
    try:
        return read_config(gzip.decompress(Path("/proc/config.gz").read_bytes()).decode(errors="replace"))
    except OSError:
        text = _text(Path(f"/boot/config-{release}"))
        return read_config(text) if text else None


def _ipvs() -> bool | None:
    from labctl.mesh.ipvs import ipvs_available

    return ipvs_available()


def _neighbours(statistics: str) -> int:
    """The first column of the first row counts the whole table; it is the same on every row."""
    rows = statistics.splitlines()[1:]
    return int(rows[0].split()[0], 16) if rows else 0


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _text(file: Path) -> str:
    if not os.access(file, os.R_OK):
        return ""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
