"""Faults: break a node, its network, its engine or a service on purpose, see that it is broken, and mend it."""

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
