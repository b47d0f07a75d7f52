"""Faults of a node's network: cut off, partitioned, a port blocked, narrow, lossy, an MTU black hole, slow.

Rules of nftables (nft(8)) in a table of the fault's own see each packet before and behind all others: what is routed to
tasks and the overlay's VXLAN packets too. The host's way in (SSH, the engine's API) stays open, so that what is broken
can be looked at and mended. Rate is tc-tbf(8)'s, delay tc-netem(8)'s.
"""

from __future__ import annotations

import re
from typing import Literal

from labctl.errors import HostError, UsageError
from labctl.faults.innode import InNode, Script
from labctl.faults.model import Fault, Option, Scene, percent, whole
from labctl.node import Node
from labctl.transport import Result

__all__ = ["BlackHole", "Block", "Cut", "Delay", "Loss", "Partition", "Rate"]

# Rules for what comes in and goes out by the node's interface; `{into}` and `{out}` say what is lost.
RULES = """\
command -v nft >/dev/null || {{ echo "there is no nft on this node (package nftables)" >&2; exit 1; }}
[ -n "$iface" ] || {{ echo "no interface of this node has the address {address}" >&2; exit 1; }}
nft -f - <<END
table inet $me {{
  chain into {{
    type filter hook prerouting priority -310; policy accept;
    iifname != "$iface" accept
    ip saddr {host} tcp dport {{ 22, 2376 }} accept
    {into}
  }}
  chain out {{
    type filter hook postrouting priority 310; policy accept;
    oifname != "$iface" accept
    ip daddr {host} tcp sport {{ 22, 2376 }} accept
    {out}
  }}
}}
END"""
NO_RULES = 'nft delete table inet "$me" 2>/dev/null'
HAS_RULES = 'nft list table inet "$me" >/dev/null 2>&1'


class _Rules(InNode):
    """A fault that is a table of nftables."""

    parts_nodes = True

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """The node's rules."""
        into, out = self.lost(scene, node, fault)
        do = RULES.format(address=node.address, host=scene.host, into="\n    ".join(into), out="\n    ".join(out))
        return Script(do, NO_RULES, HAS_RULES)

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """The rules that drop what comes in, and what goes out."""
        raise NotImplementedError


class Cut(_Rules):
    """Nothing comes or goes any more."""

    name = "cut"
    summary = "Cut a node off: nothing passes between it and the rest of the lab."
    breaks_node = True

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """All of it."""
        return ["drop"], ["drop"]


class Partition(_Rules):
    """Two groups of nodes that do not reach each other."""

    name = "partition"
    summary = "Split the lab: the nodes named do not reach the others any more; among themselves they do."
    options: tuple[Option, ...] = (
        Option("from", "", "The nodes on the other side, with commas between (default: all others)."),
    )

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """What comes from the other side, and what goes there."""
        sides = fault.options.get("from", "").split(",")
        far = _braced(sorted(other.address for other in scene.others(node) if other.name in sides))
        return [f"ip saddr {far} drop"], [f"ip daddr {far} drop"]


class Block(_Rules):
    """One port between the nodes."""

    name = "block"
    summary = "Block one port between a node and the others: 2377 managers, 7946 gossip, 4789 overlay (VXLAN)."
    options: tuple[Option, ...] = (
        Option("port", "4789", "The port to block (default: 4789).", whole(1, 65535, "a port")),
    )

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """Packets of the port, TCP and UDP, whichever end listens."""
        peers, port = _braced(sorted(other.address for other in scene.others(node))), fault.options["port"]
        ways = [f"{protocol} {end} {port} drop" for protocol in ("tcp", "udp") for end in ("dport", "sport")]
        return [f"ip saddr {peers} {way}" for way in ways], [f"ip daddr {peers} {way}" for way in ways]


class Loss(_Rules):
    """Some of what comes in is lost."""

    name = "loss"
    summary = "Lose a share of the packets that come to a node."
    options: tuple[Option, ...] = (Option("share", "10%", "How many packets are lost (default: 10%).", percent),)

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """One packet of so many, drawn anew for each."""
        of_10000 = round(percent(fault.options["share"]) * 100)
        # nft refuses a comparison that is always true.
        return ["drop" if of_10000 >= 10000 else f"numgen random mod 10000 < {of_10000} drop"], []


class BlackHole(_Rules):
    """Large packets vanish and nobody is told."""

    name = "mtu"
    summary = "Make an MTU black hole: packets above a size vanish without a word, small ones pass."
    options: tuple[Option, ...] = (
        Option("size", "1400", "The largest packet that passes, in bytes (default: 1400).", whole(128, 1499, "bytes")),
    )

    def lost(self, scene: Scene, node: Node, fault: Fault) -> tuple[list[str], list[str]]:
        """Whatever is larger, both ways."""
        rule = [f"meta length > {fault.options['size']} drop"]
        return rule, rule


RATE = re.compile(r"\d{1,6}[kmg]bit", re.ASCII)


def _rate(text: str) -> str:
    if not RATE.fullmatch(text) or not int(text[:-4]):
        raise ValueError("expected a rate such as 512kbit or 10mbit")
    return text


class _Queue(InNode):
    """A fault that is the interface's queue; there is one, so one such fault a node."""

    queue: Literal["tbf", "netem"]

    def settings(self, fault: Fault) -> str:
        """What the queue is told."""
        raise NotImplementedError

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """The node's queue, by a handle of the fault's own. What the kernel had before comes back when it goes."""
        handle = f"{int(fault.id[:3], 16) + 1:x}:"
        mine = f"tc qdisc show dev $iface | grep -q ' {self.queue} {handle} root'"
        return Script(
            "if tc qdisc show dev $iface | grep -qE ' (tbf|netem) '; then\n"
            "  echo 'its network is slowed already' >&2; exit 1\n"
            "fi\n"
            f"tc qdisc add dev $iface root handle {handle} {self.queue} {self.settings(fault)}",
            f"{mine} && tc qdisc del dev $iface root",
            mine,
        )

    def failed(self, node: Node, result: Result) -> Exception:
        """A kernel that has no such queue is told as that."""
        if "qdisc kind is unknown" in result.stderr:
            return HostError(
                f"the kernel of {node.name} has no {self.queue}, which {self.name} needs",
                hint="Virtual machines bring a kernel of their own: `labctl up --name NEW --backend vagrant` "
                "makes a lab of them.",
            )
        return super().failed(node, result)


class Rate(_Queue):
    """A narrow line."""

    name = "rate"
    summary = "Narrow what a node sends to so many bits a second."
    queue = "tbf"
    options: tuple[Option, ...] = (
        Option("rate", "1mbit", "How much the node may send a second (default: 1mbit).", _rate),
    )

    def settings(self, fault: Fault) -> str:
        """A bucket of two full packets; what waits longer than 400 ms is dropped."""
        return f"rate {fault.options['rate']} burst 32kbit latency 400ms"


TIME = re.compile(r"\d{1,5}ms", re.ASCII)


def _milliseconds(text: str) -> str:
    if not TIME.fullmatch(text):
        raise ValueError("expected milliseconds such as 100ms")
    return text


class Delay(_Queue):
    """A long line. The kernel's netem does it; where it has none, that is told."""

    name = "delay"
    summary = "Delay what a node sends; needs a kernel with netem."
    queue = "netem"
    options: tuple[Option, ...] = (
        Option("delay", "100ms", "How long each packet waits (default: 100ms).", _milliseconds),
        Option("jitter", "0ms", "By how much that varies (default: 0ms).", _milliseconds),
        Option("reorder", "0%", "How many packets overtake the others (default: 0%).", lambda text: percent(text, 0)),
    )

    def settings(self, fault: Fault) -> str:
        """tc-netem(8)'s own words."""
        reorder = percent(fault.options["reorder"], 0)
        behind = f" reorder {reorder:g}%" if reorder else ""
        return f"delay {fault.options['delay']} {fault.options['jitter']}{behind}"


def _braced(addresses: list[str]) -> str:
    if not addresses:
        raise UsageError("there is no other node to be kept from", hint="`labctl node add` makes one.")
    return "{ " + ", ".join(addresses) + " }"
