"""A lab's registry: what nodes pull from, what the host pushes to, and the containers beside the nodes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.registry.content import StoredImage, catalog, inside, load, pull, push
    from labctl.registry.service import RegistryInfo, ensure_registry, find_registry, open_registry

__all__ = [
    "RegistryInfo",
    "StoredImage",
    "catalog",
    "ensure_registry",
    "find_registry",
    "inside",
    "load",
    "open_registry",
    "pull",
    "push",
]

WHERE = {
    "StoredImage": "content",
    "catalog": "content",
    "inside": "content",
    "load": "content",
    "pull": "content",
    "push": "content",
    "RegistryInfo": "service",
    "ensure_registry": "service",
    "find_registry": "service",
    "open_registry": "service",
}


def __getattr__(name: str) -> Any:
    """What makes a registry brings images with it: who only looks need not wait for them."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
