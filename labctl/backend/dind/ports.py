"""Free ports on 127.0.0.1, chosen once so that they stay the same when a container starts again."""

from __future__ import annotations

import socket

from labctl.errors import EngineRefused

__all__ = ["free_port", "is_port_taken"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_port_taken(refused: EngineRefused) -> bool:
    """Whether an engine's refusal to start a container says that a published port is in use."""
    said = refused.message.lower()  # Docker Desktop begins with a capital
    return "port is already allocated" in said or "address already in use" in said or "ports are not available" in said
