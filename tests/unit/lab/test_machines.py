"""Which box a lab of virtual machines is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.backend.vagrant import Box, VmLab
from labctl.backend.vagrant.labfile import folder_of
from labctl.engine.fake import FakeEngine
from labctl.errors import HostError, LabError, UsageError
from labctl.events import Event, Warned
from labctl.host.providers import Provider
from labctl.images.box import Box as BuiltBox
from labctl.lab import machines
from labctl.lab.machines import machine_maker, refuse_unmakable
from labctl.spec import LabSpec, NodeSpec, read_mapping
from labctl.state import lab_dir

pytestmark = pytest.mark.usefixtures("state")
BUILT = BuiltBox("labctl-1", "0", Path("/b/libvirt.box"), Path("/b/disk.qcow2"), None, None, "quiet", "1")
STOCK = LabSpec(name="demo", backend="vagrant", box="debian/bookworm64")
OWN = LabSpec(name="demo", backend="vagrant")


class Host:
    """A host with a provider, which can or cannot make labctl's box."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[Event] = []
        self.built: list[str] = []
        self.ready: BuiltBox | None = None
        self.problem = ""
        monkeypatch.setattr(machines, "choose_provider", lambda wanted: Provider(wanted or "libvirt", driver="qemu"))
        monkeypatch.setattr(machines, "free_subnet", lambda *_, **__: "10.9.0.0/24")
        monkeypatch.setattr(machines, "find_box", lambda _: self.ready)
        monkeypatch.setattr(machines, "base_problem", lambda _: self.problem)
        monkeypatch.setattr(machines, "ensure_box", self._build)

    def _build(self, _engine: object, provider: str, *_: object) -> BuiltBox:
        self.built.append(provider)
        return BUILT

    def box(self, spec: LabSpec) -> Box:
        """The box that a lab of this spec would be made of, as it is written down."""
        backend = machine_maker(FakeEngine(), spec, self.heard.append, lambda _: None)
        backend.create_base(spec, "10.8.0.0/24")
        known = VmLab.load("demo")
        assert known is not None and known.box is not None
        return known.box


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def stands(box: str) -> None:
    """Write down a lab of one machine that is a copy of that box."""
    lab_dir("demo")
    folder_of("demo").mkdir()
    lab = VmLab("demo", "libvirt", "10.8.0.0/24", "10.9.0.0/24", Box(box, is_prepared=False))
    lab.with_node(NodeSpec(name="manager1", role="manager"), "10.8.0.11").save()


def test_labctls_own_where_nothing_is_said(host: Host) -> None:
    box = host.box(OWN)

    assert (box.name, box.is_prepared) == ("labctl-1", True)
    assert host.built == ["libvirt"]


def test_the_one_that_was_asked_for_is_neither_built_nor_booted_by_a_kernel(host: Host) -> None:
    box = host.box(STOCK)

    assert box == Box("debian/bookworm64", is_prepared=False)
    assert host.built == []


@pytest.mark.parametrize(
    ("provider", "name"),
    [("libvirt", "debian/bookworm64"), ("virtualbox", "debian/bookworm64"), ("hyperv", "generic/debian12")],
)
def test_a_stock_one_where_labctls_cannot_be_made(host: Host, provider: str, name: str) -> None:
    host.problem = "it takes root"
    box = host.box(read_mapping({"name": "demo", "backend": "vagrant", "provider": provider}))

    assert box == Box(name, is_prepared=False)
    told = [event.text for event in host.heard if isinstance(event, Warned)]
    assert told == [
        f"labctl's box cannot be made here (it takes root); {name} is taken and provisioned, which takes longer"
    ]


def test_one_that_is_made_already_needs_nothing(host: Host) -> None:
    host.problem, host.ready = "it takes root", BUILT

    assert host.box(OWN).is_prepared


def test_a_lab_that_stands_keeps_its_box(host: Host) -> None:
    stands("debian/bookworm64")

    assert host.box(OWN).name == "debian/bookworm64"
    assert host.built == []


def test_another_box_than_the_labs_is_refused(host: Host) -> None:
    stands("generic/debian12")

    with pytest.raises(UsageError, match="are copies of the box generic/debian12, not of debian/bookworm64") as caught:
        host.box(STOCK)
    assert "labctl down" in (caught.value.hint or "")


def test_one_that_was_written_down_by_an_up_that_failed_is_forgotten(host: Host) -> None:
    stands("generic/debian12")
    known = VmLab.load("demo")
    assert known is not None
    known.without("manager1").save()

    assert host.box(STOCK).name == "debian/bookworm64"


def test_an_arm_machine_is_told_before_a_box_is_built(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")

    with pytest.raises(HostError, match="labctl's box is for amd64, and this machine is arm64"):
        host.box(OWN)
    assert host.built == []
    assert host.box(STOCK).name == "debian/bookworm64"


def test_hyperv_switch_is_the_one_that_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERV_VIRTUAL_SWITCH", "Lab")
    host.box(OWN)

    known = VmLab.load("demo")
    assert known is not None and known.switch == "Lab"


def test_a_plan_is_refused_for_what_the_machines_would_be_and_nothing_is_built(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unmakable(OWN)
    stands("debian/bookworm64")
    refuse_unmakable(OWN)

    with pytest.raises(UsageError, match="are copies of the box debian/bookworm64, not of generic/debian12"):
        refuse_unmakable(LabSpec(name="demo", backend="vagrant", box="generic/debian12"))
    with pytest.raises(LabError, match="was made with libvirt, not with virtualbox"):
        refuse_unmakable(LabSpec(name="demo", backend="vagrant", provider="virtualbox"))
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(HostError, match="labctl's box is for amd64"):
        refuse_unmakable(LabSpec(name="another", backend="vagrant"))
    refuse_unmakable(OWN)  # its machines stand
    assert host.built == []
