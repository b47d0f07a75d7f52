"""The box boots: directly, by BIOS and by UEFI, and what boots is fit to be a node."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.images.box import Box, ensure_box
from labctl.lab import open_context
from tests.vm.qemu import OVMF, Machine, booted, direct_boot

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None, reason="needs QEMU: apt-get install qemu-system-x86"
    ),
]
DAEMON = '{"hosts": ["unix:///var/run/docker.sock"], "log-level": "warn"}'


@pytest.fixture(scope="module")
def box() -> Box:
    return ensure_box(open_context().engine, "libvirt", note=print)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def machine(box: Box, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One machine for all the tests that only look, booted by its kernel."""
    words = direct_boot(box, key.with_suffix(".pub").read_text())
    with booted(box.disk, tmp_path_factory.mktemp("direct"), *words, key=key) as found:
        found.wait_for_banner()
        print(f"SSH after {found.seconds:.1f} s")
        yield found


def test_it_is_marked_as_prepared(machine: Machine, box: Box) -> None:
    assert f'"digest": "{box.digest}"' in machine.run("cat /etc/labctl/box.json")


def test_the_machine_has_an_id_of_its_own(machine: Machine) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}\n", machine.run("cat /etc/machine-id"))


def test_it_made_its_own_host_keys(machine: Machine) -> None:
    found = machine.run("ls /etc/ssh/ssh_host_*_key").split()

    assert found == ["/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"]


def test_its_first_card_is_eth0_and_has_an_address_by_dhcp(machine: Machine) -> None:
    assert "10.0.2.15/24" in machine.run("ip -4 -o address show eth0")


def test_it_has_cgroup_v2(machine: Machine) -> None:
    assert machine.run("stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"


def test_the_kernel_has_what_a_swarm_needs(machine: Machine) -> None:
    loaded = machine.run("lsmod")

    assert {"ip_vs", "overlay", "br_netfilter", "vxlan"} <= {line.split()[0] for line in loaded.splitlines()}
    assert machine.run("sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables").split() == ["1", "1"]


def test_nothing_failed_on_the_way_up(machine: Machine) -> None:
    assert machine.run("systemctl list-units --failed --plain --no-legend") == ""


def test_the_engine_waits_for_its_configuration_and_then_starts(machine: Machine) -> None:
    assert machine.run("systemctl is-active docker.service containerd.service || true").split() == ["inactive"] * 2

    machine.run(f"mkdir -p /etc/docker && echo '{DAEMON}' > /etc/docker/daemon.json && systemctl start docker")

    assert machine.run("docker info --format '{{.Driver}} {{.CgroupVersion}}'").split() == ["overlay2", "2"]


def test_a_swarm_forms_on_it(machine: Machine) -> None:
    machine.run("test -f /etc/docker/daemon.json && docker swarm init --advertise-addr eth0 >/dev/null")

    assert machine.run("docker node ls --format '{{.Status}}'").strip() == "Ready"
    # What a user was told would happen without ip_vs is looked for in vain.
    assert "ipvs family" not in machine.run("journalctl -u docker --no-pager")


@pytest.mark.parametrize(("provider", "inside"), [("virtualbox", "vmdk"), ("hyperv", "vhdx")])
def test_the_other_providers_boxes_hold_the_same_disk(box: Box, provider: str, inside: str, tmp_path: Path) -> None:
    made = ensure_box(open_context().engine, provider, note=print)
    with tarfile.open(made.file) as archive:
        member = next(entry for entry in archive if entry.name.endswith(inside))
        member.name = f"disk.{inside}"
        archive.extract(member, tmp_path, filter="data")

    command = ["qemu-img", "compare", str(box.disk), str(tmp_path / f"disk.{inside}")]
    assert "Images are identical." in subprocess.run(command, capture_output=True, text=True, timeout=300).stdout


def test_it_boots_by_bios_without_a_kernel_beside_it(box: Box, key: Path, tmp_path: Path) -> None:
    with booted(box.disk, tmp_path, key=key) as found:
        assert found.wait_for_banner().startswith("SSH-2.0")


def test_it_boots_by_uefi_without_a_kernel_beside_it(box: Box, key: Path, tmp_path: Path) -> None:
    if not OVMF.exists():
        pytest.skip("needs OVMF: apt-get install ovmf")
    firmware = ("-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}")
    with booted(box.disk, tmp_path, *firmware, key=key) as found:
        assert found.wait_for_banner().startswith("SSH-2.0")


def test_it_boots_from_ide_as_in_virtualbox(box: Box, key: Path, tmp_path: Path) -> None:
    with booted(box.disk, tmp_path, key=key, interface="ide") as found:
        assert found.wait_for_banner().startswith("SSH-2.0")
