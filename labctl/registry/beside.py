"""Containers that run beside a lab's nodes: its registry, its cache of the Hub, its edges.

What one shall be is digested into a label. So `up` sees at a glance whether the one that runs is the one
that is wanted, and replaces it when labctl, its image or the lab has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.backend.dind.ports import free_port, is_port_taken
from labctl.engine import Engine
from labctl.engine.client import tar_of
from labctl.errors import EngineRefused, LabError
from labctl.owner import is_mine
from labctl.owner import marks as marks_of
from labctl.spec import labels

__all__ = ["CONFIG", "Beside", "Standing", "converge"]

CONFIG = "labctl.config"  # label: the digest of what the container was made as
PORT_TRIES = 5


@dataclass(frozen=True)
class Beside:
    """What a container beside the nodes shall be. `port` ("5000/tcp") is published on 127.0.0.1; "" for none."""

    lab: str
    kind: str
    name: str
    image: str
    command: Sequence[str]
    network: str
    port: str = ""
    address: str = ""
    aliases: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    # Files that it finds when it starts: path without its first slash -> content and mode. For what no label, variable
    # or argument may show.
    files: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    # Ports published at an address of this host, for machines outside the engine's networks: (address, port) -> port.
    fixed: Mapping[tuple[str, int], str] = field(default_factory=dict)
    # Ports (number, protocol) of 127.0.0.1 that lead to the same ones inside; the caller knows that they are free.
    published: Sequence[tuple[int, str]] = ()
    confined: Mapping[str, Any] = field(default_factory=dict)  # what its HostConfig says beside

    def body(self, host_port: int) -> dict[str, Any]:
        """The body of POST /containers/create. No host path and no socket is mounted, no privilege given."""
        endpoint: dict[str, Any] = {"Aliases": list(self.aliases)} if self.aliases else {}
        if self.address:
            endpoint["IPAMConfig"] = {"IPv4Address": self.address}
        host: dict[str, Any] = {
            "NetworkMode": self.network,
            "Mounts": [dict(mount) for mount in self.mounts],
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
        }
        bindings: dict[str, list[dict[str, str]]] = {}
        if self.port:
            bindings[self.port] = [{"HostIp": "127.0.0.1", "HostPort": str(host_port)}]
        for (address, outside), inside in self.fixed.items():
            bindings.setdefault(inside, []).append({"HostIp": address, "HostPort": str(outside)})
        for number, protocol in self.published:
            bindings[f"{number}/{protocol}"] = [{"HostIp": "127.0.0.1", "HostPort": str(number)}]
        if bindings:
            host["PortBindings"] = bindings
        marks = {**marks_of(self.lab, self.kind), **self.labels}
        return {
            "Image": self.image,
            "Hostname": self.name[:63],
            "Cmd": list(self.command),
            "Env": [f"{key}={value}" for key, value in self.env.items()],
            "Labels": marks | ({labels.PORT: str(host_port)} if self.port else {}) | {CONFIG: self.digest()},
            "ExposedPorts": {port: {} for port in bindings},
            "HostConfig": host | dict(self.confined),
            "NetworkingConfig": {"EndpointsConfig": {self.network: endpoint}},
        }

    def digest(self) -> str:
        """What is alike has the same digest; the port of this host is not part of it."""
        parts = [self.image, *self.command, self.network, self.port, self.address, *self.aliases]
        rest: list[object] = [dict(self.env), [dict(mount) for mount in self.mounts], dict(self.labels)]
        if self.fixed:
            rest.append([[*outside, inside] for outside, inside in self.fixed.items()])
        if self.files:
            rest.append([[path, hashlib.sha256(content).hexdigest()] for path, (content, _) in self.files.items()])
        if self.published or self.confined:
            rest.append([[list(port) for port in self.published], dict(self.confined)])
        return hashlib.sha256(json.dumps([parts, rest], sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Standing:
    """A container beside the nodes that runs. `changed` tells whether anything had to be done for it."""

    host_port: int
    changed: bool


def converge(
    engine: Engine,
    wanted: Beside,
    *,
    port: int | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Standing:
    """Let the container run as it is wanted; returns the port of 127.0.0.1 that leads to it.

    A container that stands keeps its port. Else `port` is tried first; a taken one gets another. `prepare` is called
    before a container starts. Raises LabError when the name belongs to somebody else's container.
    """
    found = engine.container(wanted.name)
    before = _labels(found)
    if found is not None and not is_mine(before, wanted.lab):
        raise LabError(
            f"a container named {wanted.name} is there already and is not this lab's",
            hint=f"Remove it (`docker rm -f {wanted.name}`), or give the lab another name (`-l NAME`).",
        )
    kept = labels.port_in(before) or None
    if found is not None and before.get(CONFIG) == wanted.digest():
        state = found["State"]["Status"]
        if state == "running":
            return Standing(kept or 0, changed=False)
        if state in ("created", "exited") and _started(engine, wanted, prepare):
            return Standing(kept or 0, changed=True)
    if found is not None:
        engine.remove(wanted.name)
        engine.wait_gone(wanted.name)
    return Standing(_made(engine, wanted, kept or port, prepare), changed=True)


def _labels(found: Mapping[str, Any] | None) -> dict[str, str]:
    return dict((found or {}).get("Config", {}).get("Labels") or {})


def _start(engine: Engine, wanted: Beside, prepare: Callable[[], object]) -> None:
    """Give a container its files, which one that was made by a command that was cut down lacks, and start it."""
    if wanted.files:
        engine.put(wanted.name, "/", tar_of(wanted.files))
    prepare()
    engine.start(wanted.name)


def _started(engine: Engine, wanted: Beside, prepare: Callable[[], object]) -> bool:
    """Start a container that was stopped; False when its port has been taken meanwhile."""
    try:
        _start(engine, wanted, prepare)
    except EngineRefused as refused:
        if not is_port_taken(refused):
            raise
        return False
    return True


def _made(engine: Engine, wanted: Beside, port: int | None, prepare: Callable[[], object]) -> int:
    for attempt in range(PORT_TRIES):
        chosen = port if port is not None and attempt == 0 else free_port()
        engine.create(wanted.name, wanted.body(chosen))
        try:
            _start(engine, wanted, prepare)
        except EngineRefused as refused:
            engine.remove(wanted.name)
            if not is_port_taken(refused) or attempt == PORT_TRIES - 1:
                raise
        else:
            return chosen
    raise AssertionError("unreachable")
