"""What --fix would do, how it does it, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.errors import HostError, WaitTimeout
from labctl.events import CommandShown, Event
from labctl.host import apt, daemon
from labctl.host.engine_facts import filesystem_of
from labctl.host.facts import Facts
from labctl.host.machine_facts import living, read_os_release, service_manager
from labctl.host.mend import plan
from labctl.host.report import Report, Row, Verdict
from labctl.host.shell import FakeShell, HostShell
from labctl.transport.base import Result
from labctl.waiting import FakeClock
from tests.guard import HANGING, no_hang

UPDATE = "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update"
INSTALL = "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends"


def report(*ids: str) -> Report:
    return Report(Row(id_, id_, Verdict.MEND, "bad", "mend it", fixable=True) for id_ in ids)


def heard(_: str) -> None:
    return


# -- the plan


def test_nothing_to_mend_is_nothing_to_do(facts: Facts) -> None:
    assert plan(Report(), facts.machine, 4) == []
    told_only = Report([Row("engine", "engine", Verdict.MEND, "elsewhere", "unset DOCKER_HOST")])
    assert plan(told_only, facts.machine, 4) == []


def test_a_bare_machine_gets_its_engine_first(facts: Facts) -> None:
    bare = replace(facts.machine, dockerd=None)
    actions = plan(report("neighbours", "inotify", "base-image", "docker-cli", "engine", "ipvs"), bare, 60)
    assert [action.step for action in actions] == [
        "install and start the engine",
        "load kernel modules",
        "raise kernel limits",
    ]
    assert actions[0].rows == {"engine", "base-image", "docker-cli"}
    assert "debootstrap" in actions[0].question
    assert "ip_vs" in actions[1].question
    assert "60 nodes" in actions[2].question


def test_an_installed_engine_is_only_started(facts: Facts) -> None:
    assert [action.step for action in plan(report("engine"), facts.machine, 4)] == ["start the engine"]
    assert [action.step for action in plan(report("base-image"), facts.machine, 4)] == ["install debootstrap"]


# -- packages


def test_downloads_are_tried_again_until_names_resolve() -> None:
    failed = Result(UPDATE, 0, "Err:1 http://deb\nW: Failed to fetch http://deb  Temporary failure resolving 'deb'\n")
    shell, clock = FakeShell({UPDATE: [failed, failed, failed, "Reading package lists...\n"]}), FakeClock()
    assert apt.update(shell, note=heard, clock=clock) == ""
    assert len(shell.commands) == 4
    assert clock.slept == sorted(clock.slept), "the pause grows"
    assert clock.slept[0] == apt.FIRST_PAUSE


def test_downloads_are_given_up_with_the_reason() -> None:
    command = f"{INSTALL} debootstrap"
    shell = FakeShell({command: [Result(command, 100, "E: Failed to fetch x  Could not resolve 'deb.example'\n")]})
    clock = FakeClock()
    with pytest.raises(WaitTimeout, match="Could not resolve") as caught:
        apt.install(shell, ["debootstrap"], note=heard, clock=clock)
    assert apt.TRY_FOR <= sum(clock.slept) < apt.TRY_FOR + apt.LONGEST_PAUSE
    assert max(clock.slept) <= apt.LONGEST_PAUSE
    assert "tries again" in str(caught.value.hint)


def test_a_source_that_is_dead_does_not_keep_others_from_serving() -> None:
    dead = "W: Failed to fetch http://gone.example/InRelease  Could not resolve 'gone.example'"
    shell = FakeShell({UPDATE: [Result(UPDATE, 0, f"Hit:1 http://deb\n{dead}\n")]})
    assert apt.update(shell, note=heard, clock=FakeClock()) == dead


def test_what_apt_refuses_is_told_at_once() -> None:
    refusal = Result("apt-get install", 100, "Reading...\nE: Unable to locate package nonsense\n")
    clock = FakeClock()
    with pytest.raises(HostError, match="Unable to locate package nonsense"):
        apt.install(FakeShell({f"{INSTALL} nonsense": [refusal]}), ["nonsense"], note=heard, clock=clock)
    assert clock.slept == []


@pytest.mark.parametrize(("has_cli", "apparmor", "more"), [(True, "N", {"docker-cli"}), (False, "Y", {"apparmor"})])
def test_the_engine_of_each_debian(tmp_path: Path, has_cli: bool, apparmor: str, more: set[str]) -> None:
    (tmp_path / "enabled").write_text(f"{apparmor}\n")
    show = "apt-cache show --no-all-versions docker-cli"
    shell = FakeShell({show: [Result(show, 0 if has_cli else 100)]})
    packages = apt.engine_packages(shell, apparmor=tmp_path / "enabled")
    assert set(packages) == {"docker.io", "iptables", "ca-certificates"} | more


def test_a_fake_shell_refuses_what_was_not_scripted() -> None:
    with pytest.raises(AssertionError, match="not scripted"):
        FakeShell({}).run(["rm", "-rf", "/"], limit=1)


# -- commands


def test_a_command_is_told_before_it_runs_and_heard_line_by_line() -> None:
    told: list[Event] = []
    lines: list[str] = []
    result = HostShell(told.append).run(["sh", "-c", "echo one; echo two >&2; exit 3"], limit=10, note=lines.append)
    assert told == [CommandShown("host", "sh -c 'echo one; echo two >&2; exit 3'")]
    assert (result.code, result.stdout, lines) == (3, "one\ntwo\n", ["one", "two"])


def test_a_command_ends_at_its_limit() -> None:
    with no_hang():
        result = HostShell(lambda _: None).run([sys.executable, "-c", "import time; time.sleep(600)"], limit=0.3)
    assert (result.code, result.timed_out) == (124, True)


def test_a_program_that_is_not_there_is_one_line() -> None:
    with pytest.raises(HostError, match="cannot run no-such-program"):
        HostShell(lambda _: None).run(["no-such-program"], limit=1)


# -- what runs


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no engine."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_pid_file_is_believed_when_the_name_fits(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    pidfile = tmp_path / "docker.pid"
    assert living(pidfile, "sleep") is None
    for nonsense in ("", "x", "-1", "0"):
        pidfile.write_text(nonsense)
        assert living(pidfile, "sleep") is None
    pidfile.write_text(f"{sleeper.pid}\n")
    assert living(pidfile, "sleep") == sleeper.pid
    assert living(pidfile, "dockerd") is None, "another process was given the number"


def test_the_dead_and_unburied_do_not_live(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (tmp_path / "pid").write_text(str(sleeper.pid))
    sleeper.kill()
    deadline = time.monotonic() + HANGING
    while living(tmp_path / "pid", "sleep") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert Path(f"/proc/{sleeper.pid}").exists(), "not yet waited for"


def test_stale_pid_files_go_and_living_ones_stay(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    launch = daemon.Launch(pidfile=tmp_path / "docker.pid", exec_root=tmp_path)
    (tmp_path / "containerd").mkdir()
    for file in (launch.pidfile, tmp_path / "containerd/containerd.pid"):
        file.write_text(str(sleeper.pid))
    told: list[Event] = []
    daemon.clear_stale(launch, told.append)
    assert not launch.pidfile.exists()
    assert not (tmp_path / "containerd/containerd.pid").exists()
    assert len(told) == 2
    daemon.clear_stale(launch, told.append)
    assert len(told) == 2, "nothing is left to remove"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, ""),
        ("\n\n", ""),
        ('time="2026" level=info msg="started"\n', "started"),
        ("failed to start daemon: overlay2 not supported\n\n", "failed to start daemon: overlay2 not supported"),
    ],
)
def test_the_last_line_of_a_log(tmp_path: Path, text: str | None, line: str) -> None:
    log = tmp_path / "log"
    if text is not None:
        log.write_text(text)
    assert daemon.last_line(log) == line


def test_a_program_that_dies_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho one; echo 'no overlay here' >&2; exit 7\n")
    program.chmod(0o755)
    launch = daemon.Launch(str(program), tmp_path / "s", tmp_path / "pid", tmp_path, tmp_path / "logs/d.log")
    with pytest.raises(HostError, match="dockerd exited 7: no overlay here"):
        daemon.start_by_hand(launch, lambda _: None, note=heard)
    with pytest.raises(HostError, match="exited 7"):
        daemon.start_by_hand(launch, lambda _: None, note=heard)
    assert (tmp_path / "logs/d.log.1").exists(), "the log before this one is kept"


def test_a_daemon_inherits_no_settings_of_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, out = tmp_path / "dockerd", tmp_path / "out"
    program.write_text(f"#!/bin/sh\nenv > {out}; ulimit -n >> {out}; ulimit -Hn >> {out}; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    launch = daemon.Launch(str(program), tmp_path / "s", tmp_path / "pid", tmp_path, tmp_path / "d.log")
    with pytest.raises(HostError):
        daemon.start_by_hand(launch, lambda _: None, note=heard)
    lines = out.read_text().splitlines()
    assert "HTTPS_PROXY=http://proxy:3128" in lines
    assert not [line for line in lines if line.startswith("DOCKER_")]
    assert lines[-1] == lines[-2], "as many open files as this machine lets it have"


def test_a_service_manager_that_refuses_is_told() -> None:
    refusal = Result("systemctl enable --now docker", 1, "Unit docker.service is masked.\n")
    with pytest.raises(HostError, match="is masked"):
        daemon.start_by_manager("systemd", FakeShell({refusal.shown: [refusal]}), note=heard)


def test_who_manages_services(tmp_path: Path) -> None:
    assert service_manager(tmp_path) is None
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("sleep\n")
    assert service_manager(tmp_path) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/inittab").touch()
    (tmp_path / "proc/1/comm").write_text("init\n")
    assert service_manager(tmp_path) == "sysv"
    (tmp_path / "run/openrc").mkdir(parents=True)
    (tmp_path / "run/openrc/softlevel").touch()
    assert service_manager(tmp_path) == "openrc"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert service_manager(tmp_path) == "systemd"


def test_os_release_is_read() -> None:
    text = "# a comment\nID=ubuntu\nID_LIKE=\"debian\"\nPRETTY_NAME='Ubuntu 24.04'\n\n"
    assert read_os_release(text) == {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04"}


def test_the_file_system_of_a_folder() -> None:
    mounts = "overlay / overlay rw 0 0\n/dev/vda /var/lib ext4 rw 0 0\n/dev/vdb /var/lib/docker xfs rw 0 0\n"
    assert filesystem_of("/var/lib/docker", mounts) == "xfs"
    assert filesystem_of("/var/lib/dockerish", mounts) == "ext4"
    assert filesystem_of("/srv", mounts) == "overlay"
    assert filesystem_of("/srv", "") == ""
