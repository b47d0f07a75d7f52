"""What the parts of a spec may be, each by itself: names, sizes, subnets, options. ValueError tells what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "BOX",
    "LAST_PORT",
    "LONGEST_LAB_NAME",
    "LONGEST_NODE_NAME",
    "MAX_MANAGERS",
    "MAX_NODES",
    "TAKEN_NAMES",
    "check_box",
    "check_engine_options",
    "check_image",
    "check_memory",
    "check_name",
    "check_node_name",
    "check_subnet",
    "port_of",
    "size_in_bytes",
]

# Raft's own limit is higher, but each manager more makes every write slower; Docker's documentation
# (engine/swarm/admin_guide) advises no more than seven.
MAX_MANAGERS = 7
MAX_NODES = 1000
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST_LAB_NAME = 40  # with a node's name behind it, it must fit into the 63 characters of a DNS label
LONGEST_NODE_NAME = 22
LAST_PORT = 65535
# Names that already mean something else inside a node.
TAKEN_NAMES = ("hub", "localhost", "registry")
# Bytes; an engine that does nothing has 70 to 180 MiB.
LEAST_MEMORY = 128 << 20
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)
BOX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
# The host's own engine owns these; a spec that sets them would cut labctl off from its nodes.
OURS_IN_ENGINE = ("hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey", "data-root", "containerd", "pidfile")


PORT = re.compile(r"(?:(\d{1,5}):)?(\d{1,5})(?:/(tcp|udp))?")


def check_name(value: str, longest: int = LONGEST_LAB_NAME) -> str:
    """A name that a DNS label takes."""
    if len(value) > longest:
        raise ValueError(f"{value[:20]}… has {len(value)} characters; {longest} is the most")
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: lower-case letters, digits and hyphens, a letter or digit at each end")
    return value


def check_node_name(value: str) -> str:
    """A name that no other machine of a lab has."""
    if value in TAKEN_NAMES:
        raise ValueError(f"{value} is another machine's name in a lab")
    return check_name(value, LONGEST_NODE_NAME)


def check_engine_options(value: dict[str, Any]) -> dict[str, Any]:
    """What a daemon.json may say beside what labctl says itself."""
    taken = sorted(set(value) & set(OURS_IN_ENGINE))
    if taken:
        raise ValueError(f"labctl itself sets {', '.join(taken)}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("daemon.json cannot hold what is no JSON: infinity, a date") from None
    return value


def check_memory(value: str | None) -> str | None:
    """A size in which an engine runs."""
    if value is not None and size_in_bytes(value) < LEAST_MEMORY:
        raise ValueError(f"{value} is too little for an engine; {LEAST_MEMORY >> 20}m is the least")
    return value


def check_box(value: str | None) -> str | None:
    """A box's name as Vagrant has it."""
    if value is not None and not BOX.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a box: debian/bookworm64; `vagrant box list` shows those here")
    return value


def check_image(value: str) -> str:
    """An image's name, as far as it can be told from anything else."""
    if not value or any(letter.isspace() for letter in value):
        raise ValueError(f"{value!r} is no image's name: nginx, nginx:1.27, group/web:2")
    return value


def check_subnet(value: str | None) -> str | None:
    """A private subnet, noted in the one way that others can be compared with."""
    if value is None:
        return None
    import ipaddress

    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        raise ValueError(f"{value!r} is no IPv4 subnet like 172.30.0.0/24") from None
    if not any(network.subnet_of(ipaddress.IPv4Network(private)) for private in PRIVATE):
        raise ValueError(f"{value} is no private range; take one of 10/8, 172.16/12 or 192.168/16")
    return str(network)


def port_of(text: str) -> Mapping[str, Any]:
    """Read `8080`, `18080:8080` (host:swarm, as Docker has it) or `8080/udp`."""
    found = PORT.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no port: 8080, 18080:8080 or 8080/udp")
    host, target, protocol = found.groups()
    if not all(1 <= int(port) <= LAST_PORT for port in (host or target, target)):
        raise ValueError(f"{text!r} is no port: ports are 1 to {LAST_PORT}")
    return {"target": int(target), "host": int(host or target), "protocol": protocol or "tcp"}


def size_in_bytes(text: str) -> int:
    """Read 512m or 2g as bytes. Raises ValueError for anything else."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size: 512m, 2g")
    number, unit = found.groups()
    return int(float(number) * 1024 ** (" kmgt".index(unit.lower()) if unit else 0))
