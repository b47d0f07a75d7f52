"""The vagrant backend: finds and makes the virtual machines of a lab, one Vagrant folder a lab."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.assets import asset
from labctl.backend.base import LabRecord, NodePlan, Place, Snapshot, in_order
from labctl.backend.node_files import Authorities, node_files
from labctl.backend.vagrant import snapshots
from labctl.backend.vagrant.boot import Boot, wait_answering
from labctl.backend.vagrant.firstboot import Provision, engine_url, fit, give, shown_key, tell_hosts
from labctl.backend.vagrant.hostend import lay, lift
from labctl.backend.vagrant.hyperv import turn_off
from labctl.backend.vagrant.labfile import (
    USER,
    Box,
    Machine,
    VmLab,
    console_of,
    folder_of,
    machine_id,
    refuse_other_provider,
    spec_json,
    spec_of,
)
from labctl.backend.vagrant.login import FIRST_LOGIN, first_login, login
from labctl.backend.vagrant.pin import pin
from labctl.backend.vagrant.reach import SSH_PORT, answering
from labctl.backend.vagrant.states import our_word
from labctl.backend.vagrant.tool import Tool, insecure_key
from labctl.backend.vagrant.virtualbox import forget_network
from labctl.backend.vagrant.waking import set_clock, wake
from labctl.concurrent import each
from labctl.engine import Endpoint
from labctl.errors import LabError, NodeDown
from labctl.events import Emit, NodeRemoved, NodeStarted, quiet
from labctl.kept import MOST_OUTPUT
from labctl.node import Node
from labctl.owner import Owner, own_mark
from labctl.spec.addresses import gateway
from labctl.state import lab_dir, lab_path, labs_of_machines
from labctl.transport.known_hosts import KnownHosts, entry_name
from labctl.transport.ssh import Ssh
from labctl.waiting import allow_for

if TYPE_CHECKING:
    from labctl.spec import LabSpec, Role

__all__ = ["VagrantBackend"]

EMULATION = 3.0  # how much slower than a container an emulated machine is at most of what a lab waits for


class VagrantBackend:
    """Nodes as virtual machines. `box`, `provider` and `driver` (libvirt's settings) are for making them.

    `management` is the subnet of Vagrant's own way into libvirt's machines. `provision` makes nodes' machines of a box
    that is not prepared. With `pinned` the provider ignores addresses, and they are set inside the machines;
    `switch` is Hyper-V's, where it is not the default one.
    """

    name = "vagrant"
    has_own_kernel = True
    keeps_memory = True

    def __init__(
        self,
        *,
        provider: str = "",
        box: Box | None = None,
        driver: Mapping[str, object] | None = None,
        within: Sequence[str] = (),
        management: str = "",
        pinned: bool = False,
        switch: str | None = None,
        provision: Provision | None = None,
        emit: Emit = quiet,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._provider = provider
        self._box = box
        self._driver = dict(driver or {})
        self._management = management
        self._pinned = pinned
        self._switch = switch
        self._provision = provision
        self.within = within
        self.reserved: Sequence[str] = (management,) if management else ()
        self._emit = emit
        self._note = note
        self._boot: Boot | None = None
        self._writing = threading.Lock()  # machines that are made at the same time write the same file
        self._given_up = threading.Event()
        self._authorities = Authorities()

    def labs(self) -> list[str]:
        """The names of the labs that have a Vagrant folder."""
        return labs_of_machines()

    def find(self, lab: str) -> LabRecord | None:
        """The lab as its folder tells and its machines answer; None when there is no such folder."""
        known = VmLab.load(lab)
        if known is None:
            return None
        if known.is_emulated:
            allow_for(EMULATION)
        states = self._states(known)
        nodes = [self._node(known, machine, states[machine.name]) for machine in known.nodes]
        return LabRecord(
            name=lab,
            read_spec=lambda: spec_of(known),
            subnet=known.subnet,
            network=f"labctl-{lab}",
            nodes=tuple(sorted((node for node in nodes if node.state != "gone"), key=in_order)),
            owner=Owner(known.owner.rpartition("@")[0], is_you=True),  # else its folder would not be here
            restoring=known.restoring,
        )

    def things(self, lab: str) -> frozenset[str]:
        """Nothing can be left out: machines go one by one, by `remove_node`."""
        return frozenset()

    def create_base(self, spec: LabSpec, subnet: str) -> None:
        """Make the lab's Vagrant folder, and note the spec. Raises LabError when another provider has its machines."""
        known = VmLab.load(spec.name)
        refuse_other_provider(known, self._provider)
        lab_dir(spec.name)
        folder = folder_of(spec.name)
        (folder / "consoles").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(asset("Vagrantfile"), folder / "Vagrantfile")
        lab = known or VmLab(spec.name, self._provider, subnet, management=self._management, pinned=self._pinned)
        lab = replace(
            lab,
            spec=spec_json(spec),
            owner=lab.owner or own_mark(),
            box=self._box or lab.box,
            driver=lab.driver or self._driver,
            switch=lab.switch or self._switch,
        )
        lab.save()
        if lab.is_emulated:
            allow_for(EMULATION)

    def remember(self, spec: LabSpec) -> None:
        """Note the spec in the lab's folder."""
        replace(self._known(spec.name), spec=spec_json(spec)).save()

    def check_engine_config(self, lab: str, config: Mapping[str, object]) -> None:
        """No engine of the machines' version is at hand before one has booted."""

    def prepare_keys(self, lab: str) -> None:
        """Make or read the lab's CA and SSH keys ahead of the machines, once."""
        self._authorities.prepare(lab)

    def place_beside(self, lab: str, subnet: str) -> Place:
        """The registry is a container of this host's engine, published at this host's end of the network."""
        return Place(network="bridge", publish_at=gateway(subnet), subnet=subnet)

    def expect(self, spec: LabSpec, plans: Sequence[NodePlan], starts: Sequence[Node] = ()) -> None:
        """Let one `vagrant up` make the planned machines and start the stopped ones, all at once."""
        lab = self._known(spec.name)
        for plan in plans:
            lab = lab.with_node(plan.spec, plan.address)
        lab.save()
        down = [node.name for node in starts if node.state != "paused"]  # those that are suspended go on by `resume`
        if lab.pinned and lab.provider == "hyperv":  # its switch is there before the machines are
            lay(lab)
        names = [*(plan.spec.name for plan in plans), *down]
        if names:
            for machine in lab.nodes:  # else it is libvirt's, and nobody else may read it
                Path(machine.console).touch()
            self._boot = Boot(folder_of(lab.lab), lab.provider, names, self._note)
        fresh = {plan.spec.name for plan in plans}
        others = [m for m in lab.nodes if m.name not in fresh and plans]
        for machine in [m for m in others if answering([m.address])]:
            tell_hosts(login(lab, machine), machine, lab)

    def settle(self, *, failed: bool) -> None:
        """Wait for Vagrant's end; where machines are given up, ask it to come to one."""
        if failed:
            self._given_up.set()
        boot, self._boot = self._boot, None
        if boot is not None and failed:
            boot.abort()
        elif boot is not None:
            boot.wait()

    def create_node(self, spec: LabSpec, plan: NodePlan, emit: Emit = quiet) -> Node:
        """Wait until the machine answers, and give it the files that make it a node."""
        lab = self._known(spec.name)
        machine = lab.machine(plan.spec.name)
        if machine is None:
            self.expect(spec, [plan])
            return self.create_node(spec, plan, emit)
        if self._boot is not None and lab.waits_for_vagrant:
            self._boot.wait()  # it tells the address, and it sets up the network that we would come by
        if lab.pinned:
            self._pin(lab, machine)
        wait_answering(lab, machine, self._boot, self._note)
        emit(NodeStarted(machine.name))
        transport = first_login(lab, machine)
        if not lab.is_prepared:
            plan = self._provisioned(lab, machine, plan, transport)
        files = node_files(self._authorities.of(lab.lab), lab.lab, plan, shown_key(transport))
        give(transport, machine, lab, files, user=USER)
        with self._writing:
            self._known(lab.lab).given(machine.name).save()
        return self._node(lab, machine, "running")

    def look(self, node: Node) -> Node:
        """The node as its machine now is."""
        lab = VmLab.load(node.lab)
        machine = lab.machine(node.name) if lab else None
        if lab is None or machine is None:
            return replace(node, state="gone")
        state = self._states(replace(lab, nodes=(machine,)))[node.name]
        return replace(node, state=state, run_id=machine_id(lab.lab, node.name))

    def start(self, node: Node) -> Node:
        """Start a node's machine, or let it go on; one that runs is fine."""
        if node.state == "paused":
            return self.resume(node)
        lab = self._known(node.lab)
        snapshots.refuse_half_restored(lab)
        machine = lab.machine(node.name)
        if machine is None:
            raise NodeDown(node.name, "gone")
        if self._boot is None:
            self._tool(lab).up([node.name])
        elif lab.waits_for_vagrant:
            self._boot.wait()  # it sets up the network that we come by
        if lab.pinned:  # this host may have been started anew
            lay(lab)
        wait_answering(lab, machine, self._boot, self._note)
        return self._node(lab, machine, "running")

    def stop(self, node: Node, *, grace: int = 10) -> None:
        """Shut a node's machine down in order. The provider's own limit (60 s) takes the place of `grace`."""
        self._awake(node)
        self._tool(self._known(node.lab)).halt([node.name])

    def kill(self, node: Node) -> None:
        """Pull a machine's plug; one that is down is fine."""
        lab = self._known(node.lab)
        if turn_off(lab, [node.name]):
            return
        self._awake(node)
        self._tool(lab).halt([node.name], force=True)

    def suspend(self, node: Node) -> None:
        """Let a node's machine stand still; its memory stays taken."""
        self._tool(self._known(node.lab)).suspend([node.name])

    def resume(self, node: Node) -> Node:
        """Let a node's machine go on, and set its clock, which stood still too; one that runs or is down stays so."""
        lab = self._known(node.lab)
        snapshots.refuse_half_restored(lab)
        if node.state != "paused":  # that may have been long ago
            node = self.look(node)
            if node.state in ("running", "exited"):
                return node
        machine = lab.machine(node.name)
        if machine is None:
            raise NodeDown(node.name, "gone")
        wake(lab, machine, login(lab, machine, patience=FIRST_LOGIN), self._note)
        return self._node(lab, machine, "running")

    def snapshots(self, lab: str) -> list[Snapshot]:
        """Those that were made whole, as the lab's folder tells; Vagrant would take seconds."""
        return list(self._known(lab).snapshots)

    def prepare_save(self, lab: str, name: str) -> None:
        """The provider looks for room itself."""

    def save_snapshot(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Keep what all of the lab's machines are."""
        snapshots.save(known := self._known(lab), self._tool(known), name)

    def prepare_restore(self, lab: str, name: str, note: Callable[[str], None]) -> None:
        """Ask Vagrant whether each machine still has its part. Raises LabError where one has not."""
        snapshots.check(known := self._known(lab), self._tool(known), name)

    def restore_snapshot(self, lab: str, name: str) -> None:
        """Put all of the lab's machines back."""
        known = self._known(lab)
        turned_off = turn_off(known, [machine.name for machine in known.nodes])
        snapshots.restore(known, self._tool(known), name)
        if turned_off:  # Hyper-V has started them all, so that nobody lets them go on
            each(known.nodes, lambda one: set_clock(login(known, one, patience=FIRST_LOGIN), one.name))

    def delete_snapshot(self, lab: str, name: str) -> None:
        """Delete what Vagrant has of a snapshot."""
        snapshots.delete(known := self._known(lab), self._tool(known), name)

    def remove_node(self, node: Node) -> None:
        """Remove a node's machine and its disk; one that is gone is fine."""
        lab = self._known(node.lab)
        if lab.machine(node.name) is None:
            return
        turn_off(lab, [node.name])
        self._tool(lab).destroy([node.name])
        KnownHosts(folder_of(lab.lab) / "known_hosts").forget(entry_name(node.address, SSH_PORT))
        self._known(node.lab).without(node.name).save()

    def destroy(self, lab: str, nodes: Sequence[Node] = (), **_: object) -> list[str]:
        """Remove the lab's machines with their disks and network, then its Vagrant folder."""
        known = VmLab.load(lab)
        if known is None:
            return []
        names = [machine.name for machine in known.nodes]
        if names:
            turn_off(known, names)
            self._tool(known).destroy(names)
        for name in names:
            self._emit(NodeRemoved(f"{lab}-{name}"))
        shutil.rmtree(folder_of(lab), ignore_errors=True)
        lift(known)
        forget_network(known)
        return [*(f"{lab}-{name}" for name in names), f"labctl-{lab}"]

    def console(self, node: Node, *, tail: int = 50) -> str:
        """The last lines of the machine's serial console."""
        try:
            with console_of(node.lab, node.name).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - MOST_OUTPUT))
                lines = file.read(MOST_OUTPUT).decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-tail:])

    def follow(self, node: Node, *, tail: int | None = None, wait: bool = False) -> Iterator[bytes]:
        """What the machine said on its serial console."""
        text = self.console(node, tail=tail if tail is not None else 1 << 20)
        yield text.encode() + b"\n" if text else b""

    def _awake(self, node: Node) -> None:
        """Vagrant leaves one that it cannot find after an hour's sleep (see `wake`) running when it shall halt it."""
        if node.state == "paused":
            self.resume(node)

    def _pin(self, lab: VmLab, machine: Machine) -> None:
        """Let a machine have its node's address: it is found where Vagrant finds it."""
        address, port = self._tool(lab).way_in(machine.name)
        self._note(f"{machine.name}: found at {address}, takes {machine.address}")
        lay(lab)
        transport = first_login(lab, machine, at=address, port=port)
        try:
            pin(transport, machine, lab, address)
        finally:
            transport.close()

    def _provisioned(self, lab: VmLab, machine: Machine, plan: NodePlan, transport: Ssh) -> NodePlan:
        """Let a machine of somebody else's box become what one of ours is; returns the plan that fits its engine."""
        if self._provision is None:
            raise LabError(f"{machine.name} is a bare machine", hint="`labctl up` makes it a node.")
        node = replace(self._node(lab, machine, "running"), transport=transport)
        self._provision(node, insecure_key(), self._given_up)
        return fit(transport, plan, self._note)

    def _states(self, lab: VmLab) -> dict[str, str]:
        """A machine that takes connections runs; of the others Vagrant is asked, which takes seconds."""
        alive = answering([machine.address for machine in lab.nodes])
        states = {machine.name: "running" for machine in lab.nodes if machine.address in alive and machine.is_given}
        if len(states) < len(lab.nodes):
            told = self._tool(lab).states()
            for machine in lab.nodes:
                word = our_word(told.get(machine.name, "not_created"), lab.provider)
                # One that was cut down before it was a node is recreated by the next `up`.
                states.setdefault(machine.name, word if machine.is_given or word == "gone" else "created")
        return states

    def _known(self, lab: str) -> VmLab:
        known = VmLab.load(lab)
        if known is None:
            raise LabError(f"lab {lab} has no virtual machines", hint=f"`labctl up --name {lab} --backend vagrant`")
        return known

    def _tool(self, lab: VmLab) -> Tool:
        return Tool(folder_of(lab.lab), lab.provider, heard=lambda machine, text: self._note(f"{machine}: {text}"))

    def _node(self, lab: VmLab, machine: Machine, state: str) -> Node:
        role: Role = "manager" if machine.role == "manager" else "worker"
        return Node(
            lab=lab.lab,
            name=machine.name,
            role=role,
            address=machine.address,
            state=state,
            endpoint=Endpoint(engine_url(machine.address), lab_path(lab.lab)),
            transport=login(lab, machine),
            machine=machine.machine,
            show=self._emit,
        )
