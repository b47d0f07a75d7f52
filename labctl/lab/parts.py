"""What stands beside a lab's nodes, as `labctl status` tells of it."""

from __future__ import annotations

from labctl import edge
from labctl.backend import LabRecord
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import LabctlError
from labctl.spec import labels

__all__ = ["is_proxy", "mirror_of", "ports_of", "registry_of", "registry_trouble"]


def registry_trouble(extras: list[Json]) -> list[str]:
    """What is wrong with the registry of a lab that shall have one; with it the mirror is gone too."""
    states = [str(one["State"]) for one in extras if one["Labels"].get(labels.KIND) == "registry"]
    if "running" in states:
        return []
    what = f"the registry is {states[0]}" if states else "the registry is gone"
    return [f"{what}, and no image can be pulled: `labctl up` brings it back"]


def registry_of(extras: list[Json]) -> str:
    """Where the registry is; its state where it does not run."""
    for one in extras:
        marks = one["Labels"]
        if marks.get(labels.KIND) == "registry":
            port = marks.get(labels.PORT)
            return f"registry:5000 inside, 127.0.0.1:{port} here" if one["State"] == "running" else str(one["State"])
    return "none"


def mirror_of(extras: list[Json]) -> str:
    """What serves Docker Hub's images."""
    kinds = {one["Labels"].get(labels.KIND) for one in extras if one["State"] == "running"}
    if "hub" in kinds:
        return "Docker Hub, through a cache"
    return "stand-ins for Docker Hub's images (`labctl image ls`)" if "registry" in kinds else "none"


def is_proxy(container: Json) -> bool:
    """Whether a container of the lab's is its proxy of published ports."""
    return bool(container["Labels"].get(labels.KIND) == edge.KIND)


def ports_of(engine: Engine, record: LabRecord, extras: list[Json]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where this host reaches published ports, and what is wrong with the proxy that leads there."""
    lab = record.name
    proxies = [one for one in extras if is_proxy(one)]
    if not proxies:
        return (), ()
    if proxies[0]["State"] != "running":
        return (), (edge.proxy_trouble(lab, str(proxies[0]["State"])),)
    try:
        state = edge.proxy_state(engine, lab)
    except LabctlError as problem:
        return (), (f"the proxy of published ports: {problem.message}",)
    if state is None:
        return (), (edge.proxy_trouble(lab),)
    # Where no node runs, each of them is a problem of its own.
    runs = any(node.is_running for node in record.nodes)
    warnings = edge.proxy_warnings(lab, state, len(record.nodes)) if runs else state.warnings
    ways = sorted(state.ways, key=lambda way: (way.target, way.protocol, way.host))
    return tuple(f"127.0.0.1:{way.host} -> {way.target}/{way.protocol}" for way in ways), warnings
