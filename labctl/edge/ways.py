"""What a lab's proxy says of itself, and where this host reaches the lab's ports."""

from __future__ import annotations

import io
import json
import tarfile
import time
from dataclasses import dataclass
from typing import Any

from labctl.edge.schemes import address_at
from labctl.engine import Engine
from labctl.errors import EngineRefused
from labctl.follower.files import FOLDER, STATE, State, Way
from labctl.spec import labels

__all__ = [
    "KIND",
    "ForwardedPort",
    "edge_of",
    "edges",
    "own_file",
    "proxy_name",
    "proxy_state",
    "proxy_trouble",
    "proxy_warnings",
]

KIND = "edge"


@dataclass(frozen=True)
class ForwardedPort:
    """A way from this host to a port of the lab, `target`; `pinned` where somebody asked for it."""

    container: str
    target: int
    protocol: str
    host_port: int
    state: str = "running"
    asked: int = 0  # the host port that was asked for; 0 where it is the one that it got
    pinned: bool = False

    @property
    def moved(self) -> bool:
        """Whether the host port that was asked for was taken, and it got another."""
        return self.asked not in (0, self.host_port)

    @property
    def url(self) -> str:
        """Where it is, as a URL where a browser may make something of it."""
        return self.url_of(0)

    def url_of(self, inside: int) -> str:
        """`url`, where the port's number in the container is known, too."""
        return address_at(self.host_port, self.protocol, self.target, inside)


def proxy_name(lab: str) -> str:
    """The name of a lab's proxy."""
    return f"{lab}-edge"


def edges(engine: Engine, lab: str) -> list[ForwardedPort]:
    """The ways to the lab's ports, by the port that they lead to."""
    name = proxy_name(lab)
    for container in engine.containers(labels.of_lab(lab, KIND)):
        if container["Names"] == [f"/{name}"]:
            state = proxy_state(engine, lab)
            found = [edge_of(name, way, str(container["State"])) for way in (state.ways if state else ())]
            return sorted(found, key=lambda edge: (edge.target, edge.protocol, edge.host_port))
    return []


def edge_of(name: str, way: Way, state: str = "running") -> ForwardedPort:
    """A way as labctl tells it."""
    return ForwardedPort(name, way.target, way.protocol, way.host, state, way.asked, way.pinned)


def proxy_state(engine: Engine, lab: str) -> State | None:
    """What the lab's proxy last said; None where there is none, or where it has said nothing yet."""
    try:
        return State.of(own_file(engine, lab, STATE))
    except ValueError:
        return None


def proxy_trouble(lab: str, state: str = "") -> str:
    """What is told of a proxy that does not run, by its container's state, or that runs and says nothing."""
    is_so = f"is {state}" if state else "says nothing"
    return f"the proxy of published ports {is_so}: `labctl up -l {lab}` brings it back"


def proxy_warnings(lab: str, state: State, nodes: int) -> tuple[str, ...]:
    """What is wrong with a proxy that runs, by what it last said, in a lab of so many nodes of which one runs."""
    from labctl.follower.follow import longest_silence  # with it comes ssl, which few commands need

    name, silent = proxy_name(lab), time.time() - state.updated
    if state.updated and silent > longest_silence(nodes):
        hangs = f"has said nothing for {silent:.0f} s, and what it opens may be out of date"
        return (f"the proxy of published ports {hangs}: `docker restart {name}` starts it over", *state.warnings)
    if state.error:
        why = state.error.partition("; ")[0]
        anew = f"if it stays so while a manager answers, `docker rm -f {name}` and `labctl up -l {lab}` recreate it"
        told = f"the proxy of published ports hears no manager ({why}), and opens what it knew before: {anew}"
        return (told, *state.warnings)
    return state.warnings


def own_file(engine: Engine, lab: str, name: str) -> Any:
    """Read a JSON file of the proxy's volume; None where there is none."""
    try:
        packed = b"".join(engine.get(proxy_name(lab), f"{FOLDER}/{name}"))
    except EngineRefused as refused:
        if refused.status == 404:
            return None
        raise
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member is not None and member.isfile() else None
        if file is None:
            return None
        try:
            return json.loads(file.read())
        except ValueError:
            return None
