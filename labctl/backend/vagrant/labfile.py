"""lab.json: what the Vagrantfile is told of a lab, and what labctl remembers of it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.backend.base import Snapshot
from labctl.errors import LabError
from labctl.spec.addresses import gateway
from labctl.state import lab_path, machines_path, write_private

if TYPE_CHECKING:
    from labctl.spec import LabSpec, NodeSpec

__all__ = [
    "FILE",
    "USER",
    "Box",
    "Machine",
    "VmLab",
    "console_of",
    "folder_of",
    "machine_id",
    "spec_json",
    "spec_of",
]

FORMAT = 1  # what this labctl writes, and the newest that it reads
FILE = "lab.json"
USER = "vagrant"  # whom every box lets in


@dataclass(frozen=True)
class Box:
    """What machines are made from. Kernel and the like are only for providers that boot a kernel directly.

    One that is not prepared is somebody else's: its machines boot by their own disk, and are provisioned.
    """

    name: str
    url: str | None = None
    version: str | None = None
    is_prepared: bool = True
    kernel: str | None = None
    initrd: str | None = None
    cmd_line: str | None = None


@dataclass(frozen=True)
class Machine:
    """One virtual machine. `name` is the node's, `machine` what the provider calls it."""

    name: str
    hostname: str
    machine: str
    role: str
    address: str
    memory_mib: int
    cpus: int
    console: str
    is_given: bool = False  # whether it has the files that make it a node


@dataclass(frozen=True)
class VmLab:
    """A lab of virtual machines, as it is written down. The spec is the JSON that `LabSpec` reads back."""

    lab: str
    provider: str
    subnet: str
    management: str = ""  # Vagrant's own way into libvirt's machines, and their way out
    box: Box | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    driver: Mapping[str, Any] = field(default_factory=dict)  # the libvirt section: driver, cpu_mode, cpu_model, ...
    nodes: tuple[Machine, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()  # those that are whole
    restoring: str = ""  # the snapshot that some machines may have been put back to, and others not
    pinned: bool = False  # whether the provider ignores addresses, and labctl pins them inside the machines
    switch: str | None = None  # Hyper-V's
    owner: str = ""  # whose it is, as the label says it

    def with_node(self, spec: NodeSpec, address: str) -> VmLab:
        """The lab with one machine more, or with that machine as the spec now has it."""
        made = Machine(
            name=spec.name,
            hostname=spec.name,
            machine=f"{self.lab}-{spec.name}",
            role=spec.role,
            address=address,
            memory_mib=spec.machine_memory_mib,
            cpus=max(1, round(spec.cpus or 1)),
            console=str(console_of(self.lab, spec.name)),
        )
        return replace(self, nodes=(*(node for node in self.nodes if node.name != spec.name), made))

    def given(self, name: str) -> VmLab:
        """The lab with that machine a node."""
        return replace(self, nodes=tuple(replace(n, is_given=True) if n.name == name else n for n in self.nodes))

    def without(self, name: str) -> VmLab:
        """The lab without a machine."""
        return replace(self, nodes=tuple(node for node in self.nodes if node.name != name))

    @property
    def is_prepared(self) -> bool:
        """Whether its machines are copies of a box of labctl's."""
        return self.box is None or self.box.is_prepared

    @property
    def waits_for_vagrant(self) -> bool:
        """Whether Vagrant, or labctl after it, sets up the network that the machines are reached by."""
        return self.pinned or not self.is_prepared

    @property
    def is_emulated(self) -> bool:
        """Whether the machines have no processor of the host's own."""
        return self.driver.get("driver") == "qemu"

    def machine(self, name: str) -> Machine | None:
        """The machine of a node."""
        return next((node for node in self.nodes if node.name == name), None)

    def save(self) -> None:
        """Write it where the Vagrantfile reads it. Raises HostError."""
        write_private(folder_of(self.lab) / FILE, json.dumps(self._as_json(), indent=2).encode())

    def _as_json(self) -> dict[str, Any]:
        network = ipaddress.IPv4Network(self.subnet)
        box = self.box or Box("")
        keys = [str(lab_path(self.lab) / "id_ed25519")]
        return {
            "format": FORMAT,
            "lab": self.lab,
            "owner": self.owner,
            "provider": self.provider,
            "spec": dict(self.spec),
            "box": {"name": box.name, "url": box.url, "version": box.version, "prepared": box.is_prepared},
            "network": {
                "name": f"labctl-{self.lab}",
                "subnet": self.subnet,
                "netmask": str(network.netmask),
                "gateway": gateway(self.subnet),
                "bridge": None,
                "pinned": self.pinned,
            },
            "ssh": {"user": USER, "private_key": keys[0], "insert_key": False},
            "libvirt": {
                "kernel": box.kernel,
                "initrd": box.initrd,
                "cmd_line": box.cmd_line,
                **self.driver,
                **self._way_in(),
            },
            "hyperv": {"switch": self.switch},
            "nodes": [asdict(node) for node in self.nodes],
            "snapshots": [asdict(snapshot) for snapshot in self.snapshots],
            "restoring": self.restoring,
        }

    @property
    def way_in_network(self) -> str:
        """What libvirt calls the network by which Vagrant comes in."""
        return f"labctl-{self.lab}-nat"

    def _way_in(self) -> dict[str, Any]:
        if not self.management:
            return {}
        return {"management": {"name": self.way_in_network, "subnet": self.management}}

    @classmethod
    def load(cls, lab: str) -> VmLab | None:
        """Read a lab; None when there is none of virtual machines. Raises LabError when it cannot be read."""
        path = folder_of(lab) / FILE
        try:
            said = json.loads(path.read_text())
            _refuse_newer(lab, path, said.get("format", 1))  # those of before said nothing of it
            box = said["box"]
            management = (said["libvirt"].pop("management", None) or {}).get("subnet", "")
            direct = {key: said["libvirt"].pop(key, None) for key in ("kernel", "initrd", "cmd_line")}
            return cls(
                lab=said["lab"],
                provider=said["provider"],
                subnet=said["network"]["subnet"],
                management=management,
                pinned=said["network"].get("pinned", False),
                switch=said.get("hyperv", {}).get("switch"),
                box=Box(box["name"], box["url"], box["version"], box["prepared"], **direct),
                spec=said["spec"],
                driver=said["libvirt"],
                nodes=tuple(Machine(**node) for node in said["nodes"]),
                snapshots=tuple(
                    Snapshot(one["name"], one["taken"], tuple(one["nodes"])) for one in said.get("snapshots", ())
                ),
                restoring=said.get("restoring", ""),
                owner=said.get("owner", ""),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise LabError(
                f"{path} cannot be read: {problem}",
                hint=f"`vagrant destroy -f` in {path.parent} removes the machines, then remove that folder.",
            ) from problem


def _refuse_newer(lab: str, path: Path, written: object) -> None:
    if isinstance(written, int) and written > FORMAT:
        raise LabError(
            f"lab {lab} was made by a newer labctl: {path} is of format {written}, and this one reads {FORMAT}",
            hint="Update labctl (`pip install --upgrade swarm-labctl`), to use the lab or to remove it.",
        )


def refuse_other_provider(lab: VmLab | None, provider: str) -> None:
    """Raise LabError when the lab's machines are another provider's."""
    if lab is not None and lab.nodes and provider and lab.provider != provider:
        raise LabError(
            f"lab {lab.lab} was made with {lab.provider}, not with {provider}",
            hint=f"Leave --provider out, or remove it first: `labctl down -l {lab.lab}`.",
        )


def folder_of(lab: str) -> Path:
    """Where a lab's Vagrant files are, or would be."""
    return machines_path(lab)


def machine_id(lab: str, node: str) -> str:
    """What the provider knows a machine by, as Vagrant wrote it down: one recreated has another. "" for nothing."""
    for path in sorted(folder_of(lab).glob(f".vagrant/machines/{node}/*/id")):
        try:
            return path.read_text().strip()
        except (OSError, ValueError):
            continue
    return ""


def console_of(lab: str, node: str) -> Path:
    """Where what a machine says on its serial console is written."""
    return folder_of(lab) / "consoles" / f"{node}.log"


def spec_of(lab: VmLab) -> LabSpec | None:
    """The spec that the folder notes; None when this labctl cannot read it."""
    from labctl.spec import spec_noted

    return spec_noted({**lab.spec, "provider": lab.provider}, source="the lab's folder")


def spec_json(spec: LabSpec) -> dict[str, object]:
    """The spec as the folder notes it: without what is the default."""
    from labctl.spec import as_noted

    return as_noted(spec)
