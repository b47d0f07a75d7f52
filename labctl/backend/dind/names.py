"""Names that a lab needs and that somebody else has: asked before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labctl.engine import Engine
from labctl.errors import LabError
from labctl.owner import is_mine, owner_of
from labctl.spec import labels

__all__ = ["refuse_second", "refuse_taken"]


def refuse_taken(
    engine: Engine, lab: str, *, containers: Iterable[str], networks: Iterable[str], volumes: Iterable[str]
) -> None:
    """Raise LabError when one of these names is not the lab's, or is somebody else's."""
    wanted = set(containers)
    if wanted:
        for found in engine.containers([]):
            names = {name.lstrip("/") for name in found["Names"]} & wanted
            for name in sorted(names):
                _refuse("container", name, lab, found.get("Labels"), f"docker rm -f {name}")
    for name in networks:
        network = engine.network(name)
        if network is not None:
            _refuse("network", name, lab, network.get("Labels"), f"docker network rm {name}")
    stores = set(volumes)
    for volume in engine.volumes([]) if stores else ():
        name = str(volume["Name"])
        if name in stores:
            _refuse("volume", name, lab, volume.get("Labels"), f"docker volume rm {name}")


def refuse_second(engine: Engine, lab: str, made: str) -> None:
    """Remove the network just made, and raise LabError, when somebody else has one for a lab of this name.

    Engines before 25 let two be made at the same instant. Commands on one machine wait for each other; those that
    share an engine and no folder for locks are told apart here.
    """
    for found in engine.networks(labels.of_lab(lab)):
        if found["Id"] != made and not is_mine(found.get("Labels"), lab):
            engine.remove_network(made)
            _refuse("network", found["Name"], lab, found.get("Labels"), f"labctl down -l {lab} --others")


def _refuse(kind: str, name: str, lab: str, found: Mapping[str, Any] | None, way: str) -> None:
    known = found or {}
    if is_mine(known, lab):
        return
    other = known.get(labels.LAB)
    if other is None:
        whose = "is not this lab's"
    elif other != lab:
        whose = f"is lab {other}'s"
        way = f"labctl down -l {other}"
    else:
        whose = f"belongs to {owner_of(known.get(labels.OWNER), lab)}"
        way = f"labctl down -l {lab} --others"
    raise LabError(
        f"a {kind} named {name} is there already and {whose}",
        hint=f"Remove it (`{way}`), or give the lab another name (`-l NAME`).",
    )
