"""Ansible is told how to reach each machine, and of each machine which files are its own."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from labctl.assets import asset
from labctl.errors import Abandoned, HostError, LabError
from labctl.provision import Target, can_control, inventory_of, provision
from labctl.provision import ansible as module
from tests.guard import LONG, no_hang


def target(name: str, address: str, place: Path) -> Target:
    return Target(name, address, "vagrant", place / "id_ed25519", place / "known_hosts")


def test_the_inventory_says_how_each_machine_is_reached(tmp_path: Path) -> None:
    hosts = json.loads(inventory_of([target("w1", "10.0.0.11", tmp_path)], {"w1": tmp_path / "files"}))["all"]["hosts"]

    assert hosts["w1"]["ansible_host"] == "10.0.0.11"
    assert hosts["w1"]["ansible_user"] == "vagrant"
    assert hosts["w1"]["labctl_files"] == str(tmp_path / "files")
    assert f"UserKnownHostsFile={tmp_path / 'known_hosts'}" in hosts["w1"]["ansible_ssh_common_args"]
    assert "StrictHostKeyChecking=yes" in hosts["w1"]["ansible_ssh_common_args"]


def test_a_machine_without_files_of_its_own_is_only_prepared(tmp_path: Path) -> None:
    hosts = json.loads(inventory_of([target("w1", "10.0.0.11", tmp_path)], {}))["all"]["hosts"]

    assert "labctl_files" not in hosts["w1"]


def test_files_lie_as_they_shall_on_the_machine(tmp_path: Path) -> None:
    folder = module._written(tmp_path / "w1", {"etc/labctl/tls/key.pem": (b"key", 0o600), "etc/hosts": (b"", 0o644)})

    assert (folder / "etc/labctl/tls/key.pem").read_bytes() == b"key"
    assert (folder / "etc/labctl/tls/key.pem").stat().st_mode & 0o777 == 0o600
    assert (folder / "etc/hosts").stat().st_mode & 0o777 == 0o644


def test_the_users_own_ansible_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "none")
    environment = module._environment(tmp_path)

    assert "ANSIBLE_STDOUT_CALLBACK" not in environment
    assert environment["ANSIBLE_CONFIG"] == str(asset("playbooks") / "ansible.cfg")


def test_without_ansible_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_program", lambda: None)

    with pytest.raises(HostError, match="Ansible is not installed here") as raised:
        provision([])
    assert "--inside" in (raised.value.hint or "")
    assert not can_control()


@pytest.mark.skipif(not can_control(), reason="Ansible is not installed")
def test_the_playbook_is_one_that_ansible_reads(tmp_path: Path) -> None:
    command = [str(module._program()), "--syntax-check", "-i", "localhost,", str(asset("playbooks") / "node.yml")]
    done = subprocess.run(command, env=module._environment(tmp_path), capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not can_control(), reason="Ansible is not installed")
def test_a_machine_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    nobody = Target("w1", "127.0.0.1", "vagrant", tmp_path / "key", tmp_path / "known_hosts", port=1)
    told: list[str] = []

    with pytest.raises(LabError, match="w1: `Wait for the machine` failed"):
        provision([nobody], told.append, patience=1)
    assert told[0] == "Wait for the machine"


def test_every_setting_of_a_node_is_named() -> None:
    top = asset("playbooks")
    named = YAML(typ="safe").load((top / "vars/packages.yml").read_text())["labctl_settings"]
    folder = top / "files/node"

    assert sorted(named) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_the_playbook_goes_into_a_machine() -> None:
    with tarfile.open(fileobj=io.BytesIO(module._archive({"etc/hosts": (b"", 0o644)}))) as archive:
        names = archive.getnames()

    assert {"playbooks/node.yml", "playbooks/tasks/system.yml", "files/etc/hosts"} <= set(names)
    assert not [name for name in names if name.startswith("playbooks/box/")]


@pytest.mark.skipif(not can_control(), reason="Ansible is not installed")
def test_a_run_that_nobody_wants_any_more_ends_at_once(tmp_path: Path) -> None:
    nobody = Target("w1", "127.0.0.1", "vagrant", tmp_path / "key", tmp_path / "known_hosts", port=1)
    stop = threading.Event()

    with no_hang(), pytest.raises(Abandoned):
        provision([nobody], lambda _: stop.set(), patience=int(LONG), stop=stop)
