"""A backend without machines, for tests. It keeps the same contract as the real ones (tests/contract)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.backend.base import LabRecord, NodePlan, Place, Snapshot
from labctl.engine import Endpoint
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError
from labctl.events import Emit, NodeRemoved, NodeStarted, quiet
from labctl.node import Node
from labctl.owner import YOU, Owner
from labctl.spec.addresses import registry_address
from labctl.transport import FakeTransport

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["FakeBackend"]


class FakeBackend:
    """Labs in memory. `fail_on` names nodes whose making fails.

    `transports` and `engines` hold, by node, what it answers to commands and over its engine's API.
    """

    name = "fake"
    has_own_kernel = False
    within: Sequence[str] = ()
    reserved: Sequence[str] = ()
    keeps_memory = True

    def __init__(self, *, fail_on: Sequence[str] = (), emit: Emit = quiet) -> None:
        self._emit = emit
        self._fail_on = set(fail_on)
        self._specs: dict[str, LabSpec] = {}
        self._subnets: dict[str, str] = {}
        self._nodes: dict[str, dict[str, Node]] = {}
        self.owners: dict[str, Owner] = {}  # of labs that are somebody else's
        self._snapshots: dict[str, list[Snapshot]] = {}
        self._kept: dict[tuple[str, str], dict[str, Node]] = {}  # the nodes of then, by lab and snapshot
        self.restoring: dict[str, str] = {}  # labs that are put back in part, and to what
        self.transports: dict[str, FakeTransport] = {}
        self.engines: dict[str, FakeEngine] = {}

    def labs(self) -> list[str]:
        """The names of the labs of which anything is left."""
        return sorted({*self._subnets, *(lab for lab, nodes in self._nodes.items() if nodes)})

    def find(self, lab: str) -> LabRecord | None:
        """The lab as it stands."""
        if lab not in self.labs():
            return None
        nodes = sorted(self._nodes.get(lab, {}).values(), key=lambda node: (not node.is_manager, node.address))
        subnet = self._subnets.get(lab)
        spec = self._specs.get(lab)
        owner = self.owners.get(lab, YOU)
        network, restoring = f"labctl-{lab}" if subnet else None, self.restoring.get(lab, "")
        return LabRecord(lab, lambda: spec, subnet, network, tuple(nodes), owner, restoring)

    def things(self, lab: str) -> frozenset[str]:
        """The nodes' machines."""
        return frozenset(node.machine for node in self._nodes.get(lab, {}).values())

    def hold(self, record: LabRecord) -> None:
        """Have the lab that a test describes."""
        if record.subnet:
            self._subnets[record.name] = record.subnet
        if record.spec is not None:
            self._specs[record.name] = record.spec
        self._nodes[record.name] = {node.name: node for node in record.nodes}
        self.owners[record.name] = record.owner

    def create_base(self, spec: LabSpec, subnet: str) -> None:
        """Note the subnet and the spec."""
        self._subnets.setdefault(spec.name, subnet)
        self.remember(spec)

    def remember(self, spec: LabSpec) -> None:
        """Note the spec."""
        self._specs[spec.name] = spec

    def check_engine_config(self, lab: str, config: Mapping[str, object]) -> None:
        """Every configuration is good."""

    def prepare_keys(self, lab: str) -> None:
        """There are none."""

    def place_beside(self, lab: str, subnet: str) -> Place:
        """Where it would be for containers."""
        return Place(network=f"labctl-{lab}", address=registry_address(subnet), subnet=subnet)

    def expect(self, spec: LabSpec, plans: Sequence[NodePlan], starts: Sequence[Node] = ()) -> None:
        """Nothing is quicker."""

    def settle(self, *, failed: bool) -> None:
        """Nothing goes on."""

    def create_node(self, spec: LabSpec, plan: NodePlan, emit: Emit = quiet) -> Node:
        """Make a node that runs; one of `fail_on` raises LabError."""
        name = plan.spec.name
        if name in self._fail_on:
            raise LabError(f"{name} was told to fail")
        transport = self.transports.setdefault(name, FakeTransport())
        engine = self.engines.setdefault(name, FakeEngine(where=f"the engine of {name}"))
        node = Node(
            lab=spec.name,
            name=name,
            role=plan.spec.role,
            address=plan.address,
            state="running",
            endpoint=Endpoint("tcp://127.0.0.1:1"),
            transport=transport,
            machine=f"{spec.name}-{name}",
            open_engine=lambda _endpoint, _where: engine,
        )
        self._nodes.setdefault(spec.name, {})[name] = node
        emit(NodeStarted(name))
        return node

    def look(self, node: Node) -> Node:
        """The node as it now is."""
        return self._nodes.get(node.lab, {}).get(node.name) or replace(node, state="gone")

    def start(self, node: Node) -> Node:
        """Let the node run."""
        return self._set(node, "running")

    def stop(self, node: Node, *, grace: int = 10) -> None:
        """Let the node be down."""
        self._set(node, "exited")

    def kill(self, node: Node) -> None:
        """Let the node be down."""
        self._set(node, "exited")

    def suspend(self, node: Node) -> None:
        """Let a node that runs be suspended."""
        if self.look(node).is_running:
            self._set(node, "paused")

    def resume(self, node: Node) -> Node:
        """Let a node that is suspended run."""
        return self._set(node, "running") if self.look(node).state == "paused" else self.look(node)

    def snapshots(self, lab: str) -> list[Snapshot]:
        """What was saved, in that order."""
        return list(self._snapshots.get(lab, ()))

    def prepare_save(self, lab: str, name: str) -> None:
        """There is room."""

    def save_snapshot(self, lab: str, name: str, note: Callable[[str], None] = lambda _: None) -> None:
        """Note which nodes there are, one second after the one before."""
        known = self._snapshots.setdefault(lab, [])
        known.append(Snapshot(name, float(len(known)), tuple(self._nodes[lab])))
        self._kept[lab, name] = dict(self._nodes[lab])

    def prepare_restore(self, lab: str, name: str, note: Callable[[str], None] = lambda _: None) -> None:
        """It is whole."""

    def restore_snapshot(self, lab: str, name: str) -> None:
        """Let the nodes of then be suspended; without memory those run that there were, and no others."""
        if not self.keeps_memory:
            self._nodes[lab] = {node: replace(one, state="running") for node, one in self._kept[lab, name].items()}
            return
        kept = next(known for known in self.snapshots(lab) if known.name == name)
        for node in kept.nodes:
            self._set(self._nodes[lab][node], "paused")

    def delete_snapshot(self, lab: str, name: str) -> None:
        """Forget it."""
        self._snapshots[lab] = [known for known in self.snapshots(lab) if known.name != name]

    def remove_node(self, node: Node) -> None:
        """Forget the node."""
        self._nodes.get(node.lab, {}).pop(node.name, None)

    def destroy(
        self, lab: str, nodes: Sequence[Node] = (), *, keep: frozenset[str] | None = None, others: bool = False
    ) -> list[str]:
        """Forget the lab, or with `keep` only nodes that it does not name."""
        if keep is not None:
            gone = [node for node in self._nodes.get(lab, {}).values() if node.machine not in keep]
            for node in gone:
                self.remove_node(node)
            return [node.machine for node in gone]
        removed = [node.machine for node in self._nodes.pop(lab, {}).values()]
        for machine in removed:
            self._emit(NodeRemoved(machine))
        if self._subnets.pop(lab, None):
            removed.append(f"labctl-{lab}")
        self._specs.pop(lab, None)
        self._snapshots.pop(lab, None)
        return removed

    def console(self, node: Node, *, tail: int = 50) -> str:
        """Nothing was said."""
        return ""

    def follow(self, node: Node, *, tail: int | None = None, wait: bool = False) -> Iterator[bytes]:
        """Nothing was said."""
        return iter(())

    def _set(self, node: Node, state: str) -> Node:
        began = state == "running" and self.look(node).state == "exited"
        run_id = str(int(self.look(node).run_id or 0) + 1) if began else self.look(node).run_id
        changed = replace(node, state=state, run_id=run_id)
        if node.name in self._nodes.get(node.lab, {}):
            self._nodes[node.lab][node.name] = changed
        return changed
