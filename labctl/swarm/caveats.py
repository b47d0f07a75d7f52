"""What a swarm accepts without a word and cannot keep: the nodes' own ports, encrypted networks without ESP.

And the lack of the ingress network, which Docker lets anybody remove to recreate it with other options.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from labctl.concurrent import each
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.engine.errors import INGRESS_HINT
from labctl.errors import LabctlError, WaitTimeout
from labctl.mesh.model import NODE_PORTS
from labctl.node import Node
from labctl.swarm.state import Service, SwarmView
from labctl.waiting import Pending, wait_until

__all__ = [
    "WAY_OUT",
    "encrypted_networks",
    "ingress_network",
    "lacks_esp",
    "outside_ingress",
    "problems_of",
    "stack_caveats",
]

NAMESPACE = "com.docker.stack.namespace"
TRY_LIMIT = 5.0  # seconds
ENTERS_WITHIN = 5.0  # seconds; an engine that has just joined enters the ingress network in one or two
# The kernel is asked for what the engine asks it for, in a network namespace that is gone at once.
ESP_TRY = (
    "unshare -n ip xfrm state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 0x1 mode transport "
    "aead 'rfc4106(gcm(aes))' 0x0123456789abcdef0123456789abcdef01234567 64"
)
# What a kernel says that lacks a part of it; anything else (a tool or a right is missing) says nothing of the kernel.
REFUSALS = ("not found", "not supported", "not implemented")
NO_TOOL = ("command not found", "unshare:")
WAY_OUT = (
    "leave `encrypted` out of its options (in a lab all its packets stay on this machine), "
    "or make the lab of virtual machines (`labctl up --name vms --backend vagrant`)"
)


def encrypted_networks(engine: Engine) -> list[Json]:
    """The swarm's encrypted overlay networks, by name."""
    found = [one for one in engine.networks() if one.get("Driver") == "overlay" and _is_encrypted(one)]
    return sorted(found, key=lambda network: str(network["Name"]))


def ingress_network(engine: Engine) -> Json | None:
    """The network that carries what services publish, whatever its name; None where somebody has removed it."""
    return next((one for one in engine.networks() if one.get("Ingress")), None)


def outside_ingress(engine: Engine, nodes: Sequence[Node]) -> list[str]:
    """Which of the nodes are not on the swarm's ingress network, and refuse what services publish; with the way out.

    So after the network was recreated: a node without tasks enters it only when it gets one, as from `verify`, and one
    whose tasks stopped too late may keep the old one until its engine starts over (seen on 26.1.5). One that has just
    joined enters within a second or two, and is looked at again. `engine` is a
    manager's; a node that does not answer is not told of.
    """
    network = ingress_network(engine)
    if network is None:
        return []
    told = each(nodes, lambda node: _apart_from(network, node))
    suspects = [node for node, one in zip(nodes, told, strict=True) if one]
    return _still_apart(network, suspects) if suspects else []


def _still_apart(network: Json, suspects: Sequence[Node]) -> list[str]:
    """What is wrong with those of the nodes that do not enter the network within some seconds."""
    told: list[str] = []

    def look() -> None:
        told[:] = filter(None, each(suspects, lambda node: _apart_from(network, node)))
        if told:
            raise Pending(told[0])

    with contextlib.suppress(WaitTimeout):
        wait_until("nodes entering the ingress network", look, limit=ENTERS_WITHIN, pause=0.5)
    return told


def _apart_from(network: Json, node: Node) -> str:
    """What is wrong with the node's end of the network; empty for nothing, or where the node does not say."""
    try:
        # A manager knows the network also where its own engine is not on it; what the engine's end is called tells.
        here = node.engine.network(str(network["Id"])) or {}
        if f"{network['Name']}-sbox" in (here.get("Containers") or {}):
            return ""
        others = [one for one in node.engine.networks() if one.get("Ingress") and one["Id"] != network["Id"]]
    except LabctlError:
        return ""
    if others:
        way = f"`labctl restart {node.name}` lets it enter {network['Name']}, and starts its containers over"
        return f"{node.name} is still on an ingress network that was removed, and refuses published ports: {way}"
    return f"{node.name} is not on the ingress network, and refuses published ports: `labctl verify` lets it enter"


def lacks_esp(node: Node) -> bool:
    """Whether the node's kernel cannot encrypt an overlay (no ESP), by a try; False where it cannot be tried."""
    try:
        result = node.run(ESP_TRY, limit=TRY_LIMIT)
    except LabctlError:
        return False
    said = result.stderr.lower()
    return not result.ok and any(word in said for word in REFUSALS) and not any(word in said for word in NO_TOOL)


def problems_of(view: SwarmView, services: Iterable[Service], nodes: Sequence[Node]) -> list[str]:
    """What the swarm's services and networks ask for and do not get; `nodes` are those that run."""
    missing = f"the ingress network is gone, and no service can publish a port: {INGRESS_HINT}"
    gone = [] if ingress_network(view.engine) else [missing]
    return [*gone, *_own_ports(services), *_unencrypted(encrypted_networks(view.engine), nodes)]


def stack_caveats(view: SwarmView, stack: str, nodes: Sequence[Node]) -> list[str]:
    """The same of one stack: its services, its networks, and those of others that it is attached to."""
    services = view.services(stack=stack)
    attached = {network for service in services for network in service.networks}
    mine = [
        network
        for network in encrypted_networks(view.engine)
        if network["Id"] in attached or (network.get("Labels") or {}).get(NAMESPACE) == stack
    ]
    return [*_own_ports(services), *_unencrypted(mine, nodes)]


def _own_ports(services: Iterable[Service]) -> list[str]:
    return [
        f"service {service.name} publishes {port.published}/{port.protocol}, the nodes' own port "
        f"({NODE_PORTS[port.protocol, port.published]}): it leads to the node or to the service, not to both; "
        "publish another port"
        for service in services
        for port in sorted(service.ports, key=lambda port: port.published)
        if port.mode == "ingress" and (port.protocol, port.published) in NODE_PORTS
    ]


def _unencrypted(networks: Sequence[Json], nodes: Sequence[Node]) -> list[str]:
    running = [node for node in nodes if node.is_running]
    if not networks or len(running) < 2:
        return []
    names = [node.name for node, lacks in zip(running, each(running, lacks_esp), strict=True) if lacks]
    if not names:
        return []
    where = (
        "the nodes have" if len(names) == len(running) else f"{', '.join(names)} {'has' if len(names) == 1 else 'have'}"
    )
    return [
        f"network {network['Name']} is encrypted, and {where} no ESP in the kernel: "
        f"no packet on it gets from one node to another; {WAY_OUT}"
        for network in networks
    ]


def _is_encrypted(network: Json) -> bool:
    """Whether the driver encrypts it: an empty value counts as yes (`--opt encrypted`)."""
    options = network.get("Options") or {}
    return "encrypted" in options and str(options["encrypted"]).lower() not in ("false", "0", "f")
