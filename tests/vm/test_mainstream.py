"""The machine that most users have: systemd, cgroup v2, the kernel's own ip_vs, an ordinary engine. labctl runs on it.

The machine is emulated, and gets labctl as a room without network gets it: as files, and a bundle of the images.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl import bundle
from labctl.images.box import Box, ensure_box
from labctl.lab import open_context
from tests.vm.qemu import Machine, booted, direct_boot

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None, reason="needs QEMU: apt-get install qemu-system-x86"
    ),
]
ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.13"  # Debian 13's, which the box is
MEMORY_MIB = 6144
BUNDLE_LIMIT, UP_LIMIT = 1200.0, 900.0  # seconds, on two emulated processors
UNPACK = "mkdir -p /opt/labctl && tar -x -C /opt/labctl"
LABCTL = "LABCTL_PATIENCE=4 PYTHONPATH=/opt/labctl python3 -m labctl --progress plain"

Labctl = Callable[..., str]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """labctl's wheel with all it needs, unpacked for the machine's Python."""
    folder = tmp_path_factory.mktemp("program")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True, timeout=300)
    wheel = next(folder.glob("swarm_labctl-*.whl"))
    found = [*pip, "install", "--target", folder / "site", "--only-binary", ":all:", "--python-version", PYTHON, wheel]
    subprocess.run(found, check=True, timeout=600)
    return folder / "site"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """An ordinary host: its engine has the configuration that Debian gives it, which is none."""
    box: Box = ensure_box(open_context().engine, "libvirt", note=print)
    folder = tmp_path_factory.mktemp("mainstream")
    key = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    words = direct_boot(box, key.with_suffix(".pub").read_text())
    with booted(box.disk, folder, *words, key=key, memory=MEMORY_MIB, processors=2) as found:
        found.wait_for_banner()
        found.run("echo '{}' > /etc/docker/daemon.json && systemctl start docker")
        yield found


@pytest.fixture(scope="module")
def labctl(machine: Machine, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Labctl:
    """Type a labctl command on the machine; the images are there."""
    with subprocess.Popen(["tar", "-c", "-C", program, "."], stdout=subprocess.PIPE) as packed:
        assert packed.stdout is not None
        machine.run(UNPACK, limit=300, stdin=packed.stdout)

    def typed(words: str, limit: float = 300.0) -> str:
        return machine.run(f"{LABCTL} {words}", limit)

    images = tmp_path_factory.mktemp("images") / "bundle.tar"
    bundle.save(images, open_context().engine)
    with images.open("rb") as file:
        machine.run("cat > /root/bundle.tar", limit=600, stdin=file)
    typed("bundle load /root/bundle.tar", BUNDLE_LIMIT)
    return typed


@pytest.fixture(scope="module")
def lab(labctl: Labctl) -> Iterator[Labctl]:
    """A lab of containers on the machine, by the command that a user types; nothing is left of it at the end."""
    labctl("up --nodes 3", UP_LIMIT)
    yield labctl
    labctl("down")


def test_the_machine_is_what_most_users_have(machine: Machine) -> None:
    assert machine.run("ps -p 1 -o comm=").strip() == "systemd"
    assert machine.run("docker info --format '{{.CgroupVersion}} {{.CgroupDriver}}'").split() == ["2", "systemd"]


def test_doctor_finds_it_fit_and_nothing_made_up_for(labctl: Labctl) -> None:
    report = json.loads(labctl("doctor --nodes 3 -o json"))
    verdicts = {row["id"]: row["verdict"] for row in report["rows"]}

    assert verdicts["ipvs"] == "good"
    assert "mend" not in verdicts.values(), report


def test_the_kernels_own_mesh_serves_and_no_agent_runs(lab: Labctl) -> None:
    status = json.loads(lab("status -o json"))

    assert status["good"], status["problems"]
    assert status["mesh"] == "the kernel's own (ip_vs)"
    assert lab("exec @all -- sh -c 'pgrep -f \"[p]ython3 .*mesh\" || echo none'").count("none") == 3


def test_nodes_have_cgroup_v2_and_their_own_limits(lab: Labctl) -> None:
    assert lab("ssh worker1 stat -f -c %T /sys/fs/cgroup").strip() == "cgroup2fs"
    limit = "docker run --rm --memory 64m alpine cat /sys/fs/cgroup/memory.max"
    assert lab(f"ssh worker1 {limit}").strip().splitlines()[-1] == str(64 << 20)


def test_a_node_cannot_read_the_machines_disk(machine: Machine, lab: Labctl) -> None:
    disk, number = machine.run("lsblk -dnpo NAME,MAJ:MIN --exclude 7,11 | head -n 1").split()
    assert machine.run(f"head -c 512 {disk} | wc -c").strip() == "512"  # root of the machine can
    read = f"mknod /tmp/disk b {number.replace(':', ' ')}; head -c 512 /tmp/disk | wc -c; rm /tmp/disk"

    said = lab(f"exec -o json worker1 -- '{read}'")
    inside = lab(f"exec -o json worker1 -- 'docker run --rm --privileged alpine sh -c \"{read}\"'")

    for answer in (json.loads(said)[0], json.loads(inside)[0]):
        assert "Operation not permitted" in answer["stderr"]
        assert answer["stdout"].strip() == "0"


def test_a_node_cannot_write_the_kernels_settings(machine: Machine, lab: Labctl) -> None:
    before = machine.run("cat /proc/sys/kernel/core_pattern")
    lab("exec worker1 -- 'echo of-the-node > /proc/sys/kernel/core_pattern; true'")
    assert machine.run("cat /proc/sys/kernel/core_pattern") == before
    assert lab("ssh worker1 findmnt -n -o OPTIONS /sys").startswith("ro,")
    assert "vlan" not in machine.run("docker logs lab-worker1 2>&1")  # "failed to enable default vlan on bridge"


def test_a_published_port_answers_on_every_node_and_on_this_host(machine: Machine, lab: Labctl) -> None:
    lab("docker -- service create --quiet --name web --replicas 2 --publish 8088:8080 labctl/probe:1", 600)
    for node in ("manager1", "worker1", "worker2"):
        assert machine.run(f"curl -fsS -m 20 http://$({LABCTL} ip {node}):8088/")
    url = lab("port add 8088").strip()
    assert url.startswith("http://127.0.0.1:")
    assert machine.run(f"curl -fsS -m 20 {url}")
    lab("docker -- service rm web")


def test_a_node_that_is_stopped_and_started_serves_again(lab: Labctl) -> None:
    lab("stop worker2")
    lab("start worker2", UP_LIMIT)

    assert json.loads(lab("status -o json"))["good"]


def test_the_voting_app_passes(lab: Labctl) -> None:
    assert lab("exercise voting-app --auto -o json", 1800)


def test_up_again_changes_nothing(machine: Machine, lab: Labctl) -> None:
    before = machine.run("docker ps -q | sort")

    lab("up --nodes 3", UP_LIMIT)

    assert machine.run("docker ps -q | sort") == before
