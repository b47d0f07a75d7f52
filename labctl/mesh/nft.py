"""Rules as text for nft: each script replaces the mesh's own table in one transaction and no other."""

from __future__ import annotations

from collections.abc import Iterable

from .model import PortKey, Rules, Uplink

__all__ = [
    "BRIDGE",
    "FORWARD_CHAIN",
    "OWN_MARK",
    "TABLE",
    "balancer_script",
    "forward_script",
    "node_script",
    "removal_script",
]

TABLE = "labctl_mesh"
FORWARD_CHAIN = "LABCTL-MESH"
BRIDGE = "docker_gwbridge"
OWN_MARK = 0x6C616263  # on the agent's own packets

# Ahead of the engine's own NAT, so that a published port of the swarm wins over a container's.
NODE_NAT = "priority dstnat - 10"


def removal_script() -> str:
    """Return the script that removes the table, also where there is none."""
    return f"table ip {TABLE}\ndelete table ip {TABLE}\n"


def balancer_script(rules: Rules) -> str:
    """Return the script for a load-balancer namespace: VIPs and ports to tasks, in turn.

    Answers must come back the same way, so the task sees the namespace as the client.
    """
    if not rules.serving():
        return removal_script()
    groups = _numbered(rules)
    chains = [_task_chain(name, addresses) for addresses, name in groups.items()]
    vips = [f"{vip} : goto {groups[tasks]}" for vip, tasks in rules.vips.items() if tasks]
    ports = [f"{_port(port)} : goto {groups[tasks]}" for port, tasks in rules.ports.items() if tasks]
    return removal_script() + _block(
        f"table ip {TABLE}",
        *chains,
        _map("ports", "inet_proto . inet_service", ports),
        _map("vips", "ipv4_addr", vips),
        _chain(
            "prerouting",
            "type nat hook prerouting priority dstnat; policy accept;",
            # A ping of a VIP is answered by the namespace itself.
            "meta l4proto != { tcp, udp, sctp } return",
            "meta l4proto . th dport vmap @ports" if ports else "",
            "ip daddr vmap @vips" if vips else "",
        ),
        _chain(
            "postrouting",
            "type nat hook postrouting priority srcnat; policy accept;",
            "ct status dnat masquerade",
        ),
    )


def node_script(uplink: Uplink) -> str:
    """Return the script for the node itself: published ports of its own addresses to the ingress namespace."""
    if not uplink.ports:
        return removal_script()
    return removal_script() + _block(
        f"table ip {TABLE}",
        _block(
            "set ports",
            "type inet_proto . inet_service;",
            f"elements = {{ {', '.join(_port(port) for port in sorted(uplink.ports))} }}",
        ),
        _chain(
            "divert",
            f"fib daddr type local meta l4proto . th dport @ports dnat to {uplink.sandbox}",
        ),
        _chain("prerouting", f"type nat hook prerouting {NODE_NAT}; policy accept;", "jump divert"),
        _chain(
            "output",
            f"type nat hook output {NODE_NAT}; policy accept;",
            # A service may publish the very port on which the agent asks the engine.
            f"meta mark {OWN_MARK:#x} return",
            "jump divert",
        ),
        _chain(
            "postrouting",
            "type nat hook postrouting priority srcnat - 10; policy accept;",
            # A loopback source may not leave the node, and a task's answer would take the short way
            # over the bridge; anyone else keeps its address.
            f'oifname "{BRIDGE}" ct status dnat fib saddr type local masquerade',
            f'oifname "{BRIDGE}" ct status dnat ip saddr {uplink.subnet} masquerade',
        ),
        _chain(
            "guard",
            # route_localnet, which loopback needs to reach the mesh, must not open it to tasks.
            "type filter hook prerouting priority raw; policy accept;",
            f'iifname "{BRIDGE}" ip daddr 127.0.0.0/8 drop',
        ),
    )


def forward_script(sandbox: str) -> str:
    """Return the text for iptables-restore: what the mesh diverts to `sandbox` may be forwarded.

    It stands in the engine's filter table, because an accept in a table of our own would not keep the
    engine's from dropping the packet.
    """
    return (
        "*filter\n"
        f":{FORWARD_CHAIN} - [0:0]\n"
        f"-A {FORWARD_CHAIN} -o {BRIDGE} -d {sandbox} -m conntrack --ctstate DNAT -j ACCEPT\n"
        f"-A {FORWARD_CHAIN} -i {BRIDGE} -s {sandbox} -m conntrack --ctstate DNAT -j ACCEPT\n"
        "COMMIT\n"
    )


def _numbered(rules: Rules) -> dict[tuple[str, ...], str]:
    """Name each group of tasks once, however many VIPs and ports lead to it."""
    groups = dict.fromkeys(tasks for tasks in (*rules.vips.values(), *rules.ports.values()) if tasks)
    return {tasks: f"tasks_{number}" for number, tasks in enumerate(groups)}


def _task_chain(name: str, addresses: tuple[str, ...]) -> str:
    if len(addresses) == 1:
        return _chain(name, f"dnat to {addresses[0]}")
    turns = ", ".join(f"{turn} : {address}" for turn, address in enumerate(addresses))
    return _chain(name, f"dnat to numgen inc mod {len(addresses)} map {{ {turns} }}")


def _port(key: PortKey) -> str:
    protocol, number = key
    return f"{protocol} . {number}"


def _map(name: str, key_type: str, elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    return _block(f"map {name}", f"type {key_type} : verdict;", f"elements = {{ {listed} }}") if listed else ""


def _chain(name: str, *lines: str) -> str:
    return _block(f"chain {name}", *lines)


def _block(head: str, *parts: str) -> str:
    inner = "\n".join(part.rstrip("\n") for part in parts if part)
    return f"{head} {{\n" + "".join(f"  {line}\n" for line in inner.splitlines()) + "}\n"
