"""Configurations that ssh and Ansible read."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from labctl.backend.dind.ssh import ssh_to
from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.backend.vagrant.login import login
from labctl.errors import LabError, UsageError
from labctl.export import inventory, ssh_config
from labctl.node import Node
from labctl.pki import ssh_keys
from labctl.state import lab_dir

from ..nodes import fake_node

NODES = [fake_node("manager1", address="10.0.0.11"), fake_node("worker1", address="10.0.0.12")]


@pytest.fixture
def keys(state: Path) -> Path:
    """A lab's keys on disk."""
    ssh_keys("demo")
    return lab_dir("demo")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
def test_ssh_understands_the_configuration(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "lab.ssh"
    file.write_text(ssh_config("demo", NODES))

    for name in ("worker1", "demo-worker1"):
        said = subprocess.run(["ssh", "-G", "-F", file, name], capture_output=True, text=True, check=True).stdout
        options = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
        assert options["hostname"] == "10.0.0.12"
        assert options["user"] == "root"
        assert options["identityfile"] == str(keys / "id_ed25519")
        assert options["stricthostkeychecking"] in ("yes", "true")


def test_the_nodes_key_is_known_ahead(keys: Path) -> None:
    ssh_config("demo", NODES)

    alias, kind, key = (keys / "known_hosts").read_text().split()
    assert (alias, kind) == ("labctl-demo", "ssh-ed25519")
    assert key in (keys / "ssh_host_ed25519_key.pub").read_text()


def test_nodes_that_cannot_be_reached_are_reached_through_docker(keys: Path) -> None:
    assert "ProxyCommand docker exec -i " in ssh_config("demo", NODES, through_docker=True)
    assert "ProxyCommand" not in ssh_config("demo", NODES)


@pytest.mark.usefixtures("keys")
def test_the_inventory_has_both_groups() -> None:
    found = yaml.safe_load(inventory("demo", NODES))

    groups = found["all"]["children"]
    assert list(groups["managers"]["hosts"]) == ["manager1"]
    assert groups["workers"]["hosts"]["worker1"]["ansible_host"] == "10.0.0.12"
    assert found["all"]["vars"]["ansible_connection"] == "ssh"


def test_by_docker_no_key_is_needed(state: Path) -> None:
    found = yaml.safe_load(inventory("demo", NODES[:1], connection="docker"))

    assert found["all"]["vars"]["ansible_connection"] == "community.docker.docker"
    assert found["all"]["children"]["workers"]["hosts"] == {}


@pytest.fixture
def machine(state: Path) -> Node:
    """A node that is a virtual machine, reached as the backend reaches it."""
    ssh_keys("vms")
    lab = VmLab("vms", provider="libvirt", subnet="10.9.0.0/24", spec={}, box=None)
    place = Machine("worker1", "worker1", "vms-worker1", "worker", "10.9.0.12", 512, 1, "")
    (lab_dir("vms") / "vm").mkdir()
    return replace(fake_node("worker1", address=place.address), transport=login(lab, place))


def test_a_machine_is_logged_in_to_as_labctl_does(machine: Node, state: Path) -> None:
    folder = lab_dir("vms")

    text = ssh_config("vms", [machine], through_docker=True)

    for line in (
        "HostName 10.9.0.12",
        "User vagrant",
        f'IdentityFile "{folder / "id_ed25519"}"',
        f'UserKnownHostsFile "{folder / "vm" / "known_hosts"}"',
    ):
        assert f"  {line}\n" in text
    assert "HostKeyAlias" not in text, "each machine has a key of its own, under its address"
    assert "ProxyCommand" not in text, "it is no container"
    assert not (folder / "known_hosts").exists()


def test_ansible_becomes_root_on_a_machine(machine: Node, state: Path) -> None:
    host = yaml.safe_load(inventory("vms", [machine]))["all"]["children"]["workers"]["hosts"]["worker1"]

    assert (host["ansible_user"], host["ansible_become"], host["ansible_port"]) == ("vagrant", True, 22)
    assert f"UserKnownHostsFile={lab_dir('vms') / 'vm' / 'known_hosts'}" in host["ansible_ssh_common_args"]
    assert "HostKeyAlias" not in host["ansible_ssh_common_args"]
    with pytest.raises(UsageError, match="worker1 is a virtual machine") as caught:
        inventory("vms", [machine], connection="docker")
    assert caught.value.hint == "labctl export inventory -l vms --connection ssh"


def test_a_container_that_is_reached_by_ssh_is_the_same_as_one_that_is_not(keys: Path) -> None:
    by_ssh = [replace(node, transport=ssh_to("demo", node.name, node.address)) for node in NODES]

    assert ssh_config("demo", by_ssh) == ssh_config("demo", NODES)
    assert inventory("demo", by_ssh) == inventory("demo", NODES)
    assert "ProxyCommand" in ssh_config("demo", by_ssh, through_docker=True)


@pytest.mark.usefixtures("state")
def test_a_lab_of_somebody_else_has_no_keys_here() -> None:
    with pytest.raises(LabError, match="SSH keys of lab demo") as caught:
        ssh_config("demo", NODES)

    assert "LABCTL_STATE" in (caught.value.hint or "")
