"""The Vagrantfile, taken by Vagrant's own VirtualBox provider, to a real VBoxManage: all but the start itself.

Debian has VirtualBox only in sid, and its kernel module cannot be built here. So Vagrant and VirtualBox run in a
container: machines are imported, cloned, configured and shown, and fail to start for want of that module.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from labctl import images
from labctl.engine import Engine, ExecOutcome
from labctl.engine.client import tar_of
from labctl.images.box_package import package
from labctl.images.building import Recipe, build
from labctl.lab import open_context

ROOT = Path(__file__).parents[2]
IMAGE = "labctl-test-virtualbox"
DOCKERFILE = """\
FROM debian:trixie-slim
# A mirror may lag behind; what it has is signed all the same.
RUN echo 'deb [check-valid-until=no] http://deb.debian.org/debian sid main contrib' > /etc/apt/sources.list.d/sid.list
# Stands for the kernel modules, which apt would otherwise try to build.
RUN mkdir -p /none/DEBIAN && printf '%s\\n' 'Package: no-virtualbox-modules' 'Version: 1' 'Architecture: all' \\
      'Maintainer: nobody <nobody@localhost>' 'Provides: virtualbox-modules' 'Description: none' \\
      > /none/DEBIAN/control && dpkg-deb --build /none /none.deb
# Debian's Vagrant refuses to be beside a VirtualBox that it does not know.
RUN apt-get update && apt-get download vagrant && dpkg-deb --raw-extract vagrant_*.deb /vagrant \\
 && sed -i '/^Breaks:/d' /vagrant/DEBIAN/control && dpkg-deb --build /vagrant /vagrant.deb \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
      /none.deb /vagrant.deb virtualbox procps iproute2 qemu-utils && rm -rf /var/lib/apt/lists/*
# The programs themselves: the script before them talks about the missing module each time.
ENV PATH=/usr/lib/virtualbox:/usr/sbin:/usr/bin:/sbin:/bin USER=root LOGNAME=root HOME=/root LANG=C.UTF-8
"""
# A box such as others make them, with sound, USB and other figures than the lab's; and a disk for one of ours.
BOX = """
set -e
mkdir -p /work/packed
cd /work
VBoxManage createvm --name box --ostype Debian_64 --register
VBoxManage modifyvm box --memory 512 --cpus 1 --nic1 nat --usb-ohci on --audio-enabled on --audio-driver null
VBoxManage createmedium disk --filename /work/box.vmdk --format VMDK --size 64
VBoxManage storagectl box --name SATA --add sata --portcount 1
VBoxManage storageattach box --storagectl SATA --port 0 --device 0 --type hdd --medium /work/box.vmdk
qemu-img create -f qcow2 disk.qcow2 20G
qemu-io -c 'write -P 7 0 1M' -c 'write -P 9 10G 1M' disk.qcow2
qemu-img convert -f qcow2 -O vmdk -o subformat=streamOptimized disk.qcow2 disk.vmdk # as playbooks/box/disk has it
VBoxManage export box --output packed/box.ovf
VBoxManage unregistervm box --delete
echo '{"provider": "virtualbox"}' > packed/metadata.json
tar czf foreign.box -C packed .
# What the kernel module would make at the first host-only network.
ip link add vboxnet0 type veth
ip address add 192.168.57.1/24 dev vboxnet0
ip link set vboxnet0 up
"""
NODES = {"manager1": (2, 768), "worker1": (1, 1024)}  # CPUs, MiB
LAB = {
    "lab": "shop",
    "provider": "virtualbox",
    "box": {"name": "labctl/node", "url": None, "version": None},
    "network": {"name": "shop", "subnet": "192.168.57.0/24", "netmask": "255.255.255.0", "gateway": "192.168.57.1"},
    "ssh": {"user": "vagrant", "private_key": None, "insert_key": False},
    "nodes": [
        {"name": name, "hostname": name, "machine": f"shop-{name}", "address": f"192.168.57.{11 + i}",
         "cpus": cpus, "memory_mib": memory, "console": f"/work/lab/{name}.log"}
        for i, (name, (cpus, memory)) in enumerate(NODES.items())
    ],
}  # fmt: skip
Json = dict[str, Any]

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(1200)]


def silent(_: str) -> None:
    """Nobody watches the build."""


def run(engine: Engine, name: str, *command: str, home: str = "") -> ExecOutcome:
    """Run a command in the container; it must succeed."""
    done = engine.execute(name, list(command), env={"VAGRANT_HOME": home, "VAGRANT_CHECKPOINT_DISABLE": "1"})
    assert done.code == 0, done.stderr.decode()
    return done


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str]]:
    """A container with VirtualBox and Vagrant, the lab in /work/lab, and boxes in /work/foreign.box and own.box."""
    engine = open_context().engine
    images.ensure_base(engine)
    build(engine, Recipe("VirtualBox", IMAGE, tar_of({"Dockerfile": (DOCKERFILE.encode(), 0o644)}), DOCKERFILE), silent)
    name = f"{IMAGE}-{secrets.token_hex(3)}"
    engine.create(name, {"Image": IMAGE, "Cmd": ["sleep", "infinity"], "HostConfig": {"CapAdd": ["NET_ADMIN"]}})
    try:
        engine.start(name)
        files = {
            "work/lab/Vagrantfile": (ROOT / "Vagrantfile").read_bytes(),
            "work/lab/lab.json": json.dumps(LAB).encode(),
            "work/virtualbox_up.rb": (ROOT / "tests/vm/ruby/virtualbox_up.rb").read_bytes(),
        }
        engine.put(name, "/", tar_of({path: (content, 0o644) for path, content in files.items()}))
        run(engine, name, "sh", "-c", BOX)
        own = tmp_path_factory.mktemp("box")
        (own / "disk.vmdk").write_bytes(run(engine, name, "cat", "/work/disk.vmdk").stdout)
        package("virtualbox", own / "disk.vmdk", own / "own.box")
        engine.put(name, "/work", tar_of({"own.box": ((own / "own.box").read_bytes(), 0o644)}))
        yield engine, name
    finally:
        engine.remove(name)


@pytest.fixture(scope="module", params=["foreign", "own"])
def tried(container: tuple[Engine, str], request: pytest.FixtureRequest) -> Json:
    """What came of `vagrant up` and `vagrant destroy`, with a box of others and with one of labctl's."""
    box = str(request.param)
    done = run(*container, "ruby", "/work/virtualbox_up.rb", "/work/lab", f"/work/{box}.box", home=f"/work/{box}")
    return cast(Json, json.loads(done.stdout.splitlines()[-1]))


def test_it_is_newer_than_vagrant_knows(tried: Json) -> None:
    assert tuple(int(part) for part in tried["version"].split(".")[:2]) >= (7, 1), tried["version"]


@pytest.mark.parametrize("node", NODES)
def test_a_machine_is_as_the_lab_says(tried: Json, node: str) -> None:
    cpus, memory = NODES[node]
    told = tried["machines"][node]["vm"]["told"]

    assert (told["name"], told["cpus"], told["memory"]) == (f"shop-{node}", str(cpus), str(memory))
    assert (told["nic1"], told["nictype1"]) == ("nat", "virtio")
    assert (told["nic2"], told["nictype2"], told["hostonlyadapter2"]) == ("hostonly", "virtio", "vboxnet0")
    assert told["cableconnected2"] == "on"
    assert [told[f"nic{i}"] for i in range(3, 9)] == ["none"] * 6
    assert (told["uart1"], told["uartmode1"]) == ("0x03f8,4", f"file,/work/lab/{node}.log")
    assert (told["audio"], told["usb"]) == ("none", "off")
    assert told["Forwarding(0)"].startswith("ssh,tcp,127.0.0.1,")


@pytest.mark.parametrize("node", NODES)
def test_names_are_the_hosts_and_the_hosts_loopback_is_its_own(tried: Json, node: str) -> None:
    settings = tried["machines"][node]["vm"]["settings"]

    assert 'use-host-resolver="true"' in settings
    assert 'localhost-reachable="true"' not in settings


@pytest.mark.parametrize("node", NODES)
def test_a_disk_is_a_clone_that_holds_only_changes(tried: Json, node: str) -> None:
    told = tried["machines"][node]["vm"]["told"]
    disks = [value for key, value in told.items() if key.endswith("-0-0") and value.startswith("/")]

    assert len(disks) == 1
    assert f"/shop-{node}/Snapshots/" in disks[0]
    assert sum(call[0] == "import" and "-n" not in call for call in tried["calls"]) == 1


@pytest.mark.parametrize("node", NODES)
def test_only_the_kernel_module_is_missing_for_the_start(tried: Json, node: str) -> None:
    failed = tried["machines"][node]["failed"]

    assert failed["error"] == "Vagrant::Errors::VBoxManageError"
    assert '"startvm"' in failed["says"]
    assert "Kernel driver not installed" in failed["because"]


def test_no_setting_is_on_its_way_out(tried: Json) -> None:
    assert tried["warned"] == []


def test_after_destroy_only_the_origin_of_the_clones_is_left(tried: Json) -> None:
    assert [name for name in tried["left"] if name.startswith(("shop-", "temp_"))] == []
