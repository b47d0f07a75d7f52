"""A box that labctl did not make: its machine boots by its own disk, and `up` provisions it with its own engine."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator

import pytest

from labctl.images.box import box_digest
from labctl.lab import Lab, find_lab, open_context
from labctl.state import machines_path
from tests.vm.stock import stock_box
from tests.vm.typed import brought_up, run, virsh

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
]
UP_LIMIT = 1800  # seconds; an emulated machine fetches and unpacks an engine
PATIENCE = "3"  # a stock Debian, with all its services, on one emulated processor
TASKS = ("Install the engine and its tools", "Give the node its settings", "Start the engine and sshd with the machine")


class Told:
    """What `up` told, for the tests that look at it."""

    text = ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One machine of a stock box, made by the command that a user types; gone at the end, with all it left."""
    name = f"st{secrets.token_hex(2)}"
    with (
        pytest.MonkeyPatch.context() as patch,
        stock_box(open_context().engine, tmp_path_factory.mktemp("stock")) as box,
    ):
        patch.setenv("LABCTL_PATIENCE", PATIENCE)
        with brought_up(name, "--nodes", "1", "--box", box, limit=UP_LIMIT) as said:
            Told.text = said
            yield find_lab(open_context(), name)


def test_it_is_a_node_of_a_swarm(lab: Lab) -> None:
    status = json.loads(run("status", "-l", lab.name, "-o", "json").stdout)

    assert status["good"]
    assert status["mesh"] == "the kernel's own (ip_vs)"
    assert [node.state for node in lab.swarm().nodes()] == ["ready"]


def test_it_booted_by_its_own_disk(lab: Lab) -> None:
    said = json.loads((machines_path(lab.name) / "lab.json").read_text())

    assert (said["box"]["prepared"], said["libvirt"]["kernel"]) == (False, None)
    assert "<kernel>" not in virsh("dumpxml", f"{lab.name}-manager1")
    assert "VERSION_CODENAME=bookworm" in lab.manager().expect("cat /etc/os-release").stdout


def test_each_task_was_told(lab: Lab) -> None:
    for task in TASKS:
        assert f"manager1: {task}" in Told.text


def test_its_engine_is_its_releases_and_was_told_no_more_than_it_knows(lab: Lab) -> None:
    assert lab.manager().engine.version()["Version"].startswith("20.10.")
    config = json.loads(lab.manager().get("/etc/docker/daemon.json"))
    assert "default-network-opts" not in config
    assert config["tlsverify"]
    assert "does not know default-network-opts, which is left out" in Told.text


def test_it_is_marked_and_what_a_node_needs_is_there(lab: Lab) -> None:
    node = lab.manager()

    assert json.loads(node.get("/etc/labctl/box.json"))["digest"] == box_digest()
    assert node.expect("systemctl is-active docker").stdout.strip() == "active"
    assert node.expect("systemctl is-enabled docker ssh").stdout.split() == ["enabled"] * 2
    assert node.expect("hostname").stdout.strip() == "manager1"
    node.expect("lsmod | grep -q ^ip_vs && sudo -u vagrant docker info >/dev/null && sudo -u docker sudo -n true")
    assert run("ssh", "-l", lab.name, "manager1", "whoami").stdout.strip() == "docker"


def test_the_registry_and_the_mirror_serve_it(lab: Lab) -> None:
    assert "alpine" in lab.manager().expect("docker pull alpine:latest", limit=180).stdout


def test_provisioning_it_again_over_ssh_changes_nothing(lab: Lab) -> None:
    done = run("provision", "-l", lab.name, "-o", "json", limit=900)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["manager1"]["changed"] == 0
    assert json.loads(done.stdout)["manager1"]["ok"] >= 10


def test_provisioning_it_inside_changes_nothing_either(lab: Lab) -> None:
    """The way of hosts where Ansible does not control: it is installed in the machine, and runs there."""
    done = run("provision", "-l", lab.name, "--inside", "-o", "json", limit=1200)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["manager1"]["changed"] == 0
    lab.manager().expect("command -v ansible-playbook && ! test -e /var/lib/labctl/provision")


def test_up_again_keeps_the_box_and_another_is_refused(lab: Lab) -> None:
    again = run("up", "--name", lab.name)
    assert again.returncode == 0, again.stderr

    other = run("up", "--name", lab.name, "--box", "debian/trixie64")
    assert other.returncode == 2
    assert "are copies of the box labctl-test/bookworm, not of debian/trixie64" in other.stderr


def test_it_is_a_node_again_after_a_restart(lab: Lab) -> None:
    done = run("restart", "-l", lab.name, "manager1", limit=UP_LIMIT)

    assert done.returncode == 0, done.stderr
    assert run("status", "-l", lab.name).returncode == 0
