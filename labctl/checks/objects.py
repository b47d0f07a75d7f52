"""Secrets, configs and volumes in the words of a check; see `labctl.checks.swarm`."""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from labctl.checks.answers import not_yet
from labctl.concurrent import each
from labctl.swarm.state import Service, moment

if TYPE_CHECKING:
    from labctl.checks.swarm import Swarm
    from labctl.node import Node

__all__ = [
    "ConfigInSwarm",
    "FileInTask",
    "SecretInSwarm",
    "VolumeOnNodes",
    "config_of",
    "missing",
    "secret_of",
    "volume_of",
]


@dataclass(frozen=True)
class _HandedOut:
    """What the managers keep and hand to the tasks of services: a secret or a config."""

    swarm: Swarm
    raw: Mapping[str, Any]
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["Spec"]["Name"])

    @property
    def id(self) -> str:
        """Its id: another one once it was removed and recreated."""
        return str(self.raw["ID"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.raw["Spec"].get("Labels") or {})

    @property
    def created(self) -> float:
        """When it was made, in seconds since the epoch."""
        return moment(self.raw.get("CreatedAt", ""))

    @property
    def services(self) -> set[str]:
        """The names of the services whose tasks get it."""
        return {one.name for one in self.swarm.view.services() if self.id in _ids(one, self.kind)}


class SecretInSwarm(_HandedOut):
    """A secret as the managers know it. What is in it nobody can read: `service.file("/run/secrets/NAME")` does."""

    kind = "Secret"


class ConfigInSwarm(_HandedOut):
    """A config as the managers know it."""

    kind = "Config"

    @property
    def text(self) -> str:
        """What is in it."""
        return base64.b64decode(self.raw["Spec"].get("Data") or "").decode(errors="replace")


@dataclass(frozen=True)
class VolumeOnNodes:
    """A volume: of the local driver each node has its own, all of one name. `by_node` has what their engines say."""

    name: str
    by_node: Mapping[str, Mapping[str, Any]]

    @property
    def nodes(self) -> set[str]:
        """The names of the nodes that have it."""
        return set(self.by_node)

    @property
    def driver(self) -> str:
        """Its driver."""
        return str(next(iter(self.by_node.values())).get("Driver", ""))


@dataclass(frozen=True)
class FileInTask:
    """A file in the container of a service's task, as it was when it was asked for."""

    path: str
    exists: bool
    text: str


def secret_of(swarm: Swarm, name: str) -> SecretInSwarm:
    """The secret of that name; answers "not yet" when there is none."""
    return SecretInSwarm(swarm, _named(swarm, "secret", name))


def config_of(swarm: Swarm, name: str) -> ConfigInSwarm:
    """The config of that name; answers "not yet" when there is none."""
    return ConfigInSwarm(swarm, _named(swarm, "config", name))


def volume_of(swarm: Swarm, name: str) -> VolumeOnNodes:
    """The volume of that name, on the nodes that run; answers "not yet" when none has it."""
    running = [machine for machine in swarm.machines if machine.is_running]
    found: dict[str, Mapping[str, Any]] = {}
    others: set[str] = set()
    for machine, volumes in zip(running, each(running, _volumes), strict=True):
        there = {str(volume["Name"]): volume for volume in volumes}
        others |= there.keys()
        if name in there:
            found[machine.name] = there[name]
    if not found:
        missing("volume", name, others)
    return VolumeOnNodes(name, found)


DIGITS = re.compile(r"\d+")


def missing(kind: str, name: str, there: Iterable[str], *, look: str = "") -> NoReturn:
    """Answer "not yet": there is no `kind` of that name. One that is nearly called so is told. Raises NotYet."""
    # key-1 is no misspelt key-2: who numbers things has both.
    others = {other for other in there if DIGITS.sub("", other) != DIGITS.sub("", name)}
    near = difflib.get_close_matches(name, sorted(others), n=1, cutoff=0.75)
    look = look or f"labctl docker -- {kind} ls"
    if near:
        not_yet("there is no {kind} {name}; did you mean {near}?", look=look, kind=kind, name=name, near=near[0])
    not_yet("there is no {kind} {name}", look=look, kind=kind, name=name)


def _named(swarm: Swarm, kind: str, name: str) -> Mapping[str, Any]:
    there = {str(raw["Spec"]["Name"]): raw for raw in swarm.view.engine.swarm_objects(f"{kind}s")}
    if name not in there:
        missing(kind, name, there)
    return there[name]


def _ids(service: Service, kind: str) -> set[str]:
    given = service.raw["Spec"]["TaskTemplate"].get("ContainerSpec", {}).get(f"{kind}s") or ()
    return {str(one.get(f"{kind}ID", "")) for one in given}


def _volumes(machine: Node) -> list[Mapping[str, Any]]:
    return list(machine.engine.volumes(()))
