"""Ways out for services that do not come up: what a person can do, by the scheduler's and the engines' reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from labctl.engine.errors import PRIVILEGED_HINT, wants_devices
from labctl.errors import LabctlError
from labctl.node import Node
from labctl.swarm.progress import MISSING_IMAGE, NO_NODE, NO_RESOURCES, PORT_TAKEN, UNMET, Progress, reserved
from labctl.swarm.state import Service, SwarmNode

__all__ = ["way_out"]

PULL_LIMIT = 15.0  # seconds in which a registry that is in reach has begun to answer
NEXT_LINE = "\n     "
IMAGE = re.compile(rf"{MISSING_IMAGE}: (?P<name>[^\s,;]+)")
NO_SOURCE = "bind source path does not exist"
MOUNT = (
    "What a service mounts by a path has to be on each node that runs it, and labctl copies no folders to nodes: name"
    f"{NEXT_LINE}an absolute path that is on the nodes (`labctl exec -- mkdir -p /srv/data` makes it), or a volume."
)
UNREACHABLE = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|deadline exceeded|EOF")
FROM_ENGINE = re.compile(r"^Error response from daemon: ")


def way_out(
    unfinished: Sequence[Progress],
    services: Mapping[str, Service],
    members: Sequence[SwarmNode],
    nodes: Sequence[Node] = (),
) -> str | None:
    """The hint for services that are not what they shall be; each kind of trouble is told once.

    `services` are the swarm's, by name; `members` its nodes. One of `nodes` is asked to pull an image that is missing.
    """
    told: dict[str, str] = {}
    images: list[str] = []
    for one in unfinished:
        service = services.get(one.service)
        image = IMAGE.search(one.reason)
        if UNMET in one.reason or one.reason == NO_NODE:
            told.setdefault(
                UNMET,
                "No node is what its placement asks for: mend that, or `labctl docker -- node update "
                "--label-add KEY=VALUE NODE`; one that is drained runs nothing (`--availability active`).",
            )
        elif NO_SOURCE in one.reason:
            told.setdefault(NO_SOURCE, MOUNT)
        elif wants_devices(one.reason):
            told.setdefault(PRIVILEGED_HINT, PRIVILEGED_HINT)
        elif image is not None:
            images.append(image["name"].partition("@")[0])
        elif PORT_TAKEN in one.reason and service is not None:
            told.setdefault(f"{PORT_TAKEN} {one.service}", _port(service, services))
        elif NO_RESOURCES in one.reason and service is not None:
            told.setdefault(f"{NO_RESOURCES} {one.service}", _resources(service, members))
    if images:
        told[MISSING_IMAGE] = _images(list(dict.fromkeys(images)), nodes)
    if not told and unfinished:
        return f"`labctl docker -- service ps --no-trunc {unfinished[0].service}` tells more."
    return NEXT_LINE.join(told.values()) or None


def _port(service: Service, services: Mapping[str, Service]) -> str:
    wanted = {(port.published, port.protocol) for port in service.ports if port.mode == "host"}
    ports = ", ".join(f"{number}/{protocol}" for number, protocol in sorted(wanted))
    others = sorted(
        name
        for name, other in services.items()
        if name != service.name
        and any(port.mode == "host" and (port.published, port.protocol) in wanted for port in other.ports)
    )
    if others:
        return f"{service.name}: {', '.join(others)} has host port {ports} on the nodes already: publish another one."
    return (
        f"{service.name}: a node has host port {ports} once, for one task: run no more replicas than nodes, "
        "or publish it with `mode: ingress`."
    )


def _resources(service: Service, members: Sequence[SwarmNode]) -> str:
    cpus, memory = reserved(service)
    wanted = " and ".join(
        [*([f"{cpus / 1e9:g} CPUs"] if cpus else []), *([f"{memory / 2**30:.4g} GiB"] if memory else [])]
    )
    most = f"{max(m.cpus for m in members) / 1e9:g} CPUs and {max(m.memory for m in members) / 2**30:.4g} GiB"
    asks = f"{service.name} reserves {wanted} for each task; the largest node has {most}"
    if cpus > max(m.cpus for m in members) or memory > max(m.memory for m in members):
        return f"{asks}: reserve less under `deploy: resources: reservations:`."
    return f"{asks}, and other tasks have reserved of it: reserve less, or run fewer tasks."


def _images(names: Sequence[str], nodes: Sequence[Node]) -> str:
    """Where the images were looked for, and how to bring them: told for the first one."""
    whys = {_registry(name): "" for name in names}
    for registry in whys:
        whys[registry] = _why(registry, next(name for name in names if _registry(name) == registry), nodes)
    name, *others = names
    more = f" The same goes for {', '.join(others)}." if others else ""
    return NEXT_LINE.join(
        (
            *whys.values(),
            "`labctl image ls` shows what the lab's mirror serves.",
            f"To bring {name}: let this host's engine have it (docker pull, docker load or docker build), then",
            f"`labctl image load {name}` copies it to the nodes, and the swarm's next attempt takes it;",
            f"`labctl image push {name}` keeps it in the lab's registry: name it in the file as that prints.{more}",
        )
    )


def _registry(name: str) -> str:
    first = name.partition("/")[0]
    is_named = "/" in name and ("." in first or ":" in first or first == "localhost")
    return first if is_named else "Docker Hub"


def _why(registry: str, name: str, nodes: Sequence[Node]) -> str:
    """Why there is no such image: a node is asked to pull it."""
    asked = next((node for node in nodes if node.is_running), None)
    said = _pulled(name, asked) if asked is not None else None
    if said is None or asked is None:
        return f"{registry} has no {name}, or the nodes do not reach it."
    if UNREACHABLE.search(said):
        return f"{registry} is out of reach of the nodes ({asked.name}: {said})."
    return f"{registry} does not give {asked.name} the image {name}: {said}."


def _pulled(name: str, node: Node) -> str | None:
    """What the node says when it pulls the image; None when it gets it, or cannot be asked."""
    try:
        result = node.run(["docker", "pull", "-q", name], limit=PULL_LIMIT)
    except LabctlError:
        return f"no answer within {PULL_LIMIT:g} s: i/o timeout"
    said = result.stderr.strip().splitlines()
    return FROM_ENGINE.sub("", said[-1]) if not result.ok and said else None
