"""Reports without secrets, also from a lab that is half dead; configurations that other tools log in with."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from labctl.lab import Lab, UpOptions
from labctl.state import lab_dir
from labctl.swarm import cluster
from tests.guard import no_hang
from tests.integration.verbs import labctl

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and two workers."""
    return make_lab(workers=2, registry=False, options=UpOptions(verify=False))


def report(lab: Lab, folder: Path) -> dict[str, str]:
    """Make a report and return what is in it."""
    said = labctl("export", "logs", "-o", str(folder / "report.tar.gz"), lab=lab.name, limit=300)
    assert said.code == 0, said.err
    assert said.out == f"{folder / 'report.tar.gz'}\n"
    with tarfile.open(folder / "report.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    top = folder / "report"
    return {str(file.relative_to(top)): file.read_text() for file in top.rglob("*") if file.is_file()}


def test_a_report_has_all_and_no_secret(lab: Lab, tmp_path: Path) -> None:
    manager = lab.manager()
    password = secrets.token_urlsafe(12)
    flag = secrets.token_hex(12)
    said = secrets.token_hex(10)
    manager.expect(
        f"docker service create -d --name db -e POSTGRES_PASSWORD={password} -e MODE=fast --label zone=a"
        f" nowhere/db:1 --api-token {flag}"
    )
    # dockerd's own log is part of it: this one ends up there by way of the machine's.
    lab.node("w1").expect(
        f"echo 'level=info msg=connect url=http://me:{said}@registry/ PASSWORD={password}' > /proc/1/fd/1"
    )
    tokens = cluster.tokens(manager)

    found = report(lab, tmp_path)

    for path in (
        "versions.json",
        "doctor.json",
        "last-bug.txt",
        "host/engine-info.json",
        "lab/status.json",
        "lab/spec.json",
        "swarm/nodes.json",
        "swarm/services.json",
        "swarm/tasks.json",
        "nodes/worker1/docker-info.json",
        "nodes/worker1/container.json",
        "nodes/worker1/machine.log",
        "nodes/worker1/nft.txt",
        "nodes/worker1/iptables.txt",
        "nodes/worker1/ip-addr.txt",
        "nodes/worker1/ip-route.txt",
        "nodes/worker1/mesh.json",
    ):
        assert found.get(path), path
    assert "msg=connect" in found["nodes/worker1/machine.log"]
    assert "MODE=***" in found["swarm/services.json"], "who knows what MODE says"
    assert "zone" in found["swarm/services.json"] and "nowhere/db:1" in found["swarm/services.json"]
    assert "nowhere/db:1" in found["swarm/tasks.json"], "errors name images"
    assert "172." in found["nodes/worker1/networkdb.txt"] and "== " in found["nodes/worker1/networkdb.txt"]
    assert (
        "dockerd" in found["nodes/worker1/processes.txt"] and "--containerd" not in found["nodes/worker1/processes.txt"]
    )
    assert all(
        json.loads(text) is not None for path, text in found.items() if path.endswith(".json") and "daemon" not in path
    )
    whole = "\n".join(found.values())
    keys = [
        file.read_text() for file in lab_dir(lab.name).iterdir() if file.is_file() and "PRIVATE KEY" in file.read_text()
    ]
    assert len(keys) >= 4
    for secret in (tokens.worker, tokens.manager, password, flag, said, *(key.splitlines()[1] for key in keys)):
        assert secret not in whole
    assert "SWMTKN-1" not in whole
    assert "PRIVATE KEY-----" not in whole


def test_a_lab_that_is_half_dead_is_reported_within_its_limit(lab: Lab, tmp_path: Path) -> None:
    lab.stop([lab.node("w1")])
    lab.node("w2").expect("pkill -STOP -x dockerd")
    try:
        with no_hang(limit=300):  # four looks at most, one after the other, each with a limit of its own
            found = report(lab, tmp_path)
    finally:
        lab.node("w2").expect("pkill -CONT -x dockerd")
        lab.start([lab.node("w1")])

    problems = {entry["path"]: entry["problem"] for entry in json.loads(found["index.json"]) if entry["problem"]}
    assert problems["nodes/worker1/docker-info.json"] == "node worker1 is exited"
    assert "nodes/worker2/docker-info.json" in problems
    assert "nodes/worker1/machine.log" in found, "what a machine said is there when it is down"
    assert "nodes/worker2/ip-addr.txt" in found
    assert "swarm/nodes.json" in found
    assert "worker1 is exited" in found["lab/status.json"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
@pytest.mark.parametrize("way", ["--direct", "--through-docker"])
def test_ssh_logs_in_with_the_configuration(lab: Lab, tmp_path: Path, way: str) -> None:
    if way == "--through-docker" and shutil.which("docker") is None:
        pytest.skip("no Docker CLI here")
    file = tmp_path / "lab.ssh"
    file.write_text(labctl("export", "ssh-config", way, lab=lab.name).out)

    for name in ("worker1", f"{lab.name}-worker1"):
        said = subprocess.run(
            ["ssh", "-F", file, name, "hostname"], capture_output=True, text=True, timeout=60, check=True
        )
        assert said.stdout == "worker1\n"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
def test_what_the_inventory_says_is_how_to_log_in(lab: Lab) -> None:
    found = yaml.safe_load(labctl("export", "inventory", lab=lab.name).out)["all"]

    assert sorted(found["children"]["workers"]["hosts"]) == ["worker1", "worker2"]
    manager = found["children"]["managers"]["hosts"]["manager1"]
    arguments = shlex.split(manager["ansible_ssh_common_args"])
    host, user, key = manager["ansible_host"], manager["ansible_user"], manager["ansible_ssh_private_key_file"]
    said = subprocess.run(
        ["ssh", *arguments, "-o", "BatchMode=yes", "-i", key, f"{user}@{host}", "hostname"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout == "manager1\n"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
@pytest.mark.parametrize("way", ["exec", "ssh"])
def test_ansible_reaches_every_node_by_the_inventory(lab: Lab, tmp_path: Path, way: str) -> None:
    ansible = Path(sys.executable).with_name("ansible")
    if not ansible.exists():
        pytest.skip("no Ansible here")
    (tmp_path / "lab.yaml").write_text(labctl("export", "inventory", "--transport", way, lab=lab.name).out)

    said = subprocess.run(
        [ansible, "-i", tmp_path / "lab.yaml", "all", "-m", "command", "-a", "hostname"],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(tmp_path)},
    )
    assert {"manager1", "worker1", "worker2"} <= set(said.stdout.split())


def test_the_inventory_by_docker_names_containers(lab: Lab) -> None:
    found = yaml.safe_load(labctl("export", "inventory", "--connection", "docker", lab=lab.name).out)["all"]

    assert found["children"]["managers"]["hosts"]["manager1"]["ansible_host"] == lab.node("m1").machine
