"""The dind backend: finds and makes the containers of a lab on this host's engine.

What makes nodes is imported where it is used: to find a lab is a part of every command.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labctl.backend.base import LabRecord, NodePlan, Place, Snapshot, in_order
from labctl.backend.dind import marked
from labctl.backend.dind.config import container_name, network_name, node_container
from labctl.backend.dind.freezing import freeze
from labctl.concurrent import each, together
from labctl.engine import Endpoint, Engine
from labctl.engine.client import tar_of
from labctl.errors import EngineRefused, LabError
from labctl.events import Emit, NodeRemoved, NodeStarted, quiet
from labctl.node import Node
from labctl.owner import is_anothers, is_mine, marks, owner_of
from labctl.spec import labels
from labctl.state import lab_path
from labctl.transport import DockerExec, Transport, Way

if TYPE_CHECKING:
    from labctl.backend.dind.snapshots import Keeper
    from labctl.backend.node_files import Authorities
    from labctl.spec import LabSpec, Role

__all__ = ["DindBackend"]

PORT_TRIES = 5  # how often another port is tried when somebody was faster


class DindBackend:
    """Nodes as containers. `capabilities` and `confinement` are what the host gives them, `mtu` is the networks'.

    `transport` is how commands reach them: the engine's exec, or SSH.
    """

    name = "dind"
    has_own_kernel = False
    within: Sequence[str] = ()
    reserved: Sequence[str] = ()
    keeps_memory = False

    def __init__(
        self,
        engine: Engine,
        *,
        image: str = "",
        capabilities: Sequence[str] = (),
        confinement: Mapping[str, object] | None = None,
        mtu: int = 1500,
        emit: Emit = quiet,
        transport: Way = "exec",
    ) -> None:
        self.engine = engine
        self._image = image
        self._capabilities = tuple(capabilities)
        self._confinement = dict(confinement or {})
        self._mtu = mtu
        self._emit = emit
        self._way = transport
        self._authorities: Authorities | None = None
        self._making = threading.Lock()

    def labs(self) -> list[str]:
        """The names of the labs of which a container or a network is left."""
        return marked.lab_names([*self.engine.containers([labels.LAB]), *self.engine.networks([labels.LAB])])

    def find(self, lab: str) -> LabRecord | None:
        """The lab as its labels show it; None when nothing of it is left."""
        containers = self.engine.containers(labels.of_lab(lab))
        networks = self.engine.networks(labels.of_lab(lab))
        volumes = self.engine.volumes(labels.of_lab(lab))
        if not containers and not networks and not volumes:
            return None
        mark = marked.owner_mark(networks, [*containers, *volumes])
        nodes = [self._node(found) for found in marked.nodes_among(containers, lab, mark)]
        network = networks[0] if networks else None
        return LabRecord(
            name=lab,
            read_spec=lambda: marked.spec_of(volumes),
            subnet=marked.subnet_of(network) if network else None,
            network=network["Name"] if network else None,
            nodes=tuple(sorted(nodes, key=in_order)),
            owner=owner_of(mark, lab),
            restoring=marked.restoring_of(volumes),
        )

    def things(self, lab: str) -> frozenset[str]:
        """The names of the lab's containers, networks and volumes."""
        wanted = labels.of_lab(lab)
        found = [*self.engine.containers(wanted), *self.engine.networks(wanted), *self.engine.volumes(wanted)]
        return frozenset(map(_name_of, found))

    def create_base(self, spec: LabSpec, subnet: str) -> None:
        """Make the lab's network, where there is none yet, and note the spec. Raises LabError for another's network."""
        from labctl.backend.dind.names import refuse_second
        from labctl.spec.addresses import dynamic_range, gateway

        name = network_name(spec.name)
        options = {"com.docker.network.driver.mtu": str(self._mtu)}
        if self.engine.network(name) is None:
            given = marks(spec.name, "network")
            made = self.engine.create_network(
                name, subnet, given, options, gateway=gateway(subnet), handed_out=dynamic_range(subnet)
            )
            refuse_second(self.engine, spec.name, made)
        self.remember(spec)

    def remember(self, spec: LabSpec) -> None:
        """Note the spec on a label, in the place of an older one.

        An engine cannot change an object's labels, so a volume bears it that nothing mounts: the new one is
        made before the old one goes.
        """
        import secrets

        from labctl.spec import note_of

        text = note_of(spec)
        old = self.engine.volumes(labels.of_lab(spec.name, "spec"))
        if any(found["Labels"].get(labels.SPEC) == text for found in old):
            return
        given = {**marks(spec.name, "spec"), labels.SPEC: text}
        self.engine.create_volume(f"labctl-{spec.name}-spec-{secrets.token_hex(4)}", given)
        for found in old:
            self.engine.remove_volume(found["Name"])

    def place_beside(self, lab: str, subnet: str) -> Place:
        """The registry is on the nodes' own network."""
        from labctl.spec.addresses import registry_address

        return Place(network=network_name(lab), address=registry_address(subnet), subnet=subnet)

    def expect(self, spec: LabSpec, plans: Sequence[NodePlan], starts: Sequence[Node] = ()) -> None:
        """Containers are made one by one, all at the same time."""

    def settle(self, *, failed: bool) -> None:
        """Nothing goes on."""

    def create_node(self, spec: LabSpec, plan: NodePlan, emit: Emit = quiet) -> Node:
        """Make a node's container, give it its keys and its engine's configuration, and start it."""
        from labctl.backend.dind.ports import free_port, is_port_taken

        name = container_name(spec, plan.spec.name)
        files = tar_of(self._files(spec, plan))
        for attempt in range(PORT_TRIES):
            port = free_port()
            body = node_container(
                spec,
                plan,
                image=self._image,
                capabilities=self._capabilities,
                confinement=self._confinement,
                port=port,
            )
            self._create(name, body, spec.name)
            try:
                self.engine.put(name, "/", files)
                self.engine.start(name)
            except EngineRefused as refused:
                self.engine.remove(name)
                if not is_port_taken(refused) or attempt == PORT_TRIES - 1:
                    raise
            else:
                emit(NodeStarted(plan.spec.name))
                return self._made(spec.name, plan, name, port)
        raise AssertionError("unreachable")

    def look(self, node: Node) -> Node:
        """The node as its container now is."""
        found = self.engine.container(node.machine)
        return (
            replace(node, **marked.run_of(found), state=found["State"]["Status"])
            if found
            else replace(node, state="gone")
        )

    def start(self, node: Node) -> Node:
        """Start a node's container, or let it go on; one that runs is fine."""
        found = self.look(node)
        if found.state == "paused":
            return self.resume(found)
        self.engine.start(node.machine)
        return self.look(node)

    def stop(self, node: Node, *, grace: int = 10) -> None:
        """Stop a node's container in order."""
        self.engine.stop(node.machine, grace=grace)

    def kill(self, node: Node) -> None:
        """Kill a node's container; one that is down is fine."""
        if self.look(node).state in ("running", "paused"):
            self.engine.kill(node.machine)

    def suspend(self, node: Node) -> None:
        """Freeze a node's container; one that is frozen, or down, is fine."""
        freeze(self.engine, node, lambda: self.look(node).is_running)

    def resume(self, node: Node) -> Node:
        """Let a node's container go on; its clock is the host's."""
        if self.look(node).state == "paused":
            self.engine.unpause(node.machine)
        return self.look(node)

    def snapshots(self, lab: str) -> list[Snapshot]:
        """Those that were made whole."""
        return self._keeper(lab).listed()

    def prepare_save(self, lab: str, name: str) -> None:
        """Look whether the engine's disk has room for it."""
        self._keeper(lab).prepare_save(name)

    def save_snapshot(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Copy the nodes' volumes, and make images of what the containers have of their own."""
        self._keeper(lab).save(name, note)

    def prepare_restore(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Make new containers with the disks of then."""
        self._keeper(lab).prepare_restore(name, note)

    def restore_snapshot(self, lab: str, name: str) -> None:
        """Let the new containers take the places of those that stand, and start them."""
        self._keeper(lab).restore(name, self.remember)

    def delete_snapshot(self, lab: str, name: str) -> None:
        """Remove the volumes and images of a snapshot."""
        self._keeper(lab).delete(name)

    def _keeper(self, lab: str) -> Keeper:
        from labctl.backend.dind.snapshots import Keeper

        return Keeper(self.engine, lab)

    def remove_node(self, node: Node) -> None:
        """Remove a node's container and its volume."""
        self.engine.remove(node.machine)

    def destroy(
        self,
        lab: str,
        nodes: Sequence[Node] = (),
        *,
        keep: frozenset[str] | None = None,
        others: bool = False,
    ) -> list[str]:
        """Remove the lab's containers all at once, then its networks, then volumes that outlived their containers.

        Raises LabError when a container that is not the lab's keeps its network; all else is removed then.
        """

        def named(found: Sequence[dict[str, Any]]) -> list[str]:
            yours = [one for one in found if others or not is_anothers(one["Labels"])]
            return [_name_of(one) for one in yours if keep is None or not (_name_of(one) in keep or _is_spec(one))]

        names = named(self.engine.containers(labels.of_lab(lab)))
        each(names, self._remove_and_tell)
        images = [] if keep is not None else self._keeper(lab).remove_images(others=others)
        networks = named(self.engine.networks(labels.of_lab(lab)))
        volumes = named(self.engine.volumes(labels.of_lab(lab)))
        together(
            # A quarter of a second: the engine's firewall rules.
            lambda: each(networks, lambda network: self._remove_network(lab, network)),
            lambda: each(volumes, self.engine.remove_volume),
        )
        return [*names, *networks, *volumes, *images]

    def console(self, node: Node, *, tail: int = 50) -> str:
        """The last lines of the container's log."""
        return self.engine.logs(node.machine, tail=tail)

    def follow(self, node: Node, *, tail: int | None = None, wait: bool = False) -> Iterator[bytes]:
        """The container's log, as it was written."""
        return self.engine.follow_logs(node.machine, tail="all" if tail is None else tail, wait=wait)

    def _remove_and_tell(self, container: str) -> None:
        self.engine.remove(container)
        self._emit(NodeRemoved(container))

    def _remove_network(self, lab: str, network: str) -> None:
        try:
            self.engine.remove_network(network)
        except EngineRefused as refused:
            there = ((self.engine.network(network) or {}).get("Containers") or {}).values()
            names = sorted(found["Name"] for found in there)
            if not names:
                raise
            raise LabError(
                f"the network of lab {lab} stays: {', '.join(names)}, not the lab's, must go first",
                hint=f"`docker rm -f {' '.join(names)}` or `docker network disconnect -f {network} {names[0]}`, "
                f"then `labctl down -l {lab}` again.",
            ) from refused

    def _create(self, name: str, body: dict[str, Any], lab: str) -> None:
        try:
            self.engine.create(name, body)
        except EngineRefused as refused:
            if refused.status != 409:
                raise
            there = self.engine.container(name)
            if is_mine((there or {}).get("Config", {}).get("Labels"), lab):
                # Left by an `up` that was cut down between create and start.
                self.engine.remove(name)
                self.engine.create(name, body)
                return
            raise LabError(
                f"a container named {name} is there already and is not this lab's",
                hint=f"Remove it (`docker rm -f {name}`), or give the lab another name (`-l NAME`).",
            ) from refused

    def _files(self, spec: LabSpec, plan: NodePlan) -> dict[str, tuple[bytes, int]]:
        from labctl.backend.node_files import node_files
        from labctl.pki import ssh_keys

        host = ssh_keys(spec.name).host
        return {
            **node_files(self._keys().of(spec.name), spec.name, plan, host.certificate),
            "etc/ssh/ssh_host_ed25519_key": (host.key, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (host.certificate, 0o644),
        }

    def check_engine_config(self, lab: str, config: Mapping[str, object]) -> None:
        """Let the node image's engine read the configuration, in a container that does nothing else.

        Raises UsageError with its words. It finds unknown keys and values of a wrong kind, not all that can be wrong.
        """
        from labctl.backend.dind.daemon_check import refuse_unreadable

        refuse_unreadable(self.engine, self._image, lab, config)

    def prepare_keys(self, lab: str) -> None:
        """Make or read the lab's CA and SSH keys ahead of the nodes, once."""
        self._keys().prepare(lab)

    def _keys(self) -> Authorities:
        from labctl.backend.node_files import Authorities

        with self._making:
            self._authorities = self._authorities or Authorities()
            return self._authorities

    def _made(self, lab: str, plan: NodePlan, machine: str, port: int) -> Node:
        return self._as_node(
            lab=lab,
            name=plan.spec.name,
            role=plan.spec.role,
            address=plan.address,
            state="running",
            port=port,
            machine=machine,
        )

    def _node(self, found: dict[str, Any]) -> Node:
        marks = found["Labels"]
        role: Role = "manager" if marks.get(labels.ROLE) == "manager" else "worker"
        node = self._as_node(
            lab=marks[labels.LAB],
            name=marks[labels.NODE],
            role=role,
            address=marks[labels.ADDRESS],
            state=found["State"],
            port=int(marks[labels.PORT]),
            machine=found["Names"][0].lstrip("/"),
        )
        return replace(node, moved_to=marked.moved_to(found, network_name(node.lab), node.address))

    def _as_node(self, *, lab: str, name: str, role: Role, address: str, state: str, port: int, machine: str) -> Node:
        return Node(
            lab=lab,
            name=name,
            role=role,
            address=address,
            state=state,
            endpoint=Endpoint(f"tcp://127.0.0.1:{port}", lab_path(lab)),
            transport=self._transport(lab, name, address, machine),
            machine=machine,
            show=self._emit,
        )

    def _transport(self, lab: str, name: str, address: str, machine: str) -> Transport:
        if self._way == "ssh":
            from labctl.backend.dind.ssh import ssh_to

            return ssh_to(lab, name, address)
        return DockerExec(self.engine, machine, name)


def _name_of(found: Mapping[str, Any]) -> str:
    return str(found["Names"][0]).lstrip("/") if "Names" in found else str(found["Name"])


def _is_spec(found: Mapping[str, Any]) -> bool:
    return (found["Labels"] or {}).get(labels.KIND) == "spec"
