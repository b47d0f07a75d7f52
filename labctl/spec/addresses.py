"""Who gets which address in a lab's subnet.

.1          the gateway
.2          the registry and mirror
.11, .12 …  the nodes, in order (from .3 in a subnet of less than 128 addresses)
last fourth what comes and goes: edges for published ports
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from itertools import islice

from labctl.errors import LabError
from labctl.words import counted

__all__ = ["dynamic_range", "free_addresses", "gateway", "prefix_for", "registry_address", "room"]

SMALLEST = 32  # addresses: below that, the parts would not all fit


def gateway(subnet: str) -> str:
    """The host's own address in the subnet."""
    return str(ipaddress.IPv4Network(subnet)[1])


def registry_address(subnet: str) -> str:
    """Where the registry and the mirror listen."""
    return str(ipaddress.IPv4Network(subnet)[2])


def dynamic_range(subnet: str) -> str:
    """The part of the subnet that the engine hands out by itself."""
    return str(list(ipaddress.IPv4Network(subnet).subnets(prefixlen_diff=2))[-1])


def room(subnet: str) -> int:
    """How many nodes fit into the subnet."""
    return len(_node_range(subnet))


def free_addresses(subnet: str, taken: Iterable[str], count: int) -> list[str]:
    """Return the `count` lowest addresses for nodes that are not taken. Raises LabError when they run out."""
    used = set(taken)
    network = ipaddress.IPv4Network(subnet)
    in_order = (str(network[offset]) for offset in _node_range(subnet))
    free = list(islice((address for address in in_order if address not in used), count))
    if len(free) < count:
        raise LabError(
            f"the lab's subnet {subnet} has no room for {counted(count, 'more node')}",
            hint="`labctl down`, and `labctl up` with a larger --subnet.",
        )
    return free


def prefix_for(nodes: int) -> int:
    """Return the length of the prefix that a lab of so many nodes needs; /24 at least."""
    prefix = 24
    while room(f"10.0.0.0/{prefix}") < nodes:
        prefix -= 1
    return prefix


def _node_range(subnet: str) -> range:
    size = ipaddress.IPv4Network(subnet).num_addresses
    if size < SMALLEST:
        return range(0)
    return range(11 if size >= 128 else 3, size * 3 // 4)
