"""What every backend can do. The lab is built above this line and knows no more than it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from labctl.events import Emit
from labctl.node import Node
from labctl.owner import YOU, Owner

if TYPE_CHECKING:
    from labctl.spec import LabSpec, NodeSpec

__all__ = ["Backend", "LabRecord", "NodePlan", "Place", "Snapshot", "in_order"]


@dataclass(frozen=True)
class Place:
    """Where the containers beside the nodes live on this host's engine, so that the nodes reach them.

    With `publish_at`, they are published at that address of this host; else they are on the nodes' own network, the
    registry at `address`. `subnet` is the nodes' own.
    """

    network: str
    address: str = ""
    publish_at: str = ""
    subnet: str = ""


@dataclass(frozen=True)
class NodePlan:
    """A node that shall be: what the spec says of it, its address, and its engine's configuration."""

    spec: NodeSpec
    address: str
    engine_config: Mapping[str, object]
    aliases: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabRecord:
    """A lab as the machine shows it, rebuilt from labels. The spec is only read when it is wanted."""

    name: str
    read_spec: Callable[[], LabSpec | None]
    subnet: str | None
    network: str | None
    nodes: tuple[Node, ...]
    owner: Owner = YOU
    restoring: str = ""  # the snapshot that some nodes may have been put back to, and others not

    @property
    def spec(self) -> LabSpec | None:
        """What the lab shall be; None when its label is gone or unreadable."""
        return self._noted[0]

    @property
    def newer(self) -> str:
        """What of it only a newer labctl can read; "" where this one can."""
        return self._noted[1]

    @cached_property
    def _noted(self) -> tuple[LabSpec | None, str]:
        from labctl.spec import NewerNote

        try:
            return self.read_spec(), ""
        except NewerNote as newer:
            return None, str(newer)


@dataclass(frozen=True)
class Snapshot:
    """What a lab's machines were at one moment. `taken` is in seconds since 1970.

    `size` is how many bytes it takes, None where nobody counts them.
    """

    name: str
    taken: float
    nodes: tuple[str, ...]
    size: int | None = None


class Backend(Protocol):
    """Makes, finds and removes the machines of labs. Every method may be called twice."""

    name: str
    has_own_kernel: bool  # whether its nodes bring a kernel of their own, with ip_vs
    within: Sequence[str]  # the ranges that its labs' subnets must be in; none: any that is free
    reserved: Sequence[str]  # subnets that the lab needs beside its own
    # Whether a snapshot is of machines with their memory, which stand still while they are put back. Else it is of
    # disks, and machines are recreated of it, those too that were removed since.
    keeps_memory: bool

    def labs(self) -> list[str]:
        """The names of the labs of which anything is left."""
        ...

    def find(self, lab: str) -> LabRecord | None:
        """The lab as it stands; None when nothing of it is left."""
        ...

    def things(self, lab: str) -> frozenset[str]:
        """The names of what there is of the lab, as far as `destroy` can keep it."""
        ...

    def create_base(self, spec: LabSpec, subnet: str) -> None:
        """Make what comes before the nodes: their network; and note the spec."""
        ...

    def remember(self, spec: LabSpec) -> None:
        """Note the spec, in the place of an older one, where `find` reads it."""
        ...

    def check_engine_config(self, lab: str, config: Mapping[str, object]) -> None:
        """Raise UsageError for a daemon.json that the nodes' engine does not take, where one can be asked ahead."""
        ...

    def prepare_keys(self, lab: str) -> None:
        """Make or read the lab's keys ahead of its nodes, once."""
        ...

    def place_beside(self, lab: str, subnet: str) -> Place:
        """Where the registry goes."""
        ...

    def expect(self, spec: LabSpec, plans: Sequence[NodePlan], starts: Sequence[Node] = ()) -> None:
        """Hear of all nodes that will be made or started next, for a backend that is quicker with all at once."""
        ...

    def settle(self, *, failed: bool) -> None:
        """Hear that all that was expected is made, or that it is given up: nothing may go on behind the caller."""
        ...

    def create_node(self, spec: LabSpec, plan: NodePlan, emit: Emit) -> Node:
        """Make a node and start it; its engine need not answer yet."""
        ...

    def look(self, node: Node) -> Node:
        """The node as it now is; its state is "gone" when its machine is. See Node for `run_id` and `began`.

        Another machine of the same name has another `run_id`; where the backend can tell, so has each start.
        """
        ...

    def start(self, node: Node) -> Node:
        """Start a node that is stopped, or let one that is suspended go on, and return it as it now is."""
        ...

    def stop(self, node: Node, *, grace: int = 10) -> None:
        """Shut a node down in order; its disk stays."""
        ...

    def kill(self, node: Node) -> None:
        """Pull the plug."""
        ...

    def suspend(self, node: Node) -> None:
        """Let a node that runs stand still, with all that runs on it."""
        ...

    def resume(self, node: Node) -> Node:
        """Let a node that is suspended go on, its clock right, and return it as it now is."""
        ...

    def snapshots(self, lab: str) -> list[Snapshot]:
        """The lab's snapshots, oldest first."""
        ...

    def prepare_save(self, lab: str, name: str) -> None:
        """Look whether a snapshot can be saved, before a machine stands still. Raises HostError for a full disk."""
        ...

    def save_snapshot(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Keep what the lab's machines, all of them suspended, are now. One that fails half-way leaves nothing."""
        ...

    def prepare_restore(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Do what can be done while the lab goes on, and look whether the snapshot is whole.

        Raises LabError for one that cannot be restored, and nothing is changed then.
        """
        ...

    def restore_snapshot(self, lab: str, name: str) -> None:
        """Let the lab's machines be what they were: all of them, on Ctrl-C too. It was prepared just before.

        With memory, none of them may run; they are suspended then, as they were saved, or run already, where the
        provider has them run. Without, they have just been started. Where it fails, `find` tells what is being
        restored, and nobody lets the machines go on.
        """
        ...

    def delete_snapshot(self, lab: str, name: str) -> None:
        """Forget a snapshot; one that is gone is fine."""
        ...

    def remove_node(self, node: Node) -> None:
        """Remove a node with its disk, and what of it is in snapshots with memory."""
        ...

    def destroy(
        self, lab: str, nodes: Sequence[Node], *, keep: frozenset[str] | None = None, others: bool = False
    ) -> list[str]:
        """Remove all that is left of the lab and return the names of what was removed.

        With `keep`, what it names stays, and so does the note of the spec. What belongs to somebody else stays, unless
        `others`.
        """
        ...

    def console(self, node: Node, *, tail: int = 50) -> str:
        """The last lines that the node's machine said: why it did not come up."""
        ...

    def follow(self, node: Node, *, tail: int | None = None, wait: bool = False) -> Iterator[bytes]:
        """All that the node's machine said, or its last lines; with `wait`, what it goes on to say until it is down."""
        ...


def in_order(node: Node) -> tuple[bool, list[int]]:
    """A sort key: managers first, then by address."""
    return (not node.is_manager, [int(part) for part in node.address.split(".") if part])
