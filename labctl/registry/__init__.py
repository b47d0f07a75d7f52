"""A lab's registry: what nodes pull from, what the host pushes to, and the containers beside the nodes."""

from labctl.registry.content import Stored, catalog, inside, load, pull, push
from labctl.registry.service import RegistryInfo, ensure_registry, find_registry, open_registry

__all__ = [
    "RegistryInfo",
    "Stored",
    "catalog",
    "ensure_registry",
    "find_registry",
    "inside",
    "load",
    "open_registry",
    "pull",
    "push",
]
