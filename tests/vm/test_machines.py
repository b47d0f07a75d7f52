"""A lab of virtual machines, for real: one boot of two machines that all these tests share, and its end."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.backend.vagrant.labfile import VmLab
from labctl.engine import host_endpoint
from labctl.lab import Lab, find_lab, open_context
from labctl.lab.boxes import prune_boxes
from labctl.node import Node
from labctl.spec import labels
from labctl.state import machines_path
from labctl.transport import Transport
from tests.contract.transport_contract import TransportContract
from tests.vm.typed import UP_LIMIT, brought_up, run, virsh

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
]
Labctl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def name() -> str:
    return f"vm{secrets.token_hex(2)}"


@pytest.fixture(scope="module")
def lab(name: str) -> Iterator[Lab]:
    """Two machines in one swarm, made by the command that a user types; gone at the end, with all they left."""
    with brought_up(name, "--nodes", "2"):
        yield find_lab(open_context(), name)


@pytest.fixture(scope="module")
def labctl(lab: Lab) -> Labctl:
    """Type a command at the lab."""

    def call(*words: str, limit: float = 300) -> subprocess.CompletedProcess[str]:
        verbs = 2 if words[0] == "snapshot" else 1
        return run(*words[:verbs], "-l", lab.name, *words[verbs:], limit=limit)

    return call


def test_the_swarm_is_formed_on_the_labs_own_network(lab: Lab) -> None:
    nodes = lab.swarm().nodes()

    assert {node.hostname for node in nodes} == {"manager1", "worker1"}
    assert all(node.state == "ready" for node in nodes)
    said = lab.manager().engine.info()["Swarm"]
    assert said["NodeAddr"] == lab.node("manager1").address
    assert lab.record.subnet is not None and said["NodeAddr"].startswith(lab.record.subnet.rpartition(".")[0])


def test_the_kernels_own_mesh_serves(labctl: Labctl, lab: Lab) -> None:
    status = json.loads(labctl("status", "-o", "json").stdout)

    assert status["good"]
    assert status["backend"] == "vagrant"
    assert status["mesh"] == "the kernel's own (ip_vs)"
    assert lab.manager().run("pgrep -f '[p]ython3 -m mesh'").code == 1
    assert lab.manager().expect("test -e /proc/net/ip_vs").ok


def test_it_is_an_ordinary_host(lab: Lab) -> None:
    """systemd, cgroup v2, an engine under its unit: what most people have."""
    for node in lab.nodes:
        assert node.expect("ps -p 1 -o comm=").stdout.strip() == "systemd"
        assert node.expect("stat -f -c %T /sys/fs/cgroup").stdout.strip() == "cgroup2fs"
        assert node.expect("systemctl is-active docker").stdout.strip() == "active"
        assert node.expect("hostname").stdout.strip() == node.name


def test_nodes_know_each_other_and_the_registry_by_name(lab: Lab) -> None:
    node = lab.node("worker1")

    for name in ("manager1", "manager", "registry", "hub"):
        node.expect(f"getent hosts {name}")
    assert node.expect("curl -fsS http://registry:5000/v2/").ok


def test_a_stand_in_is_pulled_under_its_hub_name(lab: Lab) -> None:
    assert "alpine" in lab.node("worker1").expect("docker pull alpine:latest", limit=180).stdout


def test_a_published_port_answers_on_every_machine_and_here(labctl: Labctl, lab: Lab) -> None:
    lab.manager().expect(
        "docker service create --quiet --name web --replicas 2 --publish 8088:8080 labctl/probe:1", limit=180
    )
    heard = set()
    for node in lab.nodes:
        for _ in range(4):
            with urllib.request.urlopen(f"http://{node.address}:8088/", timeout=20) as answer:
                heard.add(answer.read())
    assert len(heard) == 2

    url = labctl("port", "add", "8088").stdout.strip() or run("port", "add", "8088", "-l", lab.name).stdout.strip()
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.status == 200
    lab.manager().expect("docker service rm web")


def test_files_come_and_go(labctl: Labctl, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("hello")

    assert labctl("scp", str(tmp_path / "there"), "worker1:/tmp/there").returncode == 0
    assert labctl("scp", "worker1:/tmp/there", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_text() == "hello"
    assert labctl("ssh", "worker1", "cat /tmp/there").stdout == "hello"


def test_what_is_copied_home_is_where_ssh_begins(labctl: Labctl, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine\n")

    copied = labctl("scp", str(tmp_path / "note.txt"), "worker1:~")

    assert copied.returncode == 0, copied.stderr
    assert labctl("ssh", "worker1", "cat note.txt; stat -c %U . note.txt; rm note.txt").stdout.split() == [
        "mine",
        "docker",
        "docker",
    ]


def test_machines_let_each_other_in_without_a_question(labctl: Labctl) -> None:
    for name in ("worker1", "w1"):
        done = labctl("ssh", "manager1", f"ssh {name} 'hostname; id -un'")
        assert done.stdout.split() == ["worker1", "docker"], done.stderr
    assert labctl("ssh", "root@worker1", "ssh m1 id -un").stdout == "root\n"
    assert labctl("ssh", "worker1", "docker compose version --short").stdout.startswith("2.")


def test_all_nodes_are_asked_at_once(labctl: Labctl) -> None:
    done = labctl("exec", "@all", "--", "hostname")

    assert done.returncode == 0
    assert "manager1" in done.stdout and "worker1" in done.stdout


def test_the_engines_are_reached_under_tls(labctl: Labctl, lab: Lab) -> None:
    env = labctl("env", "worker1").stdout

    assert f"tcp://{lab.node('worker1').address}:2376" in env
    done = subprocess.run(
        ["bash", "-c", f"{env}\ndocker info --format '{{{{.Name}}}}'"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "worker1"
    plain = subprocess.run(
        ["curl", "-sk", f"https://{lab.node('worker1').address}:2376/version"], capture_output=True, check=False
    )
    assert plain.returncode != 0  # no certificate, no answer


def test_up_again_changes_nothing(labctl: Labctl, lab: Lab) -> None:
    before = virsh("list", "--name"), [node.expect("cat /proc/uptime").stdout for node in lab.nodes]

    done = run("up", "--name", lab.name)

    assert done.returncode == 0, done.stderr
    assert virsh("list", "--name") == before[0]


def test_another_host_key_is_refused_with_both_fingerprints(labctl: Labctl, lab: Lab) -> None:
    known = machines_path(lab.name) / "known_hosts"
    kept = known.read_text()
    worker, manager = lab.node("worker1").address, lab.node("manager1").address
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in kept.splitlines() if line}
    try:
        known.write_text(f"{worker} {lines[manager]}\n{manager} {lines[manager]}\n")
        done = labctl("ssh", "worker1", "true")
    finally:
        known.write_text(kept)

    assert done.returncode != 0
    assert done.stderr.count("SHA256:") == 2
    assert labctl("ssh", "worker1", "true").returncode == 0


def test_a_machine_killed_from_outside_is_told_and_started(labctl: Labctl, lab: Lab) -> None:
    virsh("destroy", f"{lab.name}-worker1")

    down = labctl("status")
    assert down.returncode == 3
    assert f"worker1 is exited: `labctl -l {lab.name} start worker1`" in down.stdout + down.stderr

    started = labctl("start", "worker1", limit=UP_LIMIT)
    assert started.returncode == 0, started.stderr
    assert labctl("status").returncode == 0


@pytest.mark.slow
def test_after_a_start_of_the_host_one_command_brings_the_lab_back(labctl: Labctl, lab: Lab) -> None:
    """Machines, their networks and the containers beside them are down then, and the host has no address in the lab."""
    for node in lab.nodes:
        virsh("destroy", f"{lab.name}-{node.name}")
    networks = [net for net in virsh("net-list", "--name").split() if net.startswith(f"labctl-{lab.name}")]
    assert len(networks) == 2
    for network in networks:
        virsh("net-destroy", network)
    engine = lab.context.engine
    beside = [one for one in engine.containers(labels.of_lab(lab.name)) if one["State"] == "running"]
    assert beside
    for container in beside:
        engine.stop(container["Id"], grace=1)

    started = labctl("start", limit=UP_LIMIT)

    assert started.returncode == 0, started.stderr
    assert labctl("status").returncode == 0
    running = {one["Id"] for one in engine.containers(labels.of_lab(lab.name)) if one["State"] == "running"}
    assert running >= {one["Id"] for one in beside}


@pytest.mark.slow
def test_a_lab_stands_still_and_goes_on_with_its_clocks_right(labctl: Labctl, lab: Lab) -> None:
    boots = [node.expect("cat /proc/sys/kernel/random/boot_id").stdout for node in lab.nodes]

    assert labctl("suspend").returncode == 0
    down = labctl("status")
    assert down.returncode == 3
    assert f"worker1 is paused: `labctl -l {lab.name} resume worker1`" in down.stdout + down.stderr
    time.sleep(20)  # clocks that stand still are behind by so much
    drop_leases(lab)
    resumed = labctl("resume", limit=UP_LIMIT)

    assert resumed.returncode == 0, resumed.stderr
    assert labctl("status").returncode == 0
    assert [node.expect("cat /proc/sys/kernel/random/boot_id").stdout for node in lab.nodes] == boots
    assert [is_on_time(node) for node in lab.nodes] == [True, True]


@pytest.mark.slow
def test_a_lab_is_put_back_to_what_it_was(labctl: Labctl, lab: Lab) -> None:
    manager, worker = lab.node("manager1"), lab.node("worker1")
    worker.expect("echo then > /root/mark")
    saved = labctl("snapshot", "save", "then", limit=UP_LIMIT)
    assert saved.returncode == 0, saved.stderr
    assert [one["name"] for one in json.loads(labctl("snapshot", "ls", "-o", "json").stdout)] == ["then"]
    assert labctl("snapshot", "save", "then").returncode == 2

    worker.expect("echo now > /root/mark")
    manager.expect("docker config create now /etc/hostname")
    assert labctl("snapshot", "restore", "then").returncode == 2, "nobody was asked"
    restored = labctl("snapshot", "restore", "-y", "then", limit=UP_LIMIT)

    assert restored.returncode == 0, restored.stderr
    assert labctl("status").returncode == 0
    again = lab.refresh()
    assert again.node("worker1").expect("cat /root/mark").stdout == "then\n"
    assert again.manager().expect("docker config ls -q").stdout == ""
    assert [is_on_time(node) for node in again.nodes] == [True, True]
    assert again.manager().expect("docker service create --quiet --name web labctl/probe:1", limit=180).ok
    again.manager().expect("docker service rm web")
    # The snapshot stays: that `down` removes it with the machines is seen at the end.


def is_on_time(node: Node) -> bool:
    """Whether a machine's clock is this host's, but for the seconds that an emulated one takes to read and set it."""
    before = time.time()
    said = float(node.expect("date +%s.%N").stdout)
    return before - 5 < said < time.time() + 5


def drop_leases(lab: Lab) -> None:
    """Let libvirt forget the addresses that it gave, as it does when a machine stands still for an hour."""
    bridge = next(word for word in virsh("net-info", f"labctl-{lab.name}-nat").split() if word.startswith("virbr"))
    Path(f"/var/lib/libvirt/dnsmasq/{bridge}.status").write_text("[]")


def test_another_provider_or_backend_is_refused(lab: Lab) -> None:
    other = run("up", "--name", lab.name, "--backend", "dind")
    assert other.returncode == 2
    assert "stands already, with the backend vagrant" in other.stderr

    box = run("up", "--name", lab.name, "--provider", "virtualbox")
    assert box.returncode != 0
    assert "virtualbox" in box.stderr


def test_old_boxes_go_and_what_the_machines_are_copies_of_stays(lab: Lab) -> None:
    old = "labctl-000000000000_vagrant_box_image_0_1_box.img"
    virsh("vol-create-as", "default", old, "1M")
    record = VmLab.load(lab.name)
    assert record is not None and record.box is not None

    pruned = prune_boxes(everything=True)

    there = virsh("vol-list", "default")
    assert old in pruned.removed
    assert old not in there
    assert f"{record.box.name}_vagrant_box_image" in there
    assert json.loads(run("status", "-l", lab.name, "-o", "json").stdout)["good"]


def test_the_hosts_engine_is_this_machines() -> None:
    """The registry beside the machines needs one."""
    assert host_endpoint().url


class TestTransport(TransportContract):
    """What a command on a machine may count on: the same as on a container."""

    @pytest.fixture
    def transport(self, lab: Lab) -> Transport:
        return lab.node("worker1").transport
