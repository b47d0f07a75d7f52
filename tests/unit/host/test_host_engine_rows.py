"""What the rows make of an engine's answers: engines 19.03 to 30, rootless, Docker Desktop, Podman."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from labctl.host import decide_engine as rows
from labctl.host.advice import install_engine
from labctl.host.facts import EngineFacts, Facts
from labctl.host.report import Verdict

GOOD, MADE_UP_FOR, MEND = Verdict.GOOD, Verdict.MADE_UP_FOR, Verdict.MEND
Named = Callable[[str], EngineFacts]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("debian-20.10", "20.10.24+dfsg1, at unix://"),
        ("ubuntu-29", "29.1.3, at"),
        ("desktop-28", "28.3.2, Docker Desktop, at"),
        ("rootless-27", "27.3.1, rootless, at"),
    ],
)
def test_an_engine_that_answers_is_named(facts: Facts, engine_named: Named, name: str, words: str) -> None:
    row = rows.decide_engine(replace(facts, engine=engine_named(name)))
    assert row.verdict is GOOD
    assert words in row.found


@pytest.mark.parametrize(
    ("name", "reason"), [("podman-5", "Podman"), ("desktop-windows-containers", "Windows containers")]
)
def test_what_only_looks_like_our_engine_is_refused(facts: Facts, engine_named: Named, name: str, reason: str) -> None:
    row = rows.decide_engine(replace(facts, engine=engine_named(name)))
    assert row.verdict is MEND
    assert reason in row.found
    assert row.fix
    assert not row.fixable


@pytest.mark.parametrize(
    ("version", "verdict", "words"),
    [
        ("19.03.15", MEND, "too old"),
        ("20.10.24+dfsg1", GOOD, "API"),
        ("23.0.0-rc.1", GOOD, "API"),
        ("29.9.9", GOOD, "API"),
        ("30.0.0", GOOD, "newer than any that was tried"),
        ("dev", GOOD, "not a release"),
        ("", GOOD, "no version"),
    ],
)
def test_versions_from_20_10_to_29_are_ours(facts: Facts, version: str, verdict: Verdict, words: str) -> None:
    engine = replace(facts.engine, version={**facts.engine.version, "Version": version})
    row = rows.decide_version(replace(facts, engine=engine))
    assert row.verdict is verdict
    assert words in row.found


def without_engine(facts: Facts, **engine: object) -> Facts:
    return replace(facts, engine=replace(EngineFacts(error="there is no such socket"), **engine))  # type: ignore[arg-type]


def test_no_engine_on_debian_is_installed_by_the_doctor(facts: Facts) -> None:
    bare = replace(without_engine(facts), machine=replace(facts.machine, dockerd=None))
    row = rows.decide_engine(bare)
    assert (row.verdict, row.fixable) == (MEND, True)
    assert row.fix == "sudo apt-get install -y docker.io"


@pytest.mark.parametrize(
    ("distribution", "command"),
    [
        (("ubuntu", "debian"), "sudo apt-get install -y docker.io"),
        (("fedora",), "sudo dnf install -y moby-engine"),
        (("rocky", "rhel", "centos", "fedora"), "sudo dnf install -y docker-ce"),
        (("manjaro", "arch"), "sudo pacman -S --noconfirm docker"),
        (("opensuse-leap", "suse", "opensuse"), "sudo zypper install -y docker"),
        (("alpine",), "sudo apk add docker"),
        (("",), "https://docs.docker.com/engine/install/"),
    ],
)
def test_no_engine_elsewhere_is_one_command(facts: Facts, distribution: tuple[str, ...], command: str) -> None:
    machine = replace(facts.machine, dockerd=None, distribution=distribution)
    row = rows.decide_engine(replace(without_engine(facts), machine=machine))
    assert command in str(row.fix)
    assert row.fixable is ("apt-get" in command)


@pytest.mark.parametrize(("system", "words"), [("Darwin", "brew install"), ("Windows", "winget install")])
def test_no_engine_on_a_desktop_system(facts: Facts, system: str, words: str) -> None:
    machine = replace(facts.machine, system=system, dockerd=None, distribution=("",))
    row = rows.decide_engine(replace(without_engine(facts), machine=machine))
    assert words in install_engine(machine)
    assert "Docker Desktop" in str(row.fix)
    assert not row.fixable


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("systemd", "sudo systemctl enable --now docker"),
        ("openrc", "sudo rc-service docker start && sudo rc-update add docker default"),
        ("sysv", "sudo service docker start"),
        (None, "labctl doctor --fix"),
    ],
)
def test_an_engine_that_does_not_run_is_started_by_whom_it_belongs_to(
    facts: Facts, manager: str | None, command: str
) -> None:
    row = rows.decide_engine(replace(without_engine(facts), machine=replace(facts.machine, service_manager=manager)))
    assert (row.fix, row.fixable) == (command, True)


def test_an_engine_that_runs_and_is_silent_is_left_alone(facts: Facts) -> None:
    silent = without_engine(facts, socket_exists=True, error="the engine does not answer: timed out")
    row = rows.decide_engine(replace(silent, machine=replace(facts.machine, dockerd_pid=700)))
    assert "process 700" in row.found
    assert not row.fixable


def test_a_socket_that_may_not_be_used_needs_the_docker_group(facts: Facts) -> None:
    closed = without_engine(facts, socket_exists=True, socket_allowed=False)
    ann = replace(facts.machine, user="ann", is_root=False)
    assert (
        rows.decide_engine(replace(closed, machine=ann)).fix == "sudo usermod -aG docker ann, then log out and in again"
    )
    assert rows.decide_engine(replace(closed, machine=replace(ann, in_docker_group=True))).fix == "newgrp docker"


def test_an_engine_elsewhere_is_refused_with_the_reason(facts: Facts) -> None:
    far = without_engine(
        facts, elsewhere=True, error="the engine at tcp://far:2376 is on another machine", error_hint="Unset"
    )
    row = rows.decide_engine(far)
    assert (row.verdict, row.found, row.fix, row.fixable) == (MEND, far.engine.error, "Unset", False)


def test_what_the_user_chose_is_not_started_for_them(facts: Facts) -> None:
    row = rows.decide_engine(without_engine(facts, url="unix:///run/user/1000/docker.sock", source="DOCKER_HOST"))
    assert "DOCKER_HOST" in row.found
    assert not row.fixable


def test_without_an_engine_only_that_row_must_be_mended(facts: Facts) -> None:
    gone = without_engine(facts)
    later = (rows.decide_version, rows.decide_security, rows.decide_settings, rows.decide_storage, rows.decide_cgroup)
    assert [decide(gone).verdict for decide in later] == [GOOD] * len(later)


def test_rootless_needs_cgroup_2(facts: Facts, engine_named: Named) -> None:
    assert rows.decide_security(replace(facts, engine=engine_named("rootless-27"))).verdict is GOOD
    row = rows.decide_security(replace(facts, engine=engine_named("rootless-cgroup1")))
    assert row.verdict is MEND
    assert row.fix


def test_remapped_users_are_made_up_for(facts: Facts, engine_named: Named) -> None:
    row = rows.decide_security(replace(facts, engine=engine_named("remapped-26")))
    assert row.verdict is MADE_UP_FOR


def test_what_guards_containers_is_told(facts: Facts, engine_named: Named) -> None:
    row = rows.decide_security(replace(facts, engine=engine_named("ubuntu-29")))
    assert row.found == "seccomp, apparmor: lifted for nodes"


def test_neighbours_reach_ports_on_the_loopback_before_engine_28(facts: Facts, engine_named: Named) -> None:
    row = rows.decide_loopback(replace(facts, engine=engine_named("debian-20.10")))
    assert "machines on the same network segment can reach them" in row.found
    assert row.verdict is GOOD, "a lab runs"
    assert row.fix and "28" in row.fix
    for name in ("ubuntu-29", "desktop-28"):
        assert rows.decide_loopback(replace(facts, engine=engine_named(name))).fix is None
    assert rows.decide_loopback(without_engine(facts)).fix is None


def test_settings_that_forbid_a_swarm_on_the_host_do_not_matter(facts: Facts, engine_named: Named) -> None:
    row = rows.decide_settings(replace(facts, engine=engine_named("ubuntu-29-nftables")))
    assert row.verdict is GOOD
    assert "live-restore, nftables as firewall backend, in a swarm itself: harmless" in row.found
    assert rows.decide_settings(facts).found == "nothing unusual"


def test_storage(facts: Facts, engine_named: Named) -> None:
    assert rows.decide_storage(facts).found == "overlay2 on ext4"
    assert rows.decide_storage(replace(facts, engine=engine_named("ubuntu-29"))).found == "overlayfs"
    nested = rows.decide_storage(replace(facts, engine=engine_named("vfs-24")))
    assert (nested.verdict, "lies on an overlay" in nested.found) == (MEND, True)
    plain_vfs = replace(facts.engine, info={**facts.engine.info, "Driver": "vfs", "DriverStatus": None})
    assert "slow" in rows.decide_storage(replace(facts, engine=plain_vfs)).found
    no_d_type = replace(facts.engine, info={**facts.engine.info, "DriverStatus": [["Supports d_type", "false"]]})
    assert rows.decide_storage(replace(facts, engine=no_d_type)).verdict is MEND


def test_cgroups(facts: Facts, engine_named: Named) -> None:
    assert rows.decide_cgroup(facts).found == "v1, driver cgroupfs"
    assert rows.decide_cgroup(replace(facts, engine=engine_named("ubuntu-29"))).found == "v2, driver systemd"
    weak = replace(facts.engine, info={**facts.engine.info, "MemoryLimit": False})
    row = rows.decide_cgroup(replace(facts, engine=weak))
    assert (row.verdict, "without memory" in row.found) == (GOOD, True)
    assert "cgroup_enable=memory" in str(row.fix)


def test_capabilities_that_are_missing_must_be_had(facts: Facts) -> None:
    assert rows.decide_capabilities(facts).verdict is GOOD
    docker_default = 0xA80425FB
    row = rows.decide_capabilities(replace(facts, engine=replace(facts.engine, bounding_set=docker_default)))
    assert row.verdict is MEND
    assert "NET_ADMIN, SYS_ADMIN, SYS_PTRACE" in row.found
