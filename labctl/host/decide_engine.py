"""From what the engine said to rows. No input or output here: facts in, rows out."""

from __future__ import annotations

from labctl.host.advice import can_install, install_engine, start_engine
from labctl.host.capabilities import lacking
from labctl.host.facts import EngineFacts, Facts
from labctl.host.report import Row, Verdict

__all__ = [
    "decide_capabilities",
    "decide_cgroup",
    "decide_engine",
    "decide_loopback",
    "decide_security",
    "decide_settings",
    "decide_storage",
    "decide_version",
]

OLDEST, NEWEST = (20, 10), (29, 99)  # engines that labctl is made for, both ends included
USUAL_PLACE = "the usual place"  # as labctl.engine.endpoint says when nothing named another
CLOSES_LOOPBACK = (28, 0)  # the first engine that does; moby#45610
_LATER = "known when an engine answers"


def decide_engine(facts: Facts) -> Row:
    """Whether an engine answers here, and whether it is Docker's."""
    engine = facts.engine
    title = "Docker engine"
    if not engine.answers:
        return _no_engine(facts, title)
    if engine.is_podman:
        found = f"{engine.url} is Podman's: it speaks Docker's API, but its containers cannot hold an engine"
        return Row("engine", title, Verdict.MEND, found, install_engine(facts.machine))
    if engine.info.get("OSType") == "windows":
        fix = "switch Docker Desktop to Linux containers (its menu says so)"
        return Row("engine", title, Verdict.MEND, "it runs Windows containers; swarm's nodes are Linux", fix)
    kind = "Docker Desktop" if engine.is_desktop else "rootless" if engine.is_rootless else ""
    version = engine.version.get("Version", "?")
    chosen = "" if engine.source == USUAL_PLACE else f" ({engine.source})"
    return Row("engine", title, Verdict.GOOD, f"{version}{f', {kind}' if kind else ''}, at {engine.url}{chosen}")


def _no_engine(facts: Facts, title: str) -> Row:
    engine, machine = facts.engine, facts.machine

    def mend(found: str, fix: str | None, *, fixable: bool = False) -> Row:
        return Row("engine", title, Verdict.MEND, found, fix, fixable)

    if engine.elsewhere:
        return mend(engine.error, engine.error_hint)
    if engine.socket_exists and not engine.socket_allowed:
        user = machine.user or "$USER"
        if machine.in_docker_group:
            return mend(f"{user} is in group docker, but this session began before that", "newgrp docker")
        return mend(f"{user} may not use {engine.url}", f"sudo usermod -aG docker {user}, then log out and in again")
    if engine.source != USUAL_PLACE:
        return mend(f"nothing answers at {engine.url} ({engine.source})", "start that engine, or unset what names it")
    if machine.dockerd_pid:
        log = "journalctl -u docker" if machine.service_manager == "systemd" else "/var/log/labctl/dockerd.log"
        return mend(f"dockerd (process {machine.dockerd_pid}) runs and does not answer: {engine.error}", f"see {log}")
    if machine.system == "Linux" and machine.dockerd is None:
        return mend("none is installed", install_engine(machine), fixable=can_install(machine))
    fixable = machine.system == "Linux"
    return mend("installed, but it does not run", start_engine(machine), fixable=fixable)


def decide_version(facts: Facts) -> Row:
    """Whether the engine is one that labctl is made for."""
    engine, title = facts.engine, "engine version"
    if not engine.answers:
        return Row("version", title, Verdict.GOOD, _LATER)
    said = str(engine.version.get("Version", "")) or "no version"
    api = engine.version.get("ApiVersion", "?")
    if engine.number is None:
        return Row("version", title, Verdict.GOOD, f"{said}: not a release; it will be tried (20.10 to 29 are known)")
    if engine.number < OLDEST:
        fix = f"install 20.10 or newer: {install_engine(facts.machine)}"
        return Row("version", title, Verdict.MEND, f"{said} is too old to give a node its own cgroups", fix)
    if engine.number > NEWEST:
        return Row("version", title, Verdict.GOOD, f"{said}, API {api}: newer than any that was tried (29)")
    return Row("version", title, Verdict.GOOD, f"{said}, API {api}")


def decide_security(facts: Facts) -> Row:
    """What stands between a container and the host, and what that means for a node."""
    engine, title = facts.engine, "isolation"
    if not engine.answers:
        return Row("security", title, Verdict.GOOD, _LATER)
    if engine.is_rootless and str(engine.info.get("CgroupVersion", "1")) == "1":
        found = "a rootless engine on cgroup v1: nodes would have no cgroups of their own"
        fix = "docker context use default (the system's engine), or boot with systemd.unified_cgroup_hierarchy=1"
        return Row("security", title, Verdict.MEND, found, fix)
    if engine.remaps_users:
        found = "the engine remaps users; nodes alone are started in the host's user namespace"
        return Row("security", title, Verdict.MADE_UP_FOR, found)
    notes = ["nodes live in your user namespace"] if engine.is_rootless else []
    notes += [name for name in ("seccomp", "apparmor", "selinux", "no-new-privileges") if engine.has_security(name)]
    return Row(
        "security", title, Verdict.GOOD, ", ".join(notes) + ": lifted for nodes" if notes else "nothing in the way"
    )


def decide_settings(facts: Facts) -> Row:
    """Settings that forbid a swarm on this engine itself, and do not matter to nodes: those are engines too."""
    engine, title = facts.engine, "engine settings"
    if not engine.answers:
        return Row("settings", title, Verdict.GOOD, _LATER)
    info = engine.info
    notes = []
    if info.get("LiveRestoreEnabled"):
        notes.append("live-restore")
    if "nftables" in str((info.get("FirewallBackend") or {}).get("Driver", "")):
        notes.append("nftables as firewall backend")
    if (info.get("Swarm") or {}).get("LocalNodeState") == "active":
        notes.append("in a swarm itself")
    said = f"{', '.join(notes)}: harmless, nodes are engines of their own" if notes else "nothing unusual"
    return Row("settings", title, Verdict.GOOD, said)


def decide_loopback(facts: Facts) -> Row:
    """Whether what is published on 127.0.0.1 is out of reach for other machines."""
    engine, title = facts.engine, "ports on 127.0.0.1"
    if not engine.answers:
        return Row("loopback", title, Verdict.GOOD, _LATER)
    if engine.is_desktop or engine.is_rootless:
        return Row("loopback", title, Verdict.GOOD, "forwarded by a program, not by this machine's firewall")
    if engine.number is None or engine.number >= CLOSES_LOOPBACK:
        return Row("loopback", title, Verdict.GOOD, "out of reach for other machines")
    found = "machines on the same network segment can reach them (an engine before 28)"
    return Row("loopback", title, Verdict.GOOD, found, "install engine 28 or newer where others share the network")


def decide_storage(facts: Facts) -> Row:
    """Whether a node's engine can stack layers on what this engine gives it."""
    engine, title = facts.engine, "storage"
    if not engine.answers:
        return Row("storage", title, Verdict.GOOD, _LATER)
    driver = str(engine.info.get("Driver", "?"))
    status = {str(key): str(value) for key, value in _pairs(engine.info.get("DriverStatus"))}
    backing = engine.disk_kind or status.get("Backing Filesystem", "")
    shown = f"{driver}{f' on {backing}' if backing else ''}"
    if "overlay" in backing:
        found = f"{shown}: the engine's folder lies on an overlay, where nodes cannot make their own"
        fix = "give the engine a real file system: a volume at its data-root (see docs/doctor.md)"
        return Row("storage", title, Verdict.MEND, found, fix)
    if status.get("Supports d_type") == "false":
        found = f"{shown} without d_type: no overlay works on it"
        return Row("storage", title, Verdict.MEND, found, "make that file system anew with `mkfs.xfs -n ftype=1`")
    if driver == "vfs":
        found = f"{shown}: slow, and each node takes its whole image's size"
        return Row("storage", title, Verdict.GOOD, found, "start the engine on a file system that overlay2 can use")
    return Row("storage", title, Verdict.GOOD, shown)


def _pairs(status: object) -> list[tuple[object, object]]:
    if not isinstance(status, list):
        return []
    return [(pair[0], pair[1]) for pair in status if isinstance(pair, list) and len(pair) == 2]


def decide_cgroup(facts: Facts) -> Row:
    """Which cgroups there are, and whether limits of memory, CPU and processes are kept."""
    engine, title = facts.engine, "cgroups"
    if not engine.answers:
        return Row("cgroup", title, Verdict.GOOD, _LATER)
    info = engine.info
    wanted = {"MemoryLimit": "memory", "CpuCfsQuota": "cpu", "PidsLimit": "pids"}
    missing = [name for key, name in wanted.items() if info.get(key) is False]
    found = f"v{info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver', '?')}"
    if not missing:
        return Row("cgroup", title, Verdict.GOOD, found)
    found += f", without {' and '.join(missing)}: such limits on a service are not kept"
    fix = "boot with cgroup_enable=memory swapaccount=1" if "memory" in missing else None
    return Row("cgroup", title, Verdict.GOOD, found, fix)


def decide_capabilities(facts: Facts) -> Row:
    """Whether this engine can give a node what it needs."""
    title = "capabilities"
    engine = facts.engine if facts.engine.answers else EngineFacts()
    if missing := lacking(engine):
        found = f"this machine cannot give {', '.join(missing)}, which a node needs"
        fix = "run labctl on the host itself, or in a container or machine that is given these capabilities"
        return Row("capabilities", title, Verdict.MEND, found, fix)
    if engine.bounding_set is None:
        return Row("capabilities", title, Verdict.GOOD, "not visible from here: will be tried")
    return Row("capabilities", title, Verdict.GOOD, "all that a node needs, each by its name")
