"""Which port of the host each way gets. A port that was given once stays while the lab stands."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, MutableMapping

from .files import Way, Wish

__all__ = ["MOST_WAYS", "any_free", "is_free", "plan"]

MOST_WAYS = 1000  # each is a socket and some lines of nginx's configuration
TRIES = 100

Free = Callable[[int, str], bool]
Pick = Callable[[str], int]


def is_free(port: int, protocol: str, address: str = "127.0.0.1") -> bool:
    """Whether nginx could listen there now: one port that is taken fails its whole configuration."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            if protocol == "tcp":  # as nginx does; for UDP it would share the port with others
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            if protocol == "tcp":
                probe.listen()
        except OSError:
            return False
    return True


def any_free(protocol: str, address: str = "127.0.0.1") -> int:
    """Return a port that nobody has now."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def plan(
    wishes: Iterable[Wish],
    memory: MutableMapping[str, int],
    listening: Collection[tuple[int, str]],
    *,
    free: Free = is_free,
    pick: Pick = any_free,
    most: int = MOST_WAYS,
) -> tuple[list[Way], int]:
    """Give each wish a port of the host, and return the ways and how many wishes are too many.

    `memory` is what each wish got before, and is brought up to date. `listening` are the ports that are open already
    and so are the proxy's own.
    """
    merged: dict[str, Wish] = {}
    for wish in wishes:
        if wish.pinned or wish.key not in merged:
            merged[wish.key] = wish
    order = sorted(merged.values(), key=lambda wish: (not wish.pinned, wish.target, wish.protocol, wish.asked))
    pinned = {(wish.target, wish.protocol) for wish in order if wish.pinned}
    used: set[tuple[int, str]] = set()
    ways: list[Way] = []

    def usable(port: int, protocol: str) -> bool:
        return (port, protocol) not in used and ((port, protocol) in listening or free(port, protocol))

    for wish in order[:most]:
        port = next((port for port in (memory.get(wish.key, 0), wish.asked) if port and usable(port, wish.protocol)), 0)
        if not port and not wish.pinned and (wish.target, wish.protocol) in pinned:
            continue  # somebody chose another port for it, since this one is taken
        if not port:
            port = _another(wish.protocol, used, set(memory.values()), pick)
        used.add((port, wish.protocol))
        memory[wish.key] = port
        ways.append(Way(port, wish.target, wish.protocol, wish.asked, wish.pinned))
    return ways, len(order[most:])


def _another(protocol: str, used: Collection[tuple[int, str]], remembered: Collection[int], pick: Pick) -> int:
    for _ in range(TRIES):
        port = pick(protocol)
        if (port, protocol) not in used and port not in remembered:
            break
    return port
