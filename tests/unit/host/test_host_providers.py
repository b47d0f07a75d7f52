"""Who can run virtual machines, decided from what the programs say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.errors import HostError, UsageError
from labctl.events import quiet
from labctl.host import kvm, providers, virtual
from labctl.host.facts import EngineFacts, MachineFacts
from labctl.host.providers import Provider, choose_provider, find_providers
from labctl.host.report import Verdict

VAGRANT = {"vagrant": "Vagrant 2.3.4\n"}
LIBVIRT = {"libvirtd": "libvirtd (libvirt) 9.0.0\n", "qemu-system-x86_64": "QEMU emulator version 7.2\n"}
BOX = {"VBoxManage": "7.0.20r163906\n"}


def a_machine(system: str = "Linux", *distribution: str, is_root: bool = True) -> MachineFacts:
    return MachineFacts(
        system=system,
        distribution=distribution,
        is_root=is_root,
        service_manager="systemd",
        cpus=2,
        memory_free=8 << 30,
    )


@pytest.fixture(autouse=True)
def a_linux_with_a_silent_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(providers, "_libvirt_silence", lambda: "")
    monkeypatch.setattr(providers, "kvm_problem", lambda: "")
    monkeypatch.setattr(providers, "which", lambda program: f"/usr/sbin/{program}")
    monkeypatch.setattr(virtual, "is_shut_to_libvirt", lambda: False)
    monkeypatch.setattr(virtual, "gather_engine", lambda _: EngineFacts(version={"Version": "26.1.5"}))


def says(answers: Mapping[str, str]) -> Callable[[Sequence[str]], str | None]:
    """Programs that say these things, and no others."""
    return lambda command: answers.get(command[0])


def test_libvirt_with_kvm_comes_first() -> None:
    found = choose_provider(None, says(VAGRANT | LIBVIRT | BOX))

    assert (found.name, found.driver, found.notice) == ("libvirt", "kvm", "")


def test_a_kvm_that_runs_nothing_is_made_up_for_by_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "kvm_problem", lambda: "/dev/kvm is there and runs nothing: hung")

    found = choose_provider("libvirt", says(VAGRANT | LIBVIRT))

    assert found.driver == "qemu"
    assert "emulated" in found.notice


def test_libvirt_without_what_its_networks_need_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "which", lambda _: None)

    with pytest.raises(HostError, match="dnsmasq, which its networks need, is not installed"):
        choose_provider("libvirt", says(VAGRANT | LIBVIRT))


def test_virtualbox_is_taken_where_libvirt_is_not() -> None:
    assert choose_provider(None, says(VAGRANT | BOX)).name == "virtualbox"


def test_virtualbox_without_its_module_says_so() -> None:
    said = "WARNING: The vboxdrv kernel module is not loaded.\n7.0.20r163906\n"

    with pytest.raises(HostError, match="kernel module is not loaded") as caught:
        choose_provider("virtualbox", says(VAGRANT | {"VBoxManage": said}))
    assert "vboxconfig" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("virtualbox", "vagrant", "problem"),
    [
        ("6.1.50r161033", "2.4.9", "6.1.50r161033 is too old, its machines need 7.0"),
        ("7.0.20r163906", "2.3.4", ""),
        ("7.1.4r165100", "2.4.1", "7.1.4r165100 is known to Vagrant from 2.4.2 on"),
        ("7.2.2r170484", "2.4.7", "7.2.2r170484 is known to Vagrant from 2.4.9 on"),
        ("7.2.2r170484", "2.4.10.dev", ""),
        ("8.0.0", "2.4.8", "8.0.0 is known to Vagrant from 2.4.9 on"),
        ("?", "2.4.9", ""),
    ],
)
def test_a_virtualbox_that_cannot_do_says_so(virtualbox: str, vagrant: str, problem: str) -> None:
    found = find_providers(says({"VBoxManage": f"{virtualbox}\n", "vagrant": f"Vagrant {vagrant}\n"}))[1]

    assert found.problem == problem


def test_whoever_lacks_the_provider_that_was_named_is_told_that_containers_need_none() -> None:
    with pytest.raises(HostError, match="virtualbox cannot run machines here: it is not installed") as caught:
        choose_provider("virtualbox", says(VAGRANT))

    assert str(caught.value.hint) == (
        "Containers need none: leave out --driver (-d), or --backend vagrant. "
        "To have it: https://www.virtualbox.org/wiki/Downloads"
    )


def test_no_vagrant_and_no_provider_are_told() -> None:
    with pytest.raises(HostError, match="Vagrant is not installed"):
        choose_provider(None, says({}))
    with pytest.raises(HostError, match=r"no provider can run machines here: libvirt: .*virtualbox: .*hyperv: "):
        choose_provider(None, says(VAGRANT))
    with pytest.raises(UsageError, match="no provider 'vmware'"):
        choose_provider("vmware", says(VAGRANT))


def test_hyperv_is_windows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not find_providers(says({}))[2].usable
    monkeypatch.setattr("platform.system", lambda: "Windows")

    assert find_providers(says({"powershell": "Running\r\nTrue\r\n"}))[2].usable
    assert "not elevated" in find_providers(says({"powershell": "Running\r\nFalse\r\n"}))[2].problem
    assert "not switched on" in find_providers(says({"powershell": "\r\nTrue\r\n"}))[2].problem


def test_an_engine_that_does_not_answer_is_a_row_that_says_what_machines_want_it_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(virtual, "gather_engine", lambda _: EngineFacts(error="it is not there"))
    monkeypatch.setattr(virtual, "gather_machine", lambda: a_machine("Linux", "debian"))
    monkeypatch.setattr(virtual, "find_providers", lambda: [Provider("libvirt", "9.0.0", driver="kvm")])
    monkeypatch.setattr(virtual, "vagrant_version", lambda: "2.3.4")

    row = virtual.examine_virtual(1).row("engine")

    assert (row.verdict, row.fixable) == (Verdict.MEND, True)
    assert "a lab of virtual machines has its registry and its ports in containers of it" in row.found


def test_too_little_memory_is_refused_with_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match=r"memory: 4000 machines of 1024 MiB") as caught:
        virtual.preflight_virtual([1024] * 4000, new=4000)
    assert "--nodes" in str(caught.value.hint)
    with pytest.raises(HostError, match=r"memory: 2 machines of 1024 MiB and 921600 MiB want 923136 MiB"):
        virtual.preflight_virtual([1024, 900 << 10], new=2)
    virtual.preflight_virtual([], new=0)


def test_a_disk_that_is_too_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2000 << 20))

    virtual.preflight_virtual([128], new=1)
    with pytest.raises(HostError, match=r"disk: 2 new machines will write about 3000 MiB; 2000 MiB are free") as caught:
        virtual.preflight_virtual([128, 128], new=2)
    assert "--nodes 1 fits" in str(caught.value.hint)


def test_the_rows_say_what_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "vagrant_version", lambda: None)
    monkeypatch.setattr(virtual, "find_providers", lambda: find_providers(says({})))

    report = virtual.examine_virtual(2)

    assert report.row("vagrant").verdict is Verdict.MEND
    assert not report.good


SYSTEMS = [
    (a_machine("Linux", "debian"), "libvirt", "sudo apt-get install -y vagrant vagrant-libvirt", True),
    (a_machine("Linux", "fedora"), "libvirt", "https://developer.hashicorp.com/vagrant/install", False),
    (a_machine("Darwin"), "virtualbox", "brew install --cask vagrant", False),
    (a_machine("Windows"), "hyperv", "winget install Hashicorp.Vagrant", False),
]


@pytest.mark.parametrize(
    ("machine", "best", "vagrant", "fixable"), SYSTEMS, ids=["debian", "fedora", "macos", "windows"]
)
def test_where_nothing_runs_machines_the_systems_best_is_to_be_mended(
    machine: MachineFacts, best: str, vagrant: str, fixable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: machine.system)
    monkeypatch.setattr(virtual, "gather_machine", lambda: machine)
    monkeypatch.setattr(virtual, "vagrant_version", lambda: None)
    monkeypatch.setattr(virtual, "find_providers", lambda: find_providers(says({})))

    report = virtual.examine_virtual(1)

    rows = {name: report.row(name) for name in ("libvirt", "virtualbox", "hyperv")}
    assert [name for name, row in rows.items() if row.verdict is Verdict.MEND] == [best]
    assert rows[best].fix
    assert (rows[best].fixable, report.row("vagrant").fixable) == (fixable, fixable)
    assert str(report.row("vagrant").fix).startswith(vagrant)
    assert fixable == ("doctor" in str(rows[best].fix))


def test_what_was_found_of_kvm_is_remembered(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch()
    tries: list[int] = []
    monkeypatch.setattr(kvm, "DEVICE", device)

    def hang() -> str:
        tries.append(1)
        return "it hung"

    monkeypatch.setattr(kvm, "_try", hang)
    monkeypatch.setattr(kvm, "is_shut_to_libvirt", lambda: False)

    assert [kvm.kvm_problem(), kvm.kvm_problem()] == ["it hung", "it hung"]
    assert len(tries) == 1


def test_a_kvm_that_libvirts_user_may_not_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0o600)
    monkeypatch.setattr(kvm, "DEVICE", device)

    assert "not open to the user that libvirt runs machines as" in kvm.kvm_problem()


def test_a_kvm_that_is_shut_to_libvirt_is_a_row_that_fix_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0o600)
    monkeypatch.setattr(kvm, "DEVICE", device)
    monkeypatch.setattr(virtual, "is_shut_to_libvirt", kvm.is_shut_to_libvirt)
    monkeypatch.setattr(virtual, "OPEN_KVM", ("chmod", "666", str(device)))
    monkeypatch.setattr(virtual, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(virtual, "gather_machine", lambda: a_machine("Linux", "debian"))
    monkeypatch.setattr(virtual, "find_providers", lambda: [Provider("libvirt", "9.0.0", driver="qemu")])
    monkeypatch.setattr(virtual, "vagrant_version", lambda: "2.3.4")

    report = virtual.examine_virtual(2)
    assert report.good
    assert report.row("kvm").verdict is Verdict.MADE_UP_FOR

    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    mended = virtual.mend_virtual(report, confirm=yes, emit=quiet, nodes=2)

    assert asked == ["Open /dev/kvm to the group kvm?"]
    assert [row.id for row in mended if row.id == "kvm"] == []
    assert device.stat().st_mode & 0o777 == 0o666
