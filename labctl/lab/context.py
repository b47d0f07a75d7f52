"""What every command on labs starts from: this host's engine, and who hears of events."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.backend import Backend, DindBackend
from labctl.engine import Engine, host_endpoint
from labctl.errors import LabError
from labctl.events import Emit, quiet

__all__ = ["LAB_MTU", "Context", "open_context"]

LAB_MTU = 1500  # bytes; nodes talk over a bridge of this host, whatever the way out is like


@dataclass
class Context:
    """This host's engine and the one who hears of events; backends are made of it."""

    engine: Engine
    emit: Emit = field(default=quiet)

    def backend(self, kind: str = "dind") -> Backend:
        """A backend to find and change labs with, but not to make nodes (see `maker`)."""
        if kind != "dind":
            raise LabError(f"the backend {kind} is not there yet", hint="`--backend dind` makes the lab of containers.")
        return DindBackend(self.engine, emit=self.emit)

    def maker(self, kind: str, image: str) -> Backend:
        """A backend that can make nodes of `image`, with what this host can grant."""
        from labctl.host import grantable_capabilities, node_confinement

        if kind != "dind":
            return self.backend(kind)
        return DindBackend(
            self.engine,
            image=image,
            capabilities=grantable_capabilities(self.engine),
            confinement=node_confinement(self.engine.info()),
            mtu=LAB_MTU,
            emit=self.emit,
        )


def open_context(emit: Emit = quiet) -> Context:
    """Find this host's engine; it is not asked anything yet. Raises HostError for one on another machine."""
    return Context(Engine(host_endpoint()), emit)
