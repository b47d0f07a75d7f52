"""Which private subnet a lab may have, so that nothing else on this machine loses its own.

In the way are: the engine's other networks, every route and address of this machine (a VPN's and the
LAN's too), and what the caller names. 10.0.0.0/8 comes late and its first half never, since overlays
take their subnets from there, from the bottom up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

from labctl.engine import Engine
from labctl.errors import HostError, UsageError
from labctl.host.facts import Json, NetworkFacts
from labctl.host.network_facts import gather_network

__all__ = [
    "RANGES",
    "Claim",
    "claims_on",
    "collision",
    "free_subnet",
    "is_subnet_taken",
    "overlaps",
    "pick_subnet",
    "refuse_overlap",
]

# The engine hands out its own from the bottom of 172.16.0.0/12 and 192.168.0.0/16, home routers from
# the bottom of the latter and of 10.0.0.0/8: so the middle of each is tried first. 198.18.0.0/15 is set aside
# for measurements and routed by nobody: the way out where a VPN has taken all that is private.
RANGES = (
    *(f"172.{second}.0.0/16" for second in (30, 29, 28, 27, 26, 25)),
    "192.168.128.0/17",
    *(f"10.{second}.0.0/16" for second in range(201, 255)),
    "198.18.0.0/15",
)
SMALLEST, LARGEST = 28, 16  # prefix lengths that a lab may have
_DEFAULT_ROUTE = 7  # a route this wide or wider (0.0.0.0/1 of a VPN) is a way out, not a claim


@dataclass(frozen=True)
class Claim:
    """A range that is taken, and by whom, in words."""

    network: IPv4Network
    by: str


def free_subnet(engine: Engine, *, taken: Iterable[str] = (), prefix: int = 24, within: Sequence[str] = RANGES) -> str:
    """Return a free private subnet, such as "172.30.0.0/24". The same machine gets the same answer.

    Two labs made at the same moment get the same answer too: the engine refuses the second, which then
    asks again with that subnet in `taken`. Raises HostError when there is none, UsageError for a
    `prefix` outside 16 to 28.
    """
    if not LARGEST <= prefix <= SMALLEST:
        raise UsageError(f"a lab's subnet is /{LARGEST} to /{SMALLEST}, not /{prefix}")
    claims = claims_on(engine.networks(), gather_network())
    claims += [Claim(IPv4Network(subnet, strict=False), "asked for") for subnet in taken]
    found = pick_subnet(claims, prefix, within)
    if found is None:
        where = "" if within is RANGES else f" in {', '.join(within)}"
        raise HostError(
            f"every private /{prefix}{where} is taken: by the engine's networks, or by routes of this machine",
            hint="`docker network prune` frees unused ones; `labctl up --subnet` takes one of your choice.",
        )
    return found


def overlaps(subnet: str, engine: Engine, *, own: Iterable[str] = ()) -> str | None:
    """Say what a subnet collides with ("network X of this engine", "route via tun0"); None when it is free.

    Networks named in `own` do not count: a lab does not collide with itself. Raises UsageError for
    what is no IPv4 subnet.
    """
    return collision(subnet, claims_on(engine.networks(), gather_network(), own=own))


def is_subnet_taken(said: str) -> bool:
    """Whether an engine's refusal means that a subnet is taken by now."""
    return "overlap" in said  # "Pool overlaps with other one on this address space", "networks have overlapping IPv4"


def refuse_overlap(subnet: str, engine: Engine, *, own: Iterable[str] = ()) -> None:
    """Raise UsageError when a subnet that was asked for collides with something, or is none."""
    taken_by = overlaps(subnet, engine, own=own)
    if taken_by is not None:
        raise UsageError(
            f"the subnet {subnet} is taken: {taken_by}",
            hint="Name another, or none: labctl then finds one that is free.",
        )


def collision(subnet: str, claims: Iterable[Claim]) -> str | None:
    """Say which of the claims a subnet collides with; None for none."""
    try:
        wanted = IPv4Network(subnet)
    except (AddressValueError, NetmaskValueError, ValueError) as problem:
        raise UsageError(f"{subnet!r} is no IPv4 subnet: {problem}", hint="One looks like 172.30.0.0/24.") from None
    return next((claim.by for claim in claims if claim.network.overlaps(wanted)), None)


def pick_subnet(claims: Iterable[Claim], prefix: int, within: Sequence[str] = RANGES) -> str | None:
    """Return the first subnet of that prefix length that no claim touches."""
    taken = [claim.network for claim in claims]
    return next(
        (str(one) for one in _candidates(prefix, within) if not any(one.overlaps(other) for other in taken)), None
    )


def claims_on(networks: Iterable[Json], host: NetworkFacts, *, own: Iterable[str] = ()) -> list[Claim]:
    """Return what is taken by an engine's networks (GET /networks) and by this machine's routes and addresses.

    A route to one of the engine's own networks is told as that network, and not at all for one in `own`.
    """
    ours = set(own)
    claims: list[Claim] = []
    engines: set[IPv4Network] = set()
    for network in networks:
        for subnet in _subnets_of(network):
            engines.add(subnet)
            if network.get("Name") not in ours:
                claims.append(Claim(subnet, f"network {network.get('Name')} of this engine"))
    for route in host.routes:
        wide = route.network.prefixlen <= _DEFAULT_ROUTE
        if wide or route.network.is_loopback or route.network in engines:
            continue
        words = f"address of {route.interface}" if route.is_address else f"route via {route.interface}"
        claims.append(Claim(route.network, f"{words} ({route.network})"))
    return claims


def _subnets_of(network: Json) -> Iterator[IPv4Network]:
    for pool in (network.get("IPAM") or {}).get("Config") or ():
        subnet = str(pool.get("Subnet") or "")
        if subnet and ":" not in subnet:
            yield IPv4Network(subnet, strict=False)


def _candidates(prefix: int, within: Sequence[str]) -> Iterator[IPv4Network]:
    for text in within:
        area = IPv4Network(text)
        if area.prefixlen <= prefix:
            yield from area.subnets(new_prefix=prefix)
