"""What virtual machines need of this machine, row by row, and the mending of it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from labctl.errors import HostError, LabctlError
from labctl.events import CommandShown, Emit, Noted, Steps, Warned
from labctl.host import apt, decide_engine
from labctl.host.advice import can_install, install_vagrant
from labctl.host.engine_facts import gather_engine
from labctl.host.examine import decide, examine
from labctl.host.facts import Facts, MachineFacts
from labctl.host.kvm import DEVICE, is_shut_to_libvirt
from labctl.host.machine_facts import gather_machine, living, which
from labctl.host.mend import mend
from labctl.host.providers import Provider, find_providers, vagrant_version
from labctl.host.report import Report, Row, Verdict
from labctl.host.shell import HostShell
from labctl.spec.choices import MACHINE_MEMORY_MIB
from labctl.waiting import Pending, wait_until
from labctl.words import counted

__all__ = ["examine_virtual", "mend_virtual", "preflight_virtual"]

PACKAGES = (
    "vagrant", "vagrant-libvirt", "libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients",
    "qemu-system-x86", "qemu-utils", "ovmf", "iptables", "dnsmasq-base", "tini",
)  # fmt: skip
PROGRAMS = ("vagrant", "libvirtd", "qemu-img", "qemu-system-x86_64", "dnsmasq", "virsh", "tini")
BEST = {"Linux": "libvirt", "Darwin": "virtualbox", "Windows": "hyperv"}
BY_HAND = "install libvirt, QEMU and vagrant-libvirt with this system's package manager, or VirtualBox"
SPARE_MIB = 512
DISK_MIB = 1500  # what a fresh machine writes beside the box that all share
POOL = Path("/var/lib/libvirt/images")
START_LIMIT = 30.0
OPEN_KVM = ("sh", "-c", f"chgrp kvm {DEVICE} && chmod 660 {DEVICE}")
LOGS = Path("/var/log/labctl")
# In this order where nothing manages services; each with the pid file that it writes.
DAEMONS = (("virtlogd", Path("/run/virtlogd.pid")), ("libvirtd", Path("/run/libvirtd.pid")))


def examine_virtual(nodes: int) -> Report:
    """Look at what virtual machines need. Never raises: what cannot be found out is a row."""
    machine = gather_machine()
    found = sorted(find_providers(), key=lambda one: not one.usable)
    room = [_memory([MACHINE_MEMORY_MIB] * nodes), _disk(nodes)]
    return Report(
        [*_engine(machine), _vagrant(machine), *(_provider(one, found, machine) for one in found), *_kvm(), *room]
    )


def preflight_virtual(memory_mib: Sequence[int], *, new: int) -> None:
    """Refuse machines that do not fit into this one's memory, `new` of them with disks to be made. Raises HostError.

    `memory_mib` is that of each machine which does not run yet.
    """
    for row in (_memory(memory_mib), _disk(new)):
        if row.verdict is Verdict.MEND:
            raise HostError(f"{row.title}: {row.found}", hint=row.fix)


def mend_virtual(report: Report, *, confirm: Callable[[str], bool], emit: Emit, nodes: int) -> Report:
    """Install and start what virtual machines need, where this is a Debian with root; examine again."""
    machine = gather_machine()
    if not report.fixable:
        return report
    if not machine.is_root:
        emit(Warned("this needs root: sudo labctl doctor --backend vagrant --fix"))
        return report
    if report.row("engine") in report.fixable:
        mend(examine(nodes), confirm=confirm, emit=emit, nodes=nodes)
    steps = Steps(emit, total=3)
    shell = HostShell(emit)
    try:
        if any(which(program) is None for program in PROGRAMS):
            if not confirm("Install Vagrant, libvirt and QEMU from this system's packages (apt-get)?"):
                return report
            with steps.step("install Vagrant, libvirt and QEMU"):
                apt.update(shell, note=steps.note)
                apt.install(shell, PACKAGES, note=steps.note)
        if is_shut_to_libvirt() and confirm(f"Open {DEVICE} to the group kvm?"):
            with steps.step("open KVM to libvirt"):
                _typed(shell, OPEN_KVM, steps.note)
        if not report.good and confirm("Start libvirt?"):
            with steps.step("start libvirt"):
                _start(shell, machine.service_manager, emit, steps.note)
    except LabctlError as problem:
        emit(Warned(f"{problem.message}{'. ' + problem.hint if problem.hint else ''}"))
    return examine_virtual(nodes)


def _engine(machine: MachineFacts) -> list[Row]:
    """The registry, the mirror and the ways to published ports are containers of this host's engine."""
    facts = Facts(machine=machine, engine=gather_engine(None))
    rows = decide(facts, (decide_engine.decide_engine, decide_engine.decide_version))
    why = "; a lab of virtual machines has its registry and its ports in containers of it"
    return [replace(row, found=row.found + why) if row.verdict is Verdict.MEND else row for row in rows]


def _vagrant(machine: MachineFacts) -> Row:
    version = vagrant_version()
    if version is None:
        fixable = can_install(machine)
        return Row("vagrant", "Vagrant", Verdict.MEND, "it is not installed", install_vagrant(machine), fixable=fixable)
    return Row("vagrant", "Vagrant", Verdict.GOOD, version)


def _provider(provider: Provider, found: Sequence[Provider], machine: MachineFacts) -> Row:
    """One usable provider suffices: where there is none, the one that this system has best is to be mended."""
    title = {"libvirt": "libvirt", "virtualbox": "VirtualBox", "hyperv": "Hyper-V"}[provider.name]
    if provider.usable:
        verdict = Verdict.MADE_UP_FOR if provider.notice else Verdict.GOOD
        told = f"{provider.version}, {provider.driver}" if provider.driver else provider.version
        return Row(provider.name, title, verdict, f"{told}{': ' + provider.notice if provider.notice else ''}")
    wanted = not any(one.usable for one in found) and provider.name == BEST.get(machine.system)
    fixable = provider.name == "libvirt" and can_install(machine)
    fix = BY_HAND if provider.name == "libvirt" and machine.system == "Linux" and not fixable else provider.fix
    verdict = Verdict.MEND if wanted else Verdict.GOOD
    return Row(provider.name, title, verdict, provider.problem, fix or None, fixable=wanted and fixable)


def _kvm() -> list[Row]:
    if not is_shut_to_libvirt() or which("libvirtd") is None:
        return []
    found = f"{DEVICE} is not open to libvirt's machines: they are emulated, and libvirt is slow to answer"
    return [Row("kvm", "KVM", Verdict.MADE_UP_FOR, found, f"sudo {shlex.join(OPEN_KVM)}", fixable=True)]


def _memory(machines: Sequence[int]) -> Row:
    import psutil

    free = psutil.virtual_memory().available >> 20
    sizes = " and ".join(f"{size} MiB" for size in sorted(set(machines)))
    what = f"{counted(len(machines), 'machine')} of {sizes}"
    wanted = sum(machines) + SPARE_MIB
    if not machines or wanted <= free:
        return Row("vm-memory", "memory", Verdict.GOOD, f"{what}; {free} MiB free" if machines else f"{free} MiB free")
    fits = max(0, (free - SPARE_MIB) // max(machines))
    less = "less `memory` a node"
    fix = f"--nodes {fits} fits, or {less}" if fits else less
    return Row("vm-memory", "memory", Verdict.MEND, f"{what} want {wanted} MiB, and {free} MiB are free", fix)


def _disk(machines: int) -> Row:
    """Whether the disks of new machines fit where they grow: libvirt's folder, or the user's home."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home() raises where none is known
    place = next(one for one in (POOL, home, Path("/")) if os.path.isdir(one))  # noqa: PTH112  so may Path.is_dir()
    free = shutil.disk_usage(place).free >> 20
    wanted = machines * DISK_MIB
    found = f"{counted(machines, 'new machine')} will write about {wanted} MiB; {free} MiB are free in {place}"
    if wanted <= free:
        return Row("vm-disk", "disk", Verdict.GOOD, found)
    return Row(
        "vm-disk",
        "disk",
        Verdict.MEND,
        found,
        f"make room there: `labctl labs` lists labs, --nodes {free // DISK_MIB} fits",
    )


def _start(shell: HostShell, manager: str | None, emit: Emit, note: Callable[[str], None]) -> None:
    if manager == "systemd":
        _typed(shell, ["systemctl", "enable", "--now", "virtlogd.socket", "libvirtd"], note)
    else:
        for daemon, pidfile in DAEMONS:
            if living(pidfile, daemon) is None:
                program = which(daemon)
                if program is None:
                    raise HostError(f"{daemon} is not installed", hint="`labctl doctor --backend vagrant --fix`")
                command = ["tini", "-s", "--", program, "--pid-file", str(pidfile)]
                emit(CommandShown("host", f"setsid {' '.join(command)} &"))
                _spawn(command, pidfile)
                emit(Noted(f"started {daemon}, pid file {pidfile}"))

    def probe() -> None:
        found = next(one for one in find_providers() if one.name == "libvirt")
        if not found.usable:
            raise Pending(found.problem)

    wait_until("libvirt", probe, limit=START_LIMIT, pause=0.2, noted=note)


def _typed(shell: HostShell, command: Sequence[str], note: Callable[[str], None]) -> None:
    result = shell.run(command, limit=60, note=note)
    if not result.ok:
        raise HostError(f"`{result.shown}` exited {result.code}: {result.stdout.strip()[-200:]}")


def _spawn(command: list[str], pidfile: Path) -> None:
    """Start a daemon in a session of its own, below a tini that buries its dead.

    Where the first process of a machine buries them late, libvirt waits for each emulator that it ended.
    """
    pidfile.unlink(missing_ok=True)
    log = LOGS / f"{pidfile.stem}.log"
    log.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    program = which(command[0]) or command[0]
    pid = os.posix_spawn(program, command, dict(os.environ), file_actions=streams, setsid=True)

    def probe() -> None:
        if pidfile.exists():
            return
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise HostError(f"{command[3]} did not start", hint=f"See {log}.")
        raise Pending("no pid file yet")

    wait_until(command[3], probe, limit=START_LIMIT, pause=0.05)
