"""Volumes copied as they are, by a container that does nothing else: owners, links, devices, extended attributes.

A copy is listed when it is made: what is there, how large it is, and a digest of every name with its kind, mode, owner,
size, time and link. A copy of a copy has the same digest, so that one that is cut short, or was changed, is known.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.concurrent import each
from labctl.engine import Engine
from labctl.errors import HostError, LabctlError, LabError
from labctl.owner import is_mine, marks
from labctl.spec import labels
from labctl.waiting import stretched

__all__ = ["COPIER", "Copier", "Listing", "Measured", "refuse_no_room"]

COPIER = "copier"  # the kind of such a container
# What it takes to make anybody's files, device nodes of an overlay, and attributes that only root sees (trusted.*).
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SYS_ADMIN")
LISTED = r"""
find . -xdev \( ! -type d -printf '%P %y %m %U %G %s %T@ %l\0' \) -o -printf '%P %y %m %U %G %T@\0' |
  sort -z | sha256sum
find . -xdev -printf x | wc -c
du -s -x -B1 . | cut -f1
"""
# Attributes are named: `-a` alone leaves them out without a word where they cannot be written.
COPY = f"cd /to\nfind . -mindepth 1 -delete\ncp -a --preserve=xattr -x /from/. .\n{LISTED}"
LIST = f"cd /from\n{LISTED}"
MEASURE = r"""
for place in /from/*; do find "$place" -xdev -printf x | wc -c; du -s -x -B1 "$place" | cut -f1; done
df -B1 --output=avail,iavail /from/0 | tail -n 1
"""
LIMIT = 3600.0  # seconds; whoever waits for a large disk sees that it goes on, and may press Ctrl-C
LIKE_A_NODE = ("SecurityOpt", "UsernsMode")  # what its HostConfig must have of a node's: else it sees other owners
FULL = "No space left on device"
MARGIN = 64 * 2**20  # bytes that shall be left, for the engine itself


@dataclass(frozen=True)
class Listing:
    """What a volume holds: how many files and folders, how many bytes of the disk, and the digest of them all."""

    entries: int
    size: int
    digest: str


@dataclass(frozen=True)
class Measured:
    """What volumes hold together, and what their disk has room for; `free_entries` is 0 where it counts no files."""

    entries: int
    size: int
    free: int
    free_entries: int


class Copier:
    """Copies volumes of a lab's, in containers of an image that has bash and GNU's tools: a node's own.

    `host` is the HostConfig of that node.
    """

    def __init__(self, engine: Engine, lab: str, image: str, host: Mapping[str, Any]) -> None:
        self._engine = engine
        self._lab = lab
        self._image = image
        self._confined = {key: host[key] for key in LIKE_A_NODE if host.get(key)}

    def copy(self, source: str, target: str) -> Listing:
        """Let the volume `target` hold just what `source` does.

        Raises HostError when the disk is full, LabError with what went wrong otherwise.
        """
        mounts = [_mount(source, "/from", read_only=True), _mount(target, "/to", read_only=False)]
        return _listing(self._run(COPY, mounts))

    def listing(self, volume: str) -> Listing:
        """What a volume holds."""
        return _listing(self._run(LIST, [_mount(volume, "/from", read_only=True)]))

    def measure(self, volumes: Sequence[str]) -> Measured:
        """Count what volumes hold, without reading it, and look how much room their disk has."""
        mounts = [_mount(volume, f"/from/{place}", read_only=True) for place, volume in enumerate(volumes)]
        *counts, room = self._run(MEASURE, mounts).splitlines()
        free, free_entries = (int(word) if word.isdigit() else 0 for word in room.split())
        return Measured(sum(map(int, counts[::2])), sum(map(int, counts[1::2])), free, free_entries)

    def stop(self) -> None:
        """End the copies that run, those too that a command left which was killed: no error is raised."""
        with contextlib.suppress(LabctlError):
            found = self._engine.containers(labels.of_lab(self._lab, COPIER))
            each([one["Id"] for one in found if is_mine(one["Labels"], self._lab)], self._engine.remove)

    def _run(self, script: str, mounts: Sequence[dict[str, Any]]) -> str:
        name = f"labctl-{self._lab}-copier-{secrets.token_hex(4)}"
        self._engine.create(name, self._body(script, mounts))
        try:
            self._engine.start(name)
            code = self._engine.wait_exit(name, limit=stretched(LIMIT))
            said = self._engine.logs(name).strip()
        finally:
            self._engine.remove(name)
        if code == 0:
            return said
        reason = (said.splitlines() or [f"exit code {code}, and it said nothing"])[-1]
        if FULL in said:
            raise HostError("the engine's disk is full", hint=ROOM)  # one line for all that run out of room at once
        raise LabError(f"a volume of lab {self._lab} could not be copied: {reason}")

    def _body(self, script: str, mounts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "Image": self._image,
            "Entrypoint": ["bash", "-euo", "pipefail", "-c", script],
            "Env": ["LC_ALL=C"],
            "Labels": marks(self._lab, COPIER),
            "HostConfig": {
                "NetworkMode": "none",
                "CapDrop": ["ALL"],
                "CapAdd": list(CAPABILITIES),
                "Mounts": list(mounts),
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
                **self._confined,
            },
        }


ROOM = (
    "Free some space: `labctl snapshot rm` removes snapshots, `labctl image prune` images of older versions, "
    "`docker system df` tells what takes how much."
)


def refuse_no_room(found: Measured, size: int, entries: int, what: str) -> None:
    """Raise HostError where the disk has no room for so many bytes, or so many files. Nothing is written for it."""
    if size + MARGIN > found.free:
        raise HostError(
            f"{what} takes {_mib(size)}, and the engine's disk has {_mib(found.free)} left ({_mib(MARGIN)} shall stay)",
            hint=ROOM,
        )
    if found.free_entries and entries > found.free_entries:
        raise HostError(
            f"{what} is {entries} files and folders, and the engine's disk has room for {found.free_entries} more",
            hint=ROOM,
        )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _mount(volume: str, place: str, *, read_only: bool) -> dict[str, Any]:
    """A volume that is there; `NoCopy`: nothing of the image comes into one that is empty."""
    return {
        "Type": "volume",
        "Source": volume,
        "Target": place,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True},
    }


def _listing(said: str) -> Listing:
    digest, entries, size = said.splitlines()[-3:]
    return Listing(int(entries), int(size), digest.split()[0])
