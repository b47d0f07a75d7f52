"""The files that labctl and the follower share. They lie in a volume, so they outlive the proxy's container."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "CANDIDATES",
    "FIXED",
    "FOLDER",
    "KEYS",
    "PINS",
    "PORTS",
    "STATE",
    "Hosted",
    "State",
    "Until",
    "Way",
    "Wish",
    "drop_pins",
    "load_json",
    "pin_file",
    "read_pins",
    "read_untils",
    "save_json",
]

FOLDER = "/var/lib/edge"
STATE = "state.json"  # what is open, for labctl to read
PORTS = "ports.json"  # which port of the host each way got, for the life of the lab
CANDIDATES = "nodes.json"  # addresses of nodes, from labctl: one of them may be a manager
FIXED = "fixed.json"  # the ways, where the engine publishes them and so they cannot change
# A folder, one file a pin: "1", or an `Until` as JSON for one that goes with a service; "0" for one to take away.
PINS = "pins"
KEYS = "keys"  # a folder: ca.pem, cert.pem and key.pem for the managers' API


class Wish(NamedTuple):
    """A way that shall be: from port `asked` of the host to port `target` of the swarm."""

    asked: int
    target: int
    protocol: str
    pinned: bool = False

    @property
    def key(self) -> str:
        """How the files name it."""
        return f"{self.asked}:{self.target}/{self.protocol}"

    @classmethod
    def of(cls, key: str, *, pinned: bool = False) -> Wish:
        """Read a key. Raises ValueError for what is none."""
        ports, _, protocol = key.partition("/")
        asked, _, target = ports.partition(":")
        if protocol not in ("tcp", "udp"):
            raise ValueError(f"{key!r} is no way")
        return cls(int(asked), int(target), protocol, pinned)


class Hosted(NamedTuple):
    """A port that a service publishes in host mode: on the nodes of its tasks alone. 0 is any number."""

    service: str  # its id
    number: int
    target: int
    protocol: str


class Until(NamedTuple):
    """How long a pin is wanted: while its port is published in host mode, by this service where the number is any."""

    service: str
    target: int

    def holds(self, wish: Wish, hosted: Iterable[Hosted]) -> bool:
        """Whether it is wanted still."""
        any_number = Hosted(self.service, 0, self.target, wish.protocol)
        return any(one == any_number or (one.number, one.protocol) == (wish.target, wish.protocol) for one in hosted)


class Way(NamedTuple):
    """A way that is: port `host` of the host leads to port `target` of the swarm."""

    host: int
    target: int
    protocol: str
    asked: int
    pinned: bool = False

    @property
    def wish(self) -> Wish:
        """What it was made for."""
        return Wish(self.asked, self.target, self.protocol, self.pinned)


class State(NamedTuple):
    """What the follower says of itself."""

    ways: tuple[Way, ...] = ()
    published: tuple[Wish, ...] = ()  # what services publish, as a manager last told
    nodes: tuple[str, ...] = ()  # addresses that the ways lead to
    managers: tuple[str, ...] = ()
    source: str = ""  # the manager that answers; none where nobody does
    error: str = ""  # why nobody does
    warnings: tuple[str, ...] = ()
    looks: int = 0  # how often it looked: the next one shows what was asked for before it
    updated: float = 0.0  # seconds since 1970
    beacon: int = 0  # a port of the host's 127.0.0.1 that answers with `token`
    token: str = ""

    def to_json(self) -> dict[str, Any]:
        """What the state file holds."""
        return self._asdict()

    @classmethod
    def of(cls, data: Any) -> State:
        """Read what a state file holds, of this version or another. Raises ValueError for what is none."""
        if not isinstance(data, dict):
            raise ValueError("not a state")
        known: dict[str, Any] = {key: value for key, value in data.items() if key in cls._fields}
        try:
            known["ways"] = tuple(Way(*way) for way in known.get("ways", ()))
            known["published"] = tuple(Wish(*wish) for wish in known.get("published", ()))
        except TypeError as wrong:
            raise ValueError(f"not a state: {wrong}") from None
        for key in ("nodes", "managers", "warnings"):
            known[key] = tuple(str(one) for one in known.get(key, ()))
        return cls(**known)


def pin_file(wish: Wish) -> str:
    """The name of a pin's file."""
    return f"{wish.asked}-{wish.target}-{wish.protocol}"


def read_pins(folder: str) -> set[Wish]:
    """Read the pins, and remove those that shall be taken away."""
    place = os.path.join(folder, PINS)
    found = set()
    for name in _entries(place):
        wish = _wish_of(name)
        if wish is None:
            continue
        path = os.path.join(place, name)
        with open(path) as file:
            wanted = file.read().strip() != "0"
        if wanted:
            found.add(wish)
        else:
            os.unlink(path)
    return found


def read_untils(folder: str) -> dict[Wish, Until]:
    """Read how long pins are wanted; those that stay until they are taken away are not in it."""
    place = os.path.join(folder, PINS)
    found = {}
    for name in _entries(place):
        told = load_json(os.path.join(place, name))
        wish = _wish_of(name)
        if wish is not None and isinstance(told, dict):
            found[wish] = Until(str(told.get("service")), int(told.get("target") or 0))
    return found


def drop_pins(folder: str, untils: Mapping[Wish, Until], hosted: Iterable[Hosted]) -> None:
    """Take away the pins that are wanted no more now that these ports are published."""
    now = read_untils(folder)
    for wish, until in untils.items():
        if now.get(wish) == until and not until.holds(wish, hosted):
            os.unlink(os.path.join(folder, PINS, pin_file(wish)))


def _wish_of(name: str) -> Wish | None:
    """The wish that a pin's file is named after."""
    try:
        return Wish.of(name.replace("-", ":", 1).replace("-", "/", 1), pinned=True)
    except ValueError:
        return None


def _entries(folder: str) -> Iterable[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return ()


def load_json(path: str) -> Any:
    """Read a JSON file; None where there is none that can be read."""
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def save_json(path: str, data: Mapping[str, Any] | list[Any]) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    with open(f"{path}.new", "w") as beside:
        json.dump(data, beside)
    os.replace(f"{path}.new", path)
