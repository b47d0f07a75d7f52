"""Faults: break a node, its network, its engine or a service on purpose, see that it is broken, and mend it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.faults.kinds import KINDS, kind_named
    from labctl.faults.model import Fault, Kind, Option, Scene, as_keyword, seconds_of
    from labctl.faults.verbs import Injected, active, heal, inject, look, pick, planned, tend

__all__ = [
    "KINDS",
    "Fault",
    "Injected",
    "Kind",
    "Option",
    "Scene",
    "active",
    "as_keyword",
    "heal",
    "inject",
    "kind_named",
    "look",
    "pick",
    "planned",
    "seconds_of",
    "tend",
]

LATE = {
    **dict.fromkeys(("KINDS", "kind_named"), "kinds"),
    **dict.fromkeys(("Fault", "Kind", "Option", "Scene", "as_keyword", "seconds_of"), "model"),
    **dict.fromkeys(("Injected", "active", "heal", "inject", "look", "pick", "planned", "tend"), "verbs"),
}


def __getattr__(name: str) -> Any:
    """What breaks things comes when it is used: `labctl status` only looks whether there is a fault."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
