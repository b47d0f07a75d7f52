"""The mirror's store: a volume that the mirrors of all labs read, and that is written here alone.

Writing takes a registry of its own for a moment, on a port of 127.0.0.1 that the engine chooses. What
the store holds is remembered in the state folder, with the volume's day of birth: an `up` that needs
nothing new must not start anything to find that out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.engine import Engine
from labctl.engine.client import tar_of
from labctl.errors import EngineRefused, LabError
from labctl.images.distribution import RegistryApi
from labctl.images.mode import MirrorMode
from labctl.images.names import Reference
from labctl.images.progress import Note, heard, no_note
from labctl.images.upload import push_saved
from labctl.spec import labels
from labctl.state import state_dir, write_private
from labctl.waiting import Pending, wait_until

__all__ = [
    "OWNER",
    "collect_garbage",
    "fill",
    "forget",
    "held_names",
    "open_store",
    "remember_whole",
    "secret_file",
    "store_mount",
    "whole_since",
    "writer_port",
]

OWNER = "labctl.owner"  # label: whose state folder remembers what this container does
WRITER = "writer"  # the value of the cache label on the registry that writes
FOLDER = "/var/lib/registry"
START_LIMIT = 30.0
SAVE_IDLE = 120.0  # seconds without a byte after which an engine's archive is given up


def held_names(engine: Engine, mode: MirrorMode) -> dict[str, str]:
    """Return what the store holds: name (library/nginx:latest) -> tag of the image on the engine that it was."""
    born = _born(engine, mode.store)
    kept = _remembered().get(mode.store)
    return dict(kept["names"]) if kept and born and kept.get("born") == born else {}


def fill(
    engine: Engine,
    mode: MirrorMode,
    wanted: Mapping[str, Sequence[Reference]],
    *,
    services: str,
    note: Note = no_note,
) -> None:
    """Let the store hold images of the engine: `wanted` maps their tags to the names that they are served under.

    `services` is the image that the writing registry runs. The caller holds the lock on the mirror.
    """
    with open_store(engine, mode, services=services, note=note) as api:
        note("asking the engine for the images")
        archive = heard(engine.save_images(list(wanted)), "saving images", idle=SAVE_IDLE)
        push_saved(api, archive, wanted, note)
        names = held_names(engine, mode)
        for tag, references in wanted.items():
            names |= {reference.path: tag for reference in references}
        _remember(engine, mode.store, names)


def whole_since(engine: Engine, mode: MirrorMode) -> str:
    """Return the digest of all images' files when the store was last known to hold them all; "" for never."""
    kept = _remembered().get(mode.store)
    return str(kept.get("whole", "")) if kept and kept.get("born") == _born(engine, mode.store) else ""


def remember_whole(engine: Engine, mode: MirrorMode, digest: str) -> None:
    """Remember that the store holds all images that were made of these files."""
    _remember(engine, mode.store, held_names(engine, mode), whole=digest)


@contextlib.contextmanager
def open_store(engine: Engine, mode: MirrorMode, *, services: str, note: Note = no_note) -> Iterator[RegistryApi]:
    """Run a registry that writes to the store, and remove it again."""
    _sweep(engine)
    note("opening the mirror's store")
    name, secret = f"labctl-writer-{secrets.token_hex(4)}", secrets.token_hex(32)
    engine.create(name, _writer(mode.store, services))
    try:
        engine.put(name, "/", tar_of(secret_file(secret)))
        engine.start(name)
        api = RegistryApi("127.0.0.1", writer_port(engine, name), name="the mirror's writer", secret=secret)
        wait_until("the mirror's writer", lambda: _answered(engine, name, api), limit=START_LIMIT, pause=0.05)
        with contextlib.closing(api):
            yield api
    finally:
        engine.remove(name)


def collect_garbage(
    engine: Engine, mode: MirrorMode, current: Collection[str], *, services: str, note: Note = no_note
) -> list[str]:
    """Drop the names whose images are not among the tags `current`, and the blobs that no name needs.

    Returns the names dropped; those that another user of this machine put there are left alone. The caller
    holds the lock on the mirror.
    """
    names = held_names(engine, mode)
    dropped = sorted(name for name, tag in names.items() if tag not in current)
    with open_store(engine, mode, services=services, note=note) as api:
        for name in dropped:
            repository, _, tag = name.rpartition(":")
            found = api.manifest(repository, tag)
            if found is not None and not _still_named(api, repository, found.digest, names, dropped):
                api.delete_manifest(repository, found.digest)
        note("removing layers that nothing needs")
        writers = engine.containers([f"{labels.CACHE}={WRITER}", f"{OWNER}={_owner()}"])
        for writer in writers:
            engine.execute(writer["Id"], ["docker-registry", "garbage-collect", "-m", "/run/registry.yml"])
        _remember(engine, mode.store, {name: tag for name, tag in names.items() if name not in dropped})
    return dropped


def _still_named(
    api: RegistryApi, repository: str, digest: str, names: Mapping[str, str], dropped: Collection[str]
) -> bool:
    """Whether a name that stays points at the same manifest: deleting that would take the name along."""
    kept = [name for name in names if name.startswith(f"{repository}:") and name not in dropped]
    found = [api.manifest(repository, name.rpartition(":")[2]) for name in kept]
    return any(manifest is not None and manifest.digest == digest for manifest in found)


def forget(volume: str) -> None:
    """Remember nothing of a store any more."""
    known = _remembered()
    if known.pop(volume, None) is not None:
        write_private(_file(), json.dumps(known).encode())


def writer_port(engine: Engine, container: str, port: int = 5000) -> int:
    """Return the port of 127.0.0.1 that the engine chose for a container's. Raises LabError when it has none."""
    found = engine.container(container) or {}
    bound = (found.get("NetworkSettings", {}).get("Ports") or {}).get(f"{port}/tcp") or []
    if not bound:
        raise LabError(f"{container} ended at once: {engine.logs(container, tail=3).strip() or 'it said nothing'}")
    return int(bound[0]["HostPort"])


def _writer(volume: str, image: str) -> dict[str, object]:
    return {
        "Image": image,
        "Cmd": ["registry"],
        "Labels": {labels.CACHE: WRITER, OWNER: _owner()},
        "ExposedPorts": {"5000/tcp": {}},
        "HostConfig": {
            "PortBindings": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [store_mount(volume, FOLDER, read_only=False)],
        },
    }


def secret_file(secret: str) -> dict[str, tuple[bytes, int]]:
    """The file by which a container of labctl's services hears who may write to its registry, for Engine.put."""
    return {"etc/labctl/registry-secret": (secret.encode(), 0o600)}


def store_mount(volume: str, target: str, *, read_only: bool) -> dict[str, object]:
    """Return a Mount of a store for a container's HostConfig; the engine makes the volume where it is missing."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": target,
        "ReadOnly": read_only,
        "VolumeOptions": {"Labels": {labels.CACHE: "mirror"}},
    }


def _answered(engine: Engine, container: str, api: RegistryApi) -> None:
    problem = api.problem()
    if problem:
        found = engine.container(container)
        if found is not None and found["State"]["Status"] == "exited":
            raise LabError(f"the mirror's writer ended: {engine.logs(container, tail=3).strip()}")
        raise Pending(problem)


def _sweep(engine: Engine) -> None:
    """Remove writers of this user's that a killed command left; the lock says that none is at work."""
    for left in engine.containers([f"{labels.CACHE}={WRITER}", f"{OWNER}={_owner()}"]):
        engine.remove(left["Id"])


def _owner() -> str:
    return hashlib.sha256(str(state_dir().resolve()).encode()).hexdigest()[:12]


def _born(engine: Engine, volume: str) -> str:
    try:
        return str(engine.get_json(f"/volumes/{volume}").get("CreatedAt", ""))
    except EngineRefused as refused:
        if refused.status == 404:
            return ""
        raise


def _file() -> Path:
    return state_dir() / "mirror.json"


def _remembered() -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(_file().read_text())
        return {str(name): dict(kept) for name, kept in content.items() if isinstance(kept["names"], dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(engine: Engine, volume: str, names: Mapping[str, str], *, whole: str = "") -> None:
    known = _remembered()
    known[volume] = {"born": _born(engine, volume), "names": dict(names), "whole": whole}
    write_private(_file(), json.dumps(known, indent=1).encode())
