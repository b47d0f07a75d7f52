"""What the agent says of itself: the file /run/labctl/mesh.json, which it writes and labctl reads."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

__all__ = ["FRESH", "STATUS_FILE", "MeshStatus", "Mode"]

STATUS_FILE = "/run/labctl/mesh.json"
# The agent rewrites its status every 10 s at least; after three of them missing it is not believed.
FRESH = 30.0


class Mode:
    """The values of `MeshStatus.mode`: who serves the mesh of this node."""

    IPVS = "ipvs"  # the kernel; no agent runs
    NAT = "nat"  # the agent
    IDLE = "idle"  # the agent, which has nothing to serve: no swarm network is on this node


class MeshStatus(NamedTuple):
    """The mesh of one node, as its agent last saw it."""

    mode: str
    updated: float  # seconds since 1970
    started: float = 0.0  # of the agent, seconds since 1970
    networks: int = 0  # that have tasks here, ingress included
    services: int = 0  # with a VIP or a published port in those networks
    tasks: int = 0  # that take new connections
    ports: tuple[str, ...] = ()  # served on every address of the node: "8080/tcp"
    pending: str | None = None  # what the engine has not made yet; normal for a moment
    error: str | None = None  # what is wrong now, with what to do
    last_error: str | None = None  # what was wrong last, kept after it was mended
    crashes: int = 0  # ends of the agent by a bug since the node started

    def is_serving(self, now: float) -> bool:
        """Tell whether published ports work here at `now`, seconds since 1970."""
        if self.mode == Mode.IPVS:
            return True
        well = self.error is None and self.pending is None
        return self.mode == Mode.NAT and well and now - self.updated < FRESH

    def to_json(self) -> str:
        """Return the text of the status file."""
        return json.dumps(self._asdict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> MeshStatus:
        """Read the text of a status file, of this version or another. Raises ValueError when it is none."""
        data: Any = json.loads(text)
        if not isinstance(data, dict) or not isinstance(data.get("mode"), str):
            raise ValueError("not a mesh status: no mode in it")
        known = {key: value for key, value in data.items() if key in cls._fields}
        known["ports"] = tuple(str(port) for port in known.get("ports", ()))
        known.setdefault("updated", 0.0)
        return cls(**known)

    def save(self, path: str = STATUS_FILE) -> None:
        """Replace the status file in one step, so that a reader never sees half of it."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "w") as beside:
            beside.write(self.to_json())
        os.replace(f"{path}.new", path)

    @classmethod
    def load(cls, path: str = STATUS_FILE) -> MeshStatus | None:
        """Read the status file, or return None where there is none that can be read."""
        try:
            with open(path) as file:
                return cls.from_json(file.read())
        except (OSError, ValueError):
            return None
