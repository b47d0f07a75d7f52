"""Faults: break a node, its network, its engine or a service on purpose, see that it is broken, and mend it."""

from labctl.faults.model import Fault, Kind, Option, Scene, seconds_of
from labctl.faults.verbs import KINDS, Injected, active, heal, inject, kind_named, pick, planned

__all__ = [
    "KINDS",
    "Fault",
    "Injected",
    "Kind",
    "Option",
    "Scene",
    "active",
    "heal",
    "inject",
    "kind_named",
    "pick",
    "planned",
    "seconds_of",
]
