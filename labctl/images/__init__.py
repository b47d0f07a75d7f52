"""The images of a lab: their base, the nodes', the tutorials', and the mirror that serves them."""

from labctl.images.base import ensure_base
from labctl.images.catalogue import Catalogue, Image, read_catalogue
from labctl.images.ensure import build_images, ensure, ensure_all, ensure_services, serve, services_built
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
