"""What every command on labs starts from: this host's engine, and who hears of events."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, get_args

from labctl.backend.base import Backend
from labctl.engine import Engine, host_endpoint
from labctl.errors import EngineUnreachable, HostError, LabctlError, UsageError
from labctl.events import Emit, Noted, quiet
from labctl.node import Node
from labctl.owner import mend_id
from labctl.state import lab_lock, machines_path
from labctl.transport import Way

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["LAB_MTU", "Context", "open_context"]

TRANSPORT = "LABCTL_TRANSPORT"
UNLOCK_KEY = "LABCTL_UNLOCK_KEY"
LAB_MTU = 1500  # bytes; nodes talk over a bridge of this host, whatever the way out is like


@dataclass
class Context:
    """This host's engine and the one who hears of events; backends are made of it.

    `transport` is how commands reach nodes that are containers. `unlock_key` is the swarm's key, for managers that
    are locked when they start.
    """

    engine: Engine
    emit: Emit = field(default=quiet)
    transport: Way = "exec"
    unlock_key: str | None = field(default=None, repr=False, kw_only=True)

    def backend(self, kind: str = "dind") -> Backend:
        """A backend to find and change labs with, but not to make nodes (see `maker`)."""
        if kind == "vagrant":
            from labctl.backend.vagrant import VagrantBackend

            return VagrantBackend(emit=self.emit)
        from labctl.backend.dind import DindBackend

        return DindBackend(self.engine, emit=self.emit, transport=self.transport)

    def holding(self, lab: str) -> Backend:
        """The backend that has the lab of that name; that of containers where there is none."""
        return self.backend("vagrant" if machines_path(lab).is_dir() else "dind")

    @contextlib.contextmanager
    def held(self, lab: str) -> Iterator[None]:
        """Hold the lab on this engine for one changing command, against everybody on this machine.

        What is changed is read in the block, not before it. Raises LabError when another command holds it too long.
        """
        try:
            engine = self.engine.identity()
        except HostError:  # a lab of virtual machines can do without; its folder is its user's alone
            engine = ""

        def waiting(holder: str) -> None:
            self.emit(Noted(f"waiting for another labctl command on lab {lab}" + (f": {holder}" if holder else "")))

        with lab_lock(lab, engine=engine, waiting=waiting):
            if engine and not machines_path(lab).is_dir():
                from labctl.backend.dind.renaming import put_back_names

                put_back_names(self.engine, lab)
            yield

    def is_held(self, lab: str) -> bool:
        """Whether a command changes or tries the lab just now."""
        try:
            with lab_lock(lab, wait=0, engine=self.engine.identity()):
                return False
        except LabctlError:
            return True

    def things(self, backend: Backend, lab: str) -> frozenset[str]:
        """The names of what there is of a lab, what stands beside its nodes included."""
        there = backend.things(lab)
        if backend.has_own_kernel:
            with contextlib.suppress(HostError):
                there |= self.backend("dind").things(lab)
        return there

    def destroy(
        self,
        backend: Backend,
        lab: str,
        nodes: Sequence[Node],
        *,
        keep: frozenset[str] | None = None,
        others: bool = False,
    ) -> list[str]:
        """Remove what is left of a lab but for what is named in `keep`, what stands beside its nodes included.

        What belongs to somebody else stays, unless `others`. A lab of virtual machines keeps all of them with `keep`.
        """
        removed = (
            [] if backend.has_own_kernel and keep is not None else backend.destroy(lab, nodes, keep=keep, others=others)
        )
        if backend.has_own_kernel:
            with contextlib.suppress(EngineUnreachable, HostError):  # no engine, nothing on it
                removed += self.backend("dind").destroy(lab, (), keep=keep, others=others)
        return removed

    def refuse_taken(self, spec: LabSpec, nodes: Sequence[str]) -> None:
        """Raise LabError when a name on this host's engine that the lab needs is somebody else's.

        `nodes` are those that will be made.
        """
        from labctl.backend.dind.config import container_name, network_name
        from labctl.backend.dind.names import refuse_taken

        stores = [f"{spec.name}-edge", *([f"{spec.name}-registry"] if spec.registry else [])]
        beside = [*stores, *([f"{spec.name}-hub"] if spec.registry else [])]
        machines = spec.backend == "vagrant"
        refuse_taken(
            self.engine,
            spec.name,
            containers=[*beside, *(() if machines else (container_name(spec, node) for node in nodes))],
            networks=() if machines else (network_name(spec.name),),
            volumes=stores,  # each has its container's name; a node's disk has none
        )

    def maker(
        self, spec: LabSpec, note: Callable[[str], None] = lambda _: None, stop: threading.Event | None = None
    ) -> Backend:
        """The backend of the spec, with what its nodes are made of and what this host can grant them.

        What is missing (an image, a box) is built; `note` hears of it. Raises HostError when it cannot be had, and
        Abandoned when `stop` is set while an image is built.
        """
        from labctl import images
        from labctl.backend.dind import DindBackend
        from labctl.host import grantable_capabilities, node_confinement

        if spec.backend == "vagrant":
            from labctl.lab.machines import machine_maker

            return machine_maker(self.engine, spec, self.emit, note)
        return DindBackend(
            self.engine,
            image=images.ensure_node_image(self.engine, self.emit, note, stop=stop),
            capabilities=grantable_capabilities(self.engine),
            confinement=node_confinement(self.engine.info()),
            mtu=LAB_MTU,
            emit=self.emit,
            transport=self.transport,
        )


def open_context(emit: Emit = quiet, transport: str | None = None, unlock_key: str | None = None) -> Context:
    """Find this host's engine; it is not asked anything yet. Raises HostError for one on another machine.

    `transport` is LABCTL_TRANSPORT where it is not said, and `unlock_key` LABCTL_UNLOCK_KEY. Raises UsageError for a
    transport that there is not. A state folder whose id was lost gets it back.
    """
    mend_id(emit)
    way = _way(transport or os.environ.get(TRANSPORT) or "exec")
    return Context(Engine(host_endpoint()), emit, way, unlock_key=unlock_key or os.environ.get(UNLOCK_KEY) or None)


def _way(name: str) -> Way:
    ways = get_args(Way)
    if name not in ways:
        place = f"{TRANSPORT}: " if os.environ.get(TRANSPORT) == name else ""
        raise UsageError(f"{place}there is no transport {name!r}; there is {' and '.join(ways)}")
    return cast(Way, name)
