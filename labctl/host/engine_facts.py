"""Asking the engine what it is, within a limit, whatever state it is in."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labctl.engine import Endpoint, Engine, host_endpoint
from labctl.engine.endpoint import WINDOWS_PIPE
from labctl.errors import EngineRefused, EngineUnreachable, HostError
from labctl.host.facts import EngineFacts
from labctl.spec import labels

__all__ = [
    "BASE_IMAGE",
    "ENGINE_LIMIT",
    "capability_facts",
    "filesystem_of",
    "gather_engine",
    "read_pid",
    "socket_error",
]

ENGINE_LIMIT = 5.0  # seconds that one answer may take
BASE_IMAGE = "debian:trixie-slim"
PIDFILE = Path("/var/run/docker.pid")


def gather_engine(engine: Engine | None) -> EngineFacts:
    """Ask the engine (the host's own where None is given) what it is; never raises for one that is not well."""
    try:
        endpoint = engine.endpoint if engine is not None else host_endpoint()
    except HostError as problem:
        return EngineFacts(error=problem.message, error_hint=problem.hint, elsewhere=True)
    facts = EngineFacts(url=endpoint.url, source=endpoint.source)
    path = _socket_path(endpoint)
    if path is not None:
        allowed = not path.exists() or os.access(path, os.R_OK | os.W_OK)
        error = socket_error(path)
        facts = replace(facts, socket_exists=path.exists(), socket_allowed=allowed, error=error)
        if error:
            return facts
    return _asked(facts, endpoint)


def capability_facts(engine: Engine) -> EngineFacts:
    """Ask only what decides the capabilities of a node. Raises EngineUnreachable and EngineRefused."""
    facts = EngineFacts(url=engine.endpoint.url, version=engine.version(), info=engine.info())
    return _with_daemon(facts, engine.endpoint)


def socket_error(path: Path) -> str:
    """Say why nobody can be reached at a unix socket; "" when somebody listens."""
    if sys.platform == "win32":
        return f"{path}: Windows' engines listen at {WINDOWS_PIPE}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ENGINE_LIMIT)
        try:
            probe.connect(str(path))
        except OSError as problem:
            return f"{path}: {problem.strerror or problem}"
    return ""


def _asked(facts: EngineFacts, endpoint: Endpoint) -> EngineFacts:
    quick = Engine(endpoint, limit=ENGINE_LIMIT)
    try:
        facts = replace(facts, version=quick.version(), info=quick.info())
        if not facts.is_podman:
            has_base = quick.image(BASE_IMAGE) is not None
            facts = replace(facts, networks=tuple(quick.networks()), has_base_image=has_base)
            facts = replace(facts, snapshots=_size_of_snapshots(quick))
    except (EngineUnreachable, EngineRefused) as problem:
        return replace(facts, error=problem.message)
    finally:
        quick.close()
    return _with_disk(_with_daemon(facts, endpoint))


def _size_of_snapshots(engine: Engine) -> int:
    """How many bytes the snapshots of all labs take, as far as their notes can be read."""
    size = 0
    for volume in engine.volumes([labels.SAVED]):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            size += int(json.loads(volume["Labels"][labels.SAVED])["size"])
    return size


def _with_daemon(facts: EngineFacts, endpoint: Endpoint) -> EngineFacts:
    """Add what may be known of the process behind the socket."""
    path = _socket_path(endpoint)
    if sys.platform != "linux" or path is None or facts.info.get("KernelVersion") != os.uname().release:
        return facts
    pid = _listener(path)
    if pid == 1:  # systemd holds the socket; the engine that it hands it to is another process
        pid = read_pid(PIDFILE) or pid
    return replace(facts, daemon_pid=pid, bounding_set=_bounding_set(pid) if pid else None)


def _with_disk(facts: EngineFacts) -> EngineFacts:
    root = facts.info.get("DockerRootDir")
    if not root or facts.is_desktop or not facts.daemon_pid:
        return facts
    kind = filesystem_of(str(root), _mounts(facts.daemon_pid))
    try:
        return replace(facts, disk_free=shutil.disk_usage(_visible(str(root))).free, disk_kind=kind)
    except OSError:
        return replace(facts, disk_kind=kind)


def filesystem_of(path: str, mounts: str) -> str:
    """Return the kind of file system that a path lies on, by the text of a /proc/PID/mounts; "" for none."""
    found, deepest = "", -1
    for line in mounts.splitlines():
        point, kind = line.split()[1:3]
        over = point if point.endswith("/") else f"{point}/"
        # A later mount hides an earlier one at the same place.
        if f"{path}/".startswith(over) and len(point) >= deepest:
            found, deepest = kind, len(point)
    return found


def _mounts(pid: int) -> str:
    """What the engine sees mounted, or what we see where that may not be read."""
    for file in (Path(f"/proc/{pid}/mounts"), Path("/proc/self/mounts")):
        try:
            return file.read_text(errors="replace")
        except OSError:
            continue
    return ""


def _visible(path: str) -> Path:
    """The folder itself, or the nearest above it that this user may look into."""
    here = Path(path)
    while not os.access(here, os.X_OK) and here != here.parent:
        here = here.parent
    return here


def _socket_path(endpoint: Endpoint) -> Path | None:
    parts = urlsplit(endpoint.url)
    return Path(unquote(parts.netloc + parts.path)) if parts.scheme == "unix" else None


def _listener(path: Path) -> int:
    """The process that listens at a unix socket; 0 where it is out of sight (another pid namespace)."""
    if sys.platform != "linux":
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ENGINE_LIMIT)
        try:
            probe.connect(str(path))
            pid, _uid, _gid = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return 0
    return int(pid)


def _bounding_set(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("CapBnd:")), "")
    return int(line.split()[1], 16) if line else None


def read_pid(file: Path) -> int | None:
    """Return the process id that a pid file holds; None for no file, or nonsense in it."""
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None
