"""What Vagrant makes of the Vagrantfile, told by its providers' own Config classes; none of them needs to be usable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ASK = ROOT / "tests/vm/ruby/configurations.rb"
PROVIDERS = ("virtualbox", "hyperv", "libvirt")
Json = dict[str, Any]

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: apt-get install vagrant-libvirt"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with our Vagrantfile, and a home of Vagrant's own."""
    shutil.copy(ROOT / "Vagrantfile", tmp_path)
    (tmp_path / "key").write_text("no key\n")
    return tmp_path


def lab(folder: Path, provider: str, **more: Any) -> Json:
    """The spec of a lab of two nodes, as labctl writes it."""
    nodes = [
        {
            "name": name,
            "hostname": name,
            "machine": f"shop-{name}",
            "address": f"192.168.57.{11 + i}",
            "memory_mib": 768 + 256 * i,
            "cpus": 2 - i,
            "console": str(folder / f"{name}.log"),
        }
        for i, name in enumerate(("manager1", "worker1"))
    ]
    return {
        "lab": "shop",
        "provider": provider,
        "box": {"name": "labctl/node", "url": "file:///boxes/node.box", "version": None},
        "network": {"name": "labctl-shop", "subnet": "192.168.57.0/24", "netmask": "255.255.255.0",
                    "gateway": "192.168.57.1", "bridge": None},
        "ssh": {"user": "vagrant", "private_key": str(folder / "key"), "insert_key": False},
        "libvirt": {"driver": "qemu", "cpu_mode": "custom", "cpu_model": "qemu64", "machine_type": None,
                    "kernel": None, "initrd": None, "cmd_line": None, "pool": None},
        "hyperv": {"switch": None},
        "nodes": nodes,
    } | more  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """Vagrant's home is made for the test; nothing of the caller's own settings gets in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAGRANT_", "LABCTL_"))}
    return kept | {"VAGRANT_HOME": str(folder / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}


def machines(folder: Path, provider: str, spec: Json | None = None) -> Json:
    """Return what Vagrant knows of each machine; `spec` is written as lab.json first."""
    if spec is not None:
        (folder / "lab.json").write_text(json.dumps(spec))
    done = subprocess.run(
        ["ruby", ASK, folder, provider], env=environment(folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told: Json = json.loads(done.stdout)
    return told


def validate(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `vagrant validate`."""
    return subprocess.run(
        ["vagrant", "validate"],
        cwd=folder, env=environment(folder) | variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def own_network(machine: Json) -> list[Json]:
    """The networks that the Vagrantfile asks for, with their kind, less Vagrant's own way in."""
    return [
        {"kind": kind} | {key: value for key, value in options.items() if key not in ("id", "protocol")}
        for kind, options in machine["networks"]
        if kind != "forwarded_port"
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_a_lab_there_are_three_debian_machines(folder: Path, provider: str) -> None:
    found = machines(folder, provider)

    assert list(found) == ["manager1", "worker1", "worker2"]
    assert [machine["errors"] for machine in found.values()] == [{}, {}, {}]
    assert all("debian" in machine["vm"]["box"] for machine in found.values())
    assert all(machine["ssh"]["insert_key"] for machine in found.values())
    assert found["worker2"]["default_provider"] is None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_holds_for_every_provider(folder: Path, provider: str) -> None:
    found = machines(folder, provider, lab(folder, provider))

    for name, machine in found.items():
        assert machine["errors"] == {}
        assert machine["default_provider"] == provider
        assert machine["synced_folders"] == {}
        vm = machine["vm"]
        assert (vm["box"], vm["box_url"], vm["box_version"]) == ("labctl/node", ["file:///boxes/node.box"], None)
        assert vm["box_check_update"] is False
        assert vm["hostname"] == name
        assert (vm["boot_timeout"], vm["graceful_halt_timeout"]) == (600, 60)
        ssh = machine["ssh"]
        assert (ssh["username"], ssh["insert_key"]) == ("vagrant", False)
        assert ssh["private_key_path"] == [str(folder / "key"), str(folder / "home/insecure_private_key")]


def test_virtualbox(folder: Path) -> None:
    found = machines(folder, "virtualbox", lab(folder, "virtualbox"))["manager1"]

    assert found["class"] == "VagrantPlugins::ProviderVirtualBox::Config"
    assert own_network(found) == [
        {"kind": "private_network", "ip": "192.168.57.11", "netmask": "255.255.255.0", "adapter_ip": "192.168.57.1"}
    ]
    own = found["provider"]
    assert own["name"] == "shop-manager1"
    assert own["linked_clone"] is True
    assert own["default_nic_type"] == "virtio"
    assert own["network_adapters"] == {"1": ["nat", {}]}
    assert (own["gui"], own["check_guest_additions"], own["functional_vboxsf"]) == (False, False, False)
    assert [command for event, command in own["customizations"] if event == "pre-boot"] == [
        ["modifyvm", "id", "--cpus", 2],
        ["modifyvm", "id", "--memory", "768"],
        ["modifyvm", "id", "--natdnshostresolver1", "on", "--nat-localhostreachable1", "off"],
        ["modifyvm", "id", "--audio-enabled", "off", "--usb", "off"],
        ["modifyvm", "id", "--uart1", "0x3F8", "4", "--uartmode1", "file", str(folder / "manager1.log")],
    ]


def test_hyper_v(folder: Path) -> None:
    found = machines(folder, "hyperv", lab(folder, "hyperv", hyperv={"switch": "lab"}))["worker1"]

    assert found["class"] == "VagrantPlugins::HyperV::Config"
    assert own_network(found) == [{"kind": "public_network", "bridge": "lab"}]
    own = found["provider"]
    assert (own["vmname"], own["cpus"], own["memory"], own["maxmemory"]) == ("shop-worker1", 1, 1024, None)
    assert own["linked_clone"] is True
    assert own["ip_address_timeout"] == 300
    assert (own["auto_start_action"], own["auto_stop_action"]) == ("Nothing", "ShutDown")
    assert (own["enable_checkpoints"], own["enable_automatic_checkpoints"]) == (True, False)
    assert own["vm_integration_services"] == {"heartbeat": True, "key_value_pair_exchange": True, "shutdown": True}


def test_hyper_v_takes_the_switch_that_windows_brings(folder: Path) -> None:
    found = machines(folder, "hyperv", lab(folder, "hyperv"))["manager1"]

    assert own_network(found) == [{"kind": "public_network", "bridge": "Default Switch"}]


def test_libvirt(folder: Path) -> None:
    found = machines(folder, "libvirt", lab(folder, "libvirt"))["worker1"]

    assert found["class"] == "VagrantPlugins::ProviderLibvirt::Config"
    assert own_network(found) == [
        {
            "kind": "private_network",
            "ip": "192.168.57.12",
            "netmask": "255.255.255.0",
            "libvirt__network_name": "labctl-shop",
            "libvirt__host_ip": "192.168.57.1",
            "libvirt__dhcp_enabled": False,
            "libvirt__forward_mode": "route",
            "auto_config": True,
        }
    ]
    own = found["provider"]
    assert own["uri"] == "qemu:///system"
    assert (own["default_prefix"], own["cpus"], own["memory"]) == ("shop-", 1, 1024)
    assert (own["driver"], own["cpu_mode"], own["cpu_model"]) == ("qemu", "custom", "qemu64")
    assert (own["machine_type"], own["kernel"], own["initrd"], own["cmd_line"]) == (None, None, None, "")
    assert (own["graphics_type"], own["nic_model_type"], own["sound_type"]) == ("none", "virtio", None)
    assert [device["type"] for device in own["inputs"]] == ["mouse"]
    assert own["usbctl_dev"] == {"model": "none"}
    assert own["memballoon_enabled"] is False
    assert own["rng"] == {"model": "random"}
    assert own["serials"] == [{"type": "file", "source": {"path": str(folder / "worker1.log")}}]
    assert own["storage_pool_name"] == "default"


def test_libvirt_boots_a_kernel_directly(folder: Path) -> None:
    direct = {
        "driver": "kvm",
        "machine_type": "q35",
        "kernel": "/k",
        "initrd": "/i",
        "cmd_line": "root=/dev/vda",
        "pool": "fast",
    }
    own = machines(folder, "libvirt", lab(folder, "libvirt", libvirt=direct))["manager1"]["provider"]

    assert {key: own[key] for key in ("machine_type", "kernel", "initrd", "cmd_line")} == {
        key: value for key, value in direct.items() if key not in ("driver", "pool")
    }
    assert own["storage_pool_name"] == "fast"
    assert (own["driver"], own["cpu_mode"], own["cpu_model"]) == ("kvm", "host-passthrough", "")


def test_a_prepared_box_is_told_its_address_with_its_kernel(folder: Path) -> None:
    direct = {"kernel": "/k", "initrd": "/i", "cmd_line": "root=/dev/vda"}
    box = {"name": "labctl-1", "url": None, "version": None, "prepared": True}
    found = machines(folder, "libvirt", lab(folder, "libvirt", libvirt=direct, box=box))["worker1"]

    assert own_network(found)[0]["auto_config"] is False
    assert found["provider"]["cmd_line"] == "root=/dev/vda labctl.eth1=192.168.57.12/24"


def test_libvirt_joins_a_bridge_of_the_host(folder: Path) -> None:
    spec = lab(folder, "libvirt")
    spec["network"]["bridge"] = "br0"
    found = machines(folder, "libvirt", spec)["manager1"]

    assert found["errors"] == {}
    assert own_network(found) == [
        {"kind": "public_network", "ip": "192.168.57.11", "netmask": "255.255.255.0", "dev": "br0", "mode": "bridge",
         "type": "bridge"}
    ]  # fmt: skip


def test_each_lab_has_a_way_in_of_its_own(folder: Path) -> None:
    first = machines(folder, "libvirt", lab(folder, "libvirt"))["manager1"]["provider"]
    other = lab(folder, "libvirt", network={"name": "labctl-b", "subnet": "192.168.58.0/24"})
    second = machines(folder, "libvirt", other)["manager1"]["provider"]
    told = lab(folder, "libvirt", libvirt={"management": {"name": "mine", "subnet": "10.9.8.0/24"}})
    third = machines(folder, "libvirt", told)["manager1"]["provider"]

    assert [(own["management_network_name"], own["management_network_address"]) for own in (first, second, third)] == [
        ("labctl-shop-nat", "192.168.185.0/24"),
        ("labctl-b-nat", "192.168.186.0/24"),
        ("mine", "10.9.8.0/24"),
    ]


@pytest.mark.parametrize(
    ("provider", "right", "wrong"),
    [
        ("virtualbox", "vb.linked_clone =", "vb.linked_clones ="),
        ("hyperv", "hv.vmname =", "hv.vm_name ="),
        ("libvirt", "lv.memballoon_enabled =", "lv.memballoon ="),
        ("libvirt", "lv.random model", "lv.rng_device model"),
    ],
)
def test_a_misspelt_setting_is_found(folder: Path, provider: str, right: str, wrong: str) -> None:
    file = folder / "Vagrantfile"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))

    found = machines(folder, provider, lab(folder, provider))["manager1"]

    assert wrong.split()[0].split(".")[1] in json.dumps(found["errors"])


def _elsewhere(spec: Json) -> None:
    spec["nodes"][1]["address"] = "172.30.0.12"


def _no_provider(spec: Json) -> None:
    spec["provider"] = "vmware"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(_elsewhere, "172.30.0.12 is not in 192.168.56.0/21", id="address"),
        pytest.param(_no_provider, "no provider vmware; there are virtualbox, hyperv, libvirt.", id="provider"),
    ],
)
def test_a_lab_that_cannot_be_is_refused_in_a_line(folder: Path, spoil: Callable[[Json], None], says: str) -> None:
    spec = lab(folder, "virtualbox")
    spoil(spec)
    (folder / "lab.json").write_text(json.dumps(spec))
    done = validate(folder)

    assert done.returncode != 0
    assert says in done.stderr
    assert "Line number" not in done.stderr


def test_a_lab_json_that_is_none_is_named(folder: Path) -> None:
    (folder / "lab.json").write_text('{"lab": ')
    broken = validate(folder)
    missing = validate(folder, LABCTL_LAB_JSON="/not/there.json")

    assert f"{folder / 'lab.json'} is no JSON" in broken.stderr
    assert "LABCTL_LAB_JSON names /not/there.json, which is not there." in missing.stderr


def test_vagrant_itself_is_content_with_libvirt(folder: Path) -> None:
    (folder / "elsewhere.json").write_text(json.dumps(lab(folder, "libvirt")))
    done = validate(folder, LABCTL_LAB_JSON=str(folder / "elsewhere.json"))

    assert done.returncode == 0, done.stderr
    assert "validated successfully" in done.stdout


def test_a_key_of_vagrants_own_making_is_not_put_aside(folder: Path) -> None:
    spec = lab(folder, "libvirt")
    spec["ssh"]["insert_key"] = True
    ssh = machines(folder, "libvirt", spec)["manager1"]["ssh"]

    assert (ssh["insert_key"], ssh["private_key_path"]) == (True, None)
