"""What a snapshot of containers is made of, as a label of a volume tells it that nothing mounts.

The volume is made when all the rest is there: a snapshot is whole, or there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labctl.backend.base import Snapshot
from labctl.backend.dind.copying import Listing
from labctl.errors import LabError
from labctl.spec import NewerNote, labels, spec_noted

__all__ = ["DISK", "FORMAT", "Disk", "Part", "Saved", "as_snapshot", "body_of", "disk_of", "read_saved"]

FORMAT = 1  # what this labctl writes, and the newest that it reads
DISK = "/var/lib/docker"
# What is empty is what an engine takes where nothing is said; but for lists, of which an empty one may mean "none".
EMPTY: tuple[object, ...] = (None, "", 0, False, {})


@dataclass(frozen=True)
class Disk:
    """A volume that a snapshot holds, and what is in it."""

    volume: str
    listing: Listing


@dataclass(frozen=True)
class Part:
    """A node in a snapshot: its container by its name and the body that makes it, the image of its own layer, its disk.

    `layer` is how many bytes the container has of its own.
    """

    node: str
    machine: str
    body: Mapping[str, Any]
    image: str
    layer: int
    disk: Disk


@dataclass(frozen=True)
class Saved:
    """A whole snapshot. `spec` is the lab's note of then, `registry` what was in its registry, None without one."""

    name: str
    taken: float
    spec: str
    parts: tuple[Part, ...]
    registry: Disk | None = None

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        disks = [part.disk for part in self.parts] + ([self.registry] if self.registry else [])
        return sum(disk.listing.size for disk in disks) + sum(part.layer for part in self.parts)

    @property
    def entries(self) -> int:
        """How many files and folders the disks of the nodes have."""
        return sum(part.disk.listing.entries for part in self.parts)

    @property
    def volumes(self) -> list[str]:
        """The volumes that hold it."""
        return [part.disk.volume for part in self.parts] + ([self.registry.volume] if self.registry else [])

    def note(self) -> str:
        """The snapshot as a label carries it."""
        said = {"format": FORMAT, "size": self.size, **asdict(self)}  # `labctl doctor` reads the size
        return json.dumps(said, separators=(",", ":"))


def read_saved(volume: Mapping[str, Any]) -> Saved:
    """Read the label of such a volume. Raises LabError for one that a newer labctl wrote, or that cannot be read."""
    marks = volume["Labels"] or {}
    name = str(marks.get(labels.SNAPSHOT, ""))
    remove = f"`labctl snapshot rm {name}` removes it."
    try:
        said = json.loads(marks[labels.SAVED])
        written = said.pop("format")
        if isinstance(written, int) and written > FORMAT:
            raise NewerNote(f"format {written}, and this one reads {FORMAT}")
        if said["spec"]:
            spec_noted(json.loads(said["spec"]), source="the snapshot")
        parts = tuple(Part(**{**part, "disk": _disk(part["disk"])}) for part in said.pop("parts"))
        if not parts:
            raise ValueError("no node")
        registry, _ = said.pop("registry"), said.pop("size")
        return Saved(**said, parts=parts, registry=_disk(registry) if registry else None)
    except NewerNote as newer:
        raise LabError(
            f"snapshot {name} was saved by a newer labctl ({newer})",
            hint=f"A labctl of that version restores it; {remove}",
        ) from newer
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        told = f"what is noted of snapshot {name} cannot be read"
        raise LabError(told, hint=f"Nothing restores it; {remove}") from problem


def as_snapshot(volume: Mapping[str, Any]) -> Snapshot:
    """A snapshot as it is listed; of one that cannot be read, only its name is known."""
    try:
        saved = read_saved(volume)
    except LabError:
        return Snapshot(str((volume["Labels"] or {}).get(labels.SNAPSHOT, "")), 0.0, ())
    return Snapshot(saved.name, saved.taken, tuple(part.node for part in saved.parts), saved.size)


def body_of(inspected: Mapping[str, Any], network: str) -> dict[str, Any]:
    """The body of POST /containers/create that makes such a container again, but for its image.

    It is in the lab's `network` alone, where it keeps its address and its names.
    """
    config = {key: value for key, value in inspected["Config"].items() if not _is_empty(value) and key != "Image"}
    host = {key: value for key, value in inspected["HostConfig"].items() if not _is_empty(value)}
    config["Labels"] = {key: value for key, value in config["Labels"].items() if key != labels.SNAPSHOT}
    attached = (inspected["NetworkSettings"]["Networks"] or {}).get(network) or {}
    names = [name for name in attached.get("Aliases") or () if not inspected["Id"].startswith(name)]
    address = config["Labels"][labels.ADDRESS]
    endpoint = {"IPAMConfig": {"IPv4Address": address}, "Aliases": names}
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": {network: endpoint}}}


def disk_of(inspected: Mapping[str, Any]) -> str | None:
    """The volume that a node has its engine's data in."""
    return next((str(one["Name"]) for one in inspected["Mounts"] if one.get("Destination") == DISK), None)


def _is_empty(value: object) -> bool:
    return any(value is one or (value == one and type(value) is type(one)) for one in EMPTY)


def _disk(said: Mapping[str, Any]) -> Disk:
    return Disk(said["volume"], Listing(**said["listing"]))
