"""The labels that make an engine's objects a lab. Nothing else remembers a lab."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ADDRESS",
    "CACHE",
    "EDGE",
    "IMAGE",
    "KIND",
    "LAB",
    "NODE",
    "OWNER",
    "PORT",
    "ROLE",
    "SAVED",
    "SNAPSHOT",
    "SPEC",
    "of_lab",
    "port_in",
]

LAB = "labctl.lab"  # on everything that belongs to a lab: the lab's name
KIND = "labctl.kind"  # node, registry, hub, edge, network, volume, spec, snapshot, saved, restoring, copier
OWNER = "labctl.owner"  # on everything that belongs to a lab: whose it is, `name@id` (labctl.owner)
NODE = "labctl.node"  # on a node: its name
ROLE = "labctl.role"  # on a node: the role that it was made with
ADDRESS = "labctl.address"  # on a node: its fixed address
PORT = "labctl.port"  # where 127.0.0.1 reaches it: a node's engine, the registry
SPEC = "labctl.spec"  # on a volume that nothing mounts: the spec, as JSON
SNAPSHOT = "labctl.snapshot"  # on all that a snapshot is made of: its name
SAVED = "labctl.saved"  # on a volume that nothing mounts: what a snapshot is made of, as JSON
EDGE = "labctl.edge"  # on a lab's proxy of published ports: "host" or "published", whose network it is on
CACHE = "labctl.cache"  # on what all labs share: the mirror's store
IMAGE = "labctl.image"  # on an image that labctl built: what it is


def of_lab(lab: str, kind: str | None = None) -> list[str]:
    """Return the label filter for a lab's objects, or for those of one kind."""
    return [f"{LAB}={lab}", *([f"{KIND}={kind}"] if kind else [])]


def port_in(marks: Mapping[str, str]) -> int:
    """Return the port that labels name; 0 where they name none."""
    said = marks.get(PORT, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 5 else 0
