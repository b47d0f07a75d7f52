"""The names of a lab's containers, told to the host's engine once more: what runs in them does not notice.

The engine answers for the names in a network, and forgets all of them when it leaves a swarm itself: the containers
run on, and nothing finds them by name (seen on 20.10.24 and 26.1.5). It takes a container's names up again, aliases
too, when that is renamed; so each gets another name for a moment. An engine that is in a swarm takes up nothing then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import EngineRefused
from labctl.owner import is_mine
from labctl.spec import labels

__all__ = ["put_back_names", "tell_names"]

FOR_A_MOMENT = ".labctl-renamed"
FOUND_BY_NAME = ("node", "registry", "hub")  # kinds of containers


def tell_names(engine: Engine, lab: str) -> None:
    """Let the engine take up the names of all the lab's containers that run."""
    for container in _containers(engine, lab):
        if container["State"] == "running" and container["Labels"].get(labels.KIND) in FOUND_BY_NAME:
            name = _name_of(container)
            _rename(engine, container, name + FOR_A_MOMENT)
            _rename(engine, container, name)


def put_back_names(engine: Engine, lab: str) -> None:
    """Give containers their own names that a command which was killed has left with the other one.

    One whose name somebody has taken meanwhile serves as well with the other: labels make the lab.
    """
    for container in _containers(engine, lab):
        name = _name_of(container)
        if name.endswith(FOR_A_MOMENT):
            with contextlib.suppress(EngineRefused):
                _rename(engine, container, name.removesuffix(FOR_A_MOMENT))


def _containers(engine: Engine, lab: str) -> Sequence[Json]:
    found = engine.containers(labels.of_lab(lab))
    return [one for one in found if one.get("Names") and is_mine(one.get("Labels"), lab)]


def _name_of(container: Json) -> str:
    return str(container["Names"][0]).lstrip("/")


def _rename(engine: Engine, container: Json, name: str) -> None:
    engine.post(f"/containers/{container['Id']}/rename", name=name)
