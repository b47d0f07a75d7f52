"""The images of a lab: their base, the nodes', the tutorials', and the mirror that serves them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.images.base import ensure_base
    from labctl.images.catalogue import Catalogue, Image, read_catalogue
    from labctl.images.ensuring import build_images, ensure, ensure_all, ensure_services, serve, services_built
    from labctl.images.mode import HUB_CACHE, MirrorMode, mirror_mode
    from labctl.images.node import ensure_node_image, node_image

__all__ = [
    "HUB_CACHE",
    "Catalogue",
    "Image",
    "MirrorMode",
    "build_images",
    "ensure",
    "ensure_all",
    "ensure_base",
    "ensure_node_image",
    "ensure_services",
    "mirror_mode",
    "node_image",
    "read_catalogue",
    "serve",
    "services_built",
]

WHERE = {
    "ensure_base": "base",
    "Catalogue": "catalogue",
    "Image": "catalogue",
    "read_catalogue": "catalogue",
    "build_images": "ensuring",
    "ensure": "ensuring",
    "ensure_all": "ensuring",
    "ensure_services": "ensuring",
    "serve": "ensuring",
    "services_built": "ensuring",
    "HUB_CACHE": "mode",
    "MirrorMode": "mode",
    "mirror_mode": "mode",
    "ensure_node_image": "node",
    "node_image": "node",
}


def __getattr__(name: str) -> Any:
    """What builds images comes when it is used: who only lists them need not wait for it."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
