"""The doctor on real machines: this one, an engine of the test's own on it, and a bare Debian without any."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import labctl
from labctl import host
from labctl.engine import Engine, ExecOutcome, host_endpoint
from labctl.engine.client import tar_of
from labctl.errors import HostError, LabctlError
from labctl.events import Event, Noted
from labctl.host.daemon import Launch, start_by_hand
from labctl.host.machine_facts import is_root, which
from tests.guard import HANGING, no_hang

pytestmark = pytest.mark.lab
needs_dockerd = pytest.mark.skipif(
    not is_root() or which("dockerd") is None, reason="starts an engine of its own: needs root and dockerd"
)

# -- this machine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """This machine's engine."""
    its = Engine(host_endpoint())
    yield its
    its.close()


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labctl", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)


def test_this_machine_can_run_a_lab(engine: Engine) -> None:
    with no_hang(limit=60):  # two seconds of it for a Docker Hub that does not answer
        report = host.examine(4, engine=engine)
    assert report.good, report.to_mend
    assert engine.version()["Version"] in report.row("engine").found


def test_the_command_agrees() -> None:
    result = doctor("--output", "json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["good"] is True


def test_preflight_is_silent(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    host.preflight(4, engine=engine)
    assert capfd.readouterr() == ("", "")


def test_preflight_refuses_a_thousand_nodes(engine: Engine) -> None:
    with pytest.raises(HostError, match="1000 nodes would") as caught:
        host.preflight(1000, engine=engine)
    assert "labctl doctor --nodes 1000" in str(caught.value.hint)
    assert doctor("--nodes", "1000").returncode == 3


def test_a_subnet_that_is_offered_collides_with_nothing(engine: Engine) -> None:
    subnet = host.free_subnet(engine)
    assert host.overlaps(subnet, engine) is None
    assert host.free_subnet(engine) == subnet, "the same machine, the same answer"
    assert host.free_subnet(engine, taken=[subnet]) != subnet
    bridge = engine.network("bridge")
    assert bridge is not None
    taken = bridge["IPAM"]["Config"][0]["Subnet"]
    assert host.overlaps(taken, engine) == "network bridge of this engine"
    with pytest.raises(LabctlError, match="network bridge of this engine"):
        host.refuse_overlap(taken, engine)


def test_an_engine_elsewhere_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far.example:2376")
    row = host.examine(4).row("engine")
    assert (row.verdict, row.fixable) == (host.Verdict.MEND, False)
    assert "another machine" in row.found


@pytest.mark.skipif(not is_root(), reason="others than root are told to become root")
def test_what_is_declined_is_left_as_it_is(engine: Engine) -> None:
    bad = host.Row("neighbours", "neighbour table", host.Verdict.MEND, "too few", "sysctl", fixable=True)
    asked: list[str] = []
    told: list[Event] = []
    before = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text()

    def decline(question: str) -> bool:
        asked.append(question)
        return False

    host.mend(host.Report([bad]), confirm=decline, emit=told.append, nodes=4, engine=engine)
    assert asked == ["Raise kernel limits for 4 nodes, until the next boot (sysctl)?"]
    assert told == [Noted("left as it is: raise kernel limits")]
    assert Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text() == before


# -- an engine of the test's own


@pytest.fixture
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """An engine that touches nothing of the machine's own; whatever runs of it at the end is ended."""
    folder = tmp_path_factory.mktemp("engine")
    program = folder / "dockerd"
    # In a network namespace of its own: with --bridge=none an engine removes docker0, whosever it is.
    program.write_text(f'#!/bin/sh\nexec unshare --net {which("dockerd")} "$@"\n')
    program.chmod(0o755)
    made = Launch(
        program=str(program),
        socket=folder / "docker.sock",
        pidfile=folder / "docker.pid",
        exec_root=folder / "exec",
        log=folder / "log" / "dockerd.log",
        arguments=(
            f"--host=unix://{folder}/docker.sock",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            "--bridge=none",
            "--iptables=false",
        ),
    )
    yield made
    with contextlib.suppress(OSError, ValueError):
        end(int(made.pidfile.read_text()), signal.SIGTERM)
    subprocess.run(["umount", "-q", str(folder / "data")], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def end(pid: int, how: signal.Signals) -> None:
    """Send a signal to a child and wait until it is gone."""
    os.kill(pid, how)
    deadline = time.monotonic() + HANGING
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def heard(_: str) -> None:
    return


@needs_dockerd
def test_an_engine_is_started_and_started_again_when_it_died(launch: Launch) -> None:
    told: list[Event] = []
    first = start_by_hand(launch, told.append, note=heard)
    assert launch.answers()
    assert os.getsid(first) == first, "a session of its own: no terminal takes it along"
    assert int(launch.pidfile.read_text()) == first
    with pytest.raises(HostError, match="runs already"):
        start_by_hand(launch, told.append, note=heard)
    end(first, signal.SIGKILL)
    assert launch.pidfile.exists(), "a stale pid file"
    wait_for_containerd_to_follow(launch)
    second = start_by_hand(launch, told.append, note=heard)
    assert second != first
    assert launch.answers()
    assert any(isinstance(event, Noted) and f"process {first}" in event.text for event in told)


@needs_dockerd
def test_a_pid_file_of_another_process_does_not_keep_the_engine_from_starting(launch: Launch) -> None:
    containerd = launch.exec_root / "containerd" / "containerd.pid"
    containerd.parent.mkdir(parents=True)
    for file in (launch.pidfile, containerd):
        file.write_text(str(os.getpid()))
    start_by_hand(launch, lambda _: None, note=heard)
    assert launch.answers()


def wait_for_containerd_to_follow(launch: Launch) -> None:
    """The kernel ends an engine's containerd with it, a moment later."""
    deadline = time.monotonic() + HANGING
    file = launch.exec_root / "containerd" / "containerd.pid"
    while (pid := file.read_text().strip() if file.exists() else "") and Path(f"/proc/{pid}/root").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- a bare Debian

# A machine without an engine, and a package repository in a folder of its own: so the test needs no network.
BARE = """\
FROM debian:trixie-slim
RUN apt-get update \\
 && apt-get install -y --no-install-recommends python3 python3-click python3-docker python3-psutil \\
      python3-platformdirs python3-rich python3-filelock apt-utils procps \\
 && mkdir -p /repository/partial && cd /repository \\
 && apt-get install -y --no-install-recommends --download-only -o Dir::Cache::archives=/repository \\
      docker.io docker-cli iptables ca-certificates debootstrap \\
 && apt-ftparchive packages . > Packages \\
 && rm -rf /etc/apt/sources.list* /var/lib/apt/lists/* \\
 && echo 'deb [trusted=yes] file:/repository ./' > /etc/apt/sources.list
"""
# What a node's own start does, so that an engine can run inside.
AS_A_MACHINE = """\
mount -o remount,rw /sys
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mount -o remount,rw /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
  sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
else
  for one in /sys/fs/cgroup/*; do mount -o remount,rw,bind "$one" 2>/dev/null; done
fi
touch /ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Bare:
    """A Debian in a container, on which nothing manages services."""

    engine: Engine
    name: str

    def run(self, *command: str) -> ExecOutcome:
        """Run a command in it."""
        return self.engine.execute(self.name, list(command), env={"PYTHONPATH": "/labctl", "LC_ALL": "C.UTF-8"})

    def doctor(self, *arguments: str) -> ExecOutcome:
        """Run `labctl doctor` in it."""
        return self.run("timeout", "300", "python3", "-m", "labctl", "doctor", *arguments)

    def rows(self) -> dict[str, dict[str, str]]:
        """What the doctor says, by row."""
        told = json.loads(self.doctor("--output", "json").stdout)
        return {row["id"]: row for row in told["rows"]}


@pytest.fixture(scope="module")
def bare(engine: Engine) -> Iterator[Bare]:
    """A bare machine with labctl on it."""
    image, name = "labctl-test/bare", f"labctl-test-bare-{os.getpid()}"
    for _ in engine.build(tar_of({"Dockerfile": (BARE.encode(), 0o644)}), tag=image, network_mode="host"):
        continue
    config = {
        "Image": image,
        "Cmd": ["/bin/sh", "-c", AS_A_MACHINE],
        "Volumes": {"/var/lib/docker": {}},
        "HostConfig": {
            "CapAdd": host.grantable_capabilities(engine),
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "DeviceCgroupRules": ["a *:* rwm"],
            "CgroupnsMode": "private",
            **host.node_confinement(engine.info()),
        },
    }
    engine.create(name, config)
    try:
        engine.put(name, "/", labctl_itself())
        engine.start(name)
        its = Bare(engine, name)
        wait_until_ready(its)
        yield its
    finally:
        engine.remove(name)


def labctl_itself() -> bytes:
    package = Path(labctl.__file__).parent
    return tar_of(
        {f"labctl/labctl/{file.relative_to(package)}": (file.read_bytes(), 0o644) for file in package.rglob("*.py")}
    )


def wait_until_ready(bare: Bare) -> None:
    deadline = time.monotonic() + HANGING
    while bare.run("test", "-f", "/ready").code != 0:
        assert time.monotonic() < deadline, bare.engine.logs(bare.name)
        time.sleep(0.1)


def test_a_bare_machine_is_told_what_it_lacks(bare: Bare) -> None:
    told = bare.doctor()
    assert told.code == 3, told.stderr.decode()
    rows = bare.rows()
    assert (rows["engine"]["verdict"], rows["engine"]["found"]) == ("mend", "none is installed")
    assert rows["engine"]["fix"] == "apt-get install -y docker.io"
    assert rows["docker-cli"]["verdict"] == "made-up-for"


def test_nothing_is_done_where_nobody_can_be_asked(bare: Bare) -> None:
    refused = bare.doctor("--fix")
    assert refused.code == 2, refused.stderr.decode()
    assert b"--yes" in refused.stderr
    assert bare.run("sh", "-c", "command -v dockerd").code != 0


def test_a_bare_machine_gets_an_engine(bare: Bare) -> None:
    fixed = bare.doctor("--fix", "--yes", "--output", "json")
    said = fixed.stderr.decode()
    assert fixed.code == 0, said
    rows = {row["id"]: row for row in json.loads(fixed.stdout)["rows"]}
    assert rows["engine"]["verdict"] == "good"
    assert rows["storage"]["found"].startswith("overlay2"), rows["storage"]
    assert "apt-get" in said, "each command is shown"
    assert bare.run("docker", "version").code == 0
    again = bare.doctor("--fix", "--yes")
    assert (again.code, b"$" in again.stderr) == (0, False), "a machine that is well is left alone"


def test_an_engine_that_died_is_started_again(bare: Bare) -> None:
    for breakage in (
        "kill -9 $(cat /var/run/docker.pid)",
        # Dead, and another process has its number by now: the first one, which never ends.
        "kill -9 $(cat /var/run/docker.pid); sleep 1; echo 1 > /var/run/docker.pid",
    ):
        assert bare.run("sh", "-c", breakage).code == 0
        time.sleep(1)
        assert bare.rows()["engine"]["found"] == "installed, but it does not run"
        fixed = bare.doctor("--fix", "--yes")
        assert fixed.code == 0, fixed.stderr.decode()
        assert b"apt-get" not in fixed.stderr
        assert bare.run("docker", "version").code == 0


def test_a_user_outside_the_docker_group_is_told_how_to_get_in(bare: Bare) -> None:
    bare.run("useradd", "--create-home", "ann")
    as_ann = (
        "setpriv",
        "--reuid=ann",
        "--regid=ann",
        "--clear-groups",
        "env",
        "HOME=/home/ann",
        "USER=ann",
        "LOGNAME=ann",
    )
    told = bare.run(*as_ann, "python3", "-m", "labctl", "doctor", "--output", "json")
    assert told.code == 3, told.stderr.decode()
    row = next(row for row in json.loads(told.stdout)["rows"] if row["id"] == "engine")
    assert row["fix"] == "sudo usermod -aG docker ann, then log out and in again"
    bare.run("usermod", "-aG", "docker", "ann")
    told = bare.run(*as_ann, "python3", "-m", "labctl", "doctor", "--output", "json")
    row = next(row for row in json.loads(told.stdout)["rows"] if row["id"] == "engine")
    assert row["fix"] == "newgrp docker"
