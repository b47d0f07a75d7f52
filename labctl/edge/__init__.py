"""Edges: the ports that a swarm publishes, reached on this host's 127.0.0.1 without touching a node.

One proxy beside a lab's nodes carries them all. A follower in it asks the managers what services publish, so ports
open and close without labctl. Pinned ports (`ports:` of the spec, `labctl port add`) are open in any case.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.edge.pins import ensure_edge, ensure_edges, open_hosted, reach, refuse_taken, remove_edge
    from labctl.edge.proxy import ensure_proxy, refresh
    from labctl.edge.publishing import PublishedPort, published
    from labctl.edge.ways import KIND, ForwardedPort, edges, proxy_state, proxy_trouble, proxy_warnings

__all__ = [
    "KIND",
    "ForwardedPort",
    "PublishedPort",
    "edges",
    "ensure_edge",
    "ensure_edges",
    "ensure_proxy",
    "open_hosted",
    "proxy_state",
    "proxy_trouble",
    "proxy_warnings",
    "published",
    "reach",
    "refresh",
    "refuse_taken",
    "remove_edge",
]

WHERE = {
    "ensure_edge": "pins",
    "ensure_edges": "pins",
    "open_hosted": "pins",
    "reach": "pins",
    "refuse_taken": "pins",
    "remove_edge": "pins",
    "ensure_proxy": "proxy",
    "refresh": "proxy",
    "PublishedPort": "publishing",
    "published": "publishing",
    "KIND": "ways",
    "ForwardedPort": "ways",
    "edges": "ways",
    "proxy_state": "ways",
    "proxy_trouble": "ways",
    "proxy_warnings": "ways",
}


def __getattr__(name: str) -> Any:
    """What opens ports brings images and the registry with it: who only looks need not wait for them."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
