"""Ways out for services that do not come up: what a person can do, by the scheduler's and the engines' reasons."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labctl.concurrent import each
from labctl.engine.errors import PRIVILEGED_HINT, wants_devices
from labctl.errors import LabctlError
from labctl.node import Node
from labctl.swarm.amounts import Amounts
from labctl.swarm.elsewhere import missing_image
from labctl.swarm.progress import (
    GIVEN_UP,
    MAX_REPLICAS,
    MISSING_IMAGE,
    NO_NODE,
    NO_RESOURCES,
    NO_SOURCE,
    PORT_TAKEN,
    UNMET,
    Progress,
    reserved,
)
from labctl.swarm.state import Service, SwarmNode
from labctl.words import counted, some

__all__ = ["Nearby", "way_out"]

PULL_LIMIT = 15.0  # seconds in which a registry that is in reach has begun to answer
MOST_TAGS = 5
NEXT_LINE = "\n     "
MOUNT = (
    "What a service mounts by a path has to be on each node that runs it, and goes there with no stack: name an"
    f"{NEXT_LINE}absolute path that is on the nodes (`labctl exec -- mkdir -p /srv/data` makes a folder,"
    f"{NEXT_LINE}`labctl scp FILE NODE:/srv/` brings a file), a volume, or for a file one of `configs:`."
)
PLACEMENT = (
    "No node is what its placement asks for: mend that, or `labctl docker -- node update "
    "--label-add KEY=VALUE NODE`; one that is drained runs nothing (`--availability active`)."
)
ELSEWHERE = (
    "Other nodes are not what its placement asks for: `labctl docker -- node update --label-add KEY=VALUE NODE`, "
    "or `--availability active` for one that is drained."
)
EXITED = "non-zero exit"  # the engine's word for a program that failed by itself
UNREACHABLE = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|deadline exceeded|EOF")
FROM_ENGINE = re.compile(r"^Error response from daemon: ")


@dataclass(frozen=True)
class Nearby:
    """What is known of an image outside of the swarm: whether this host's engine has it, and its tags in the mirror."""

    is_here: Callable[[str], bool] = lambda _image: False
    tags: Callable[[str], Sequence[str]] = lambda _image: ()


def way_out(
    unfinished: Sequence[Progress],
    services: Mapping[str, Service],
    members: Sequence[SwarmNode],
    nodes: Sequence[Node] = (),
    near: Nearby | None = None,
) -> str | None:
    """The hint for services that are not what they shall be; each kind of trouble is told once.

    `services` are the swarm's, by name; `members` its nodes. One of `nodes` is asked to pull an image that is missing.
    """
    told: dict[str, str] = {}
    images: list[str] = []
    for one in unfinished:
        service = services.get(one.service)
        image = missing_image(one.reason)
        way = service and _way_of(one, service, services, members)
        if service is not None and way:
            told.setdefault(f"{service.name} {way}", way)
        elif UNMET in one.reason or one.reason == NO_NODE:
            told.setdefault(UNMET, PLACEMENT)
        elif NO_SOURCE in one.reason:
            told.setdefault(NO_SOURCE, MOUNT)
        elif wants_devices(one.reason):
            told.setdefault(PRIVILEGED_HINT, PRIVILEGED_HINT)
        elif image is not None:
            images.append(image.partition("@")[0])
    if images:
        rolled_back = any("rolled back" in one.reason for one in unfinished)
        told[MISSING_IMAGE] = _images(list(dict.fromkeys(images)), nodes, near or Nearby(), again=rolled_back)
    if not told and unfinished:
        name = unfinished[0].service
        if EXITED in unfinished[0].reason:
            return f"`labctl docker -- service logs --tail 20 {name}` shows what it said before it ended."
        return f"`labctl docker -- service ps --no-trunc {name}` tells more."
    return NEXT_LINE.join([*told.values(), *_forced(unfinished)]) or None


def _forced(unfinished: Sequence[Progress]) -> list[str]:
    """How services start again whose attempts are used up: what is mended alone starts nothing."""
    names = [one.service for one in unfinished if GIVEN_UP in one.reason]
    return [f"Then `labctl docker -- service update --force {name}` starts it again." for name in names[:1]]


def _way_of(
    one: Progress, service: Service, services: Mapping[str, Service], members: Sequence[SwarmNode]
) -> str | None:
    """The way out for what the scheduler cannot place, by the service's own wishes.

    Of several reasons, each of them some nodes', the placement is the one that somebody wanted so: it is told where
    there is no other, or with another one that more nodes would mend too.
    """
    more = f"{NEXT_LINE}{ELSEWHERE}" if UNMET in one.reason else ""
    if PORT_TAKEN in one.reason:
        return _in_turn(service) if one.old and _starts_first(service) else f"{_port(service, services)}{more}"
    if NO_RESOURCES in one.reason:
        return f"{_resources(service, members)}{more}"
    return f"{_spread(service)}{more}" if MAX_REPLICAS in one.reason else None


def _starts_first(service: Service) -> bool:
    """Whether the update that goes on, or the way back from it, starts a new task beside the old one."""
    kind = "RollbackConfig" if service.update_state.startswith("rollback") else "UpdateConfig"
    return (service.raw["Spec"].get(kind) or {}).get("Order") == "start-first"


def _in_turn(service: Service) -> str:
    """The new task waits for the port of the old one, which waits for the new task."""
    back = service.update_state.startswith("rollback")
    where = "rollback_config" if back else "update_config"
    flag = "rollback-order" if back else "update-order"
    return (
        f"{service.name}: with `order: start-first` its old tasks keep the host port {_host_ports(service)} until new "
        f"ones run: set `deploy: {where}: order: stop-first` and deploy again."
        f"{NEXT_LINE}Tasks that still wait then are planned anew by `labctl docker -- service update --force "
        f"--{flag} stop-first {service.name}`."
    )


def _host_ports(service: Service) -> str:
    wanted = {(port.published, port.protocol) for port in service.ports if port.mode == "host"}
    return ", ".join(f"{number}/{protocol}" for number, protocol in sorted(wanted))


def _port(service: Service, services: Mapping[str, Service]) -> str:
    wanted = {(port.published, port.protocol) for port in service.ports if port.mode == "host"}
    ports = _host_ports(service)
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
    wanted, most = reserved(service), Amounts.largest([member.size for member in members])
    has = [*most.words(), *(f"no {kind}" for kind in wanted.generic if not most.generic.get(kind))]
    asks = f"{service.name} reserves {_listed(wanted.words())} for each task; the largest node has {_listed(has)}"
    less = "reserve less under `deploy: resources: reservations:`"
    if not wanted.fit(most):
        return f"{asks}: {less}."
    if not any(wanted.fit(member.size) for member in members):
        return f"{asks}, and no node has all of it at once: {less}."
    return f"{asks}, and other tasks have reserved of it: reserve less, or run fewer tasks."


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _spread(service: Service) -> str:
    """More tasks than the nodes may have of it, by the limit for each."""
    limit = (service.raw["Spec"]["TaskTemplate"].get("Placement") or {}).get("MaxReplicas", 0)
    return (
        f"{service.name}: a node may run {counted(limit, 'task')} of it at most "
        "(`deploy: placement: max_replicas_per_node:`): allow more there, run fewer replicas, or add a node "
        "(`labctl node add`)."
    )


def _images(names: Sequence[str], nodes: Sequence[Node], near: Nearby, *, again: bool) -> str:
    """Where the images were looked for, and how to bring them: told for the first one that some node lacks."""
    there = [name for name in names if _is_everywhere(name, nodes)]
    missing = [name for name in names if name not in there]
    lines = [f"Every node has {', '.join(there)} by now."] if there else []
    if not missing:
        return NEXT_LINE.join(lines)
    name, *others = missing
    then = "deploy again then" if again else "the swarm's next attempt takes it"
    if near.is_here(name):
        lines.append(f"This host's engine has {name}:")
    else:
        registries = {_registry(one): one for one in reversed(missing)}
        lines += [_why(registry, one, nodes) for registry, one in reversed(registries.items())]
        bring = f"To bring {name}: let this host's engine have it (docker pull, docker load or docker build), then"
        lines += [_mirrored(name, near), bring]
    more = f" The same goes for {', '.join(others)}." if others else ""
    lines += [
        f"`labctl image load {name}` copies it to the nodes: {then};",
        f"`labctl image push {name}` keeps it in the lab's registry: name it in the file as that prints.{more}",
    ]
    return NEXT_LINE.join(lines)


def _mirrored(name: str, near: Nearby) -> str:
    """What the lab's mirror has of it: the very image, others of its name, or nobody knows."""
    tags = near.tags(name)
    if name in tags:
        return f"The lab's mirror has {name}: `labctl verify` tells what keeps nodes from it."
    close = some(difflib.get_close_matches(name, tags, n=MOST_TAGS, cutoff=0), MOST_TAGS)
    return f"The lab's mirror has {close}." if close else "`labctl image ls` shows what the lab's mirror serves."


def _is_everywhere(name: str, nodes: Sequence[Node]) -> bool:
    """Whether all nodes that run have the image: then it came after the attempts that missed it."""

    def has(node: Node) -> bool:
        try:
            return node.engine.image(name) is not None
        except LabctlError:
            return False

    running = [node for node in nodes if node.is_running]
    return bool(running) and all(each(running, has))


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
