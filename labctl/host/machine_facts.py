"""The machine, its system and what is installed on it."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from labctl.errors import HostError
from labctl.host.engine_facts import PIDFILE, read_pid
from labctl.host.facts import MachineFacts
from labctl.state import state_dir

__all__ = ["gather_machine", "is_root", "living", "read_os_release", "service_manager", "which"]

TRIED_BYTES = 256 << 10  # what the keys and notes of some labs take
OPTIONAL_TOOLS = ("docker", "ssh", "scp", "curl", "debootstrap", "modprobe")
# Where root's programs are on systems that leave these folders out of a user's PATH.
_MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def gather_machine() -> MachineFacts:
    """Look at the machine; quick enough for every `labctl up`."""
    import psutil

    release = read_os_release(_os_release())
    return MachineFacts(
        system=platform.system(),
        distribution=(release.get("ID", ""), *release.get("ID_LIKE", "").split()),
        distribution_name=release.get("PRETTY_NAME") or platform.system(),
        is_root=is_root(),
        user=_user(),
        memory_free=psutil.virtual_memory().available,
        cpus=os.cpu_count() or 1,
        python=f"{platform.python_version()} ({sys.executable})",
        service_manager=service_manager(),
        dockerd=which("dockerd"),
        dockerd_pid=living(PIDFILE, "dockerd") or 0,
        tools={name: path for name in OPTIONAL_TOOLS if (path := which(name))},
        in_docker_group=_in_docker_group(),
        state_error=_state_error(),
    )


def is_root() -> bool:
    """Whether this process is root (never on Windows)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def which(program: str) -> str | None:
    """Return where a program is, also in the folders that only root has on PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PATH])
    return shutil.which(program, path=path)


def service_manager(root: Path = Path("/")) -> str | None:
    """Return what manages services here: systemd, openrc or sysv; None when nothing does (a container)."""
    if (root / "run/systemd/system").is_dir():
        return "systemd"
    if (root / "run/openrc/softlevel").exists():
        return "openrc"
    try:
        first = (root / "proc/1/comm").read_text().strip()
    except OSError:
        return None
    return "sysv" if first == "init" and (root / "etc/inittab").exists() else None


def living(pidfile: Path, name: str, proc: Path = Path("/proc")) -> int | None:
    """Return the process that a pid file names, when it lives and is called `name`.

    Not one that is dead and unburied (a zombie keeps its name), and not another that was given the number.
    """
    pid = read_pid(pidfile)
    if pid is None:
        return None
    try:
        state = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    called, _, rest = state.partition("(")[2].rpartition(")")
    return pid if called == name and rest.split()[0] not in "ZX" else None


def read_os_release(text: str) -> Mapping[str, str]:
    """Read /etc/os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _os_release() -> str:
    for file in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        if file.exists():
            return file.read_text(errors="replace")
    return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _in_docker_group() -> bool:
    if sys.platform == "win32":
        return False
    import grp

    try:
        return _user() in grp.getgrnam("docker").gr_mem
    except KeyError:
        return False


def _state_error() -> str:
    try:
        folder = state_dir()
    except HostError as problem:
        return problem.message
    try:
        # More than one block: a full disk takes an empty file, and small ones too for a while.
        with tempfile.TemporaryFile(dir=folder) as tried:
            tried.write(bytes(TRIED_BYTES))
    except OSError as problem:
        return f"{folder} cannot be written: {problem.strerror}"
    return ""
