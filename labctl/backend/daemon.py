"""The configuration of a node's engine (daemon.json), the same for every backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "DIAGNOSTIC_PORT",
    "ENGINE_PORT",
    "HUB",
    "HUB_OUTSIDE",
    "MIRROR",
    "REGISTRY",
    "TLS_FOLDER",
    "engine_config",
    "fitted",
]

ENGINE_PORT = 2376
REGISTRY = "registry:5000"
MIRROR = "registry:5001"  # labctl's own images, and stand-ins where the Hub is out of reach
HUB = "hub:5001"  # the cache of the Hub's originals; the mirror once more where it is out of reach
HUB_OUTSIDE = "hub:5002"  # the same for virtual machines, which find all three at one address
TLS_FOLDER = "/etc/labctl/tls"
# Loopback only: the mesh agent reads the engine's networkdb there, and engines that start are introduced to each other.
# Above the ports that a service may be given.
DIAGNOSTIC_PORT = 61999
# An engine does not start with a key that it does not know. Since which version it knows these of ours:
SINCE = {"default-network-opts": (24, 0)}


def engine_config(
    *,
    mtu: int,
    uplink_mtu: int,
    registry: bool,
    hub: str = HUB,
    options: Mapping[str, Any],
    node_options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return daemon.json for a node. `options` and `node_options` are the spec's, and win over ours.

    `mtu` is the outer network's: the overlay driver takes its own 50 bytes off it. `uplink_mtu` is that of the
    way out of the host, which containers on the node's own bridge are held to.
    """
    config: dict[str, Any] = {
        "hosts": ["unix:///var/run/docker.sock", f"tcp://0.0.0.0:{ENGINE_PORT}"],
        "tlsverify": True,
        "tlscacert": f"{TLS_FOLDER}/ca.pem",
        "tlscert": f"{TLS_FOLDER}/cert.pem",
        "tlskey": f"{TLS_FOLDER}/key.pem",
        "default-network-opts": {"overlay": {"com.docker.network.driver.mtu": str(mtu)}},
        "mtu": min(mtu, uplink_mtu),
        "network-diagnostic-port": DIAGNOSTIC_PORT,
        "log-level": "warn",
    }
    if registry:
        config["registry-mirrors"] = [f"http://{MIRROR}", f"http://{hub}"]
        config["insecure-registries"] = [REGISTRY, MIRROR, hub]
    for given in (options, node_options):
        for key, value in given.items():
            ours = config.get(key)
            config[key] = [*ours, *value] if isinstance(ours, list) and isinstance(value, list) else value
    return config


def fitted(config: Mapping[str, Any], version: str) -> tuple[dict[str, Any], list[str]]:
    """Return daemon.json for an engine of this version, and the keys that it is too old for, which are left out.

    A version that cannot be read is taken for a new one.
    """
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None:
        return dict(config), []
    has = (int(found[1]), int(found[2]))
    too_new = [key for key in config if has < SINCE.get(key, (0, 0))]
    return {key: value for key, value in config.items() if key not in too_new}, too_new
