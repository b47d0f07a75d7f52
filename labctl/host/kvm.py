"""Whether KVM runs a guest: tried, not believed. On some hosts /dev/kvm is there and a kernel hangs on it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labctl.errors import WaitTimeout
from labctl.state import state_dir, write_private
from labctl.waiting import Pending, wait_until

__all__ = ["DEVICE", "is_shut_to_libvirt", "kvm_boots", "kvm_problem"]

DEVICE = Path("/dev/kvm")
QEMU = "qemu-system-x86_64"
# In real mode: write 0x10 to the port of isa-debug-exit, which makes QEMU exit with 2 * 0x10 + 1.
BOOT_SECTOR = bytes([0xB0, 0x10, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"
GOOD_EXIT = 33
# A working KVM is through with the firmware and this in a fraction of a second, nested ones too. Where it took
# longer than that, a kernel hung right after.
LIMIT, SLOW = 10.0, 1.5
KERNEL_LIMIT = 15.0  # seconds to the first line of a kernel, which takes less than one


def kvm_problem() -> str:
    """Say why KVM cannot run machines here; empty when it can. Remembered until the next boot: it takes a second."""
    if not DEVICE.exists():
        return "there is no /dev/kvm: no virtualization in this processor, its firmware, or this virtual machine"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user (`sudo usermod -aG kvm $USER`, then log in again)"
    if is_shut_to_libvirt():
        return "/dev/kvm is not open to the user that libvirt runs machines as"
    return _remembered("problem", _try)


def _remembered(what: str, find_out: Callable[[], str]) -> str:
    """What was found out since the machine's last boot, which takes seconds; else find it out."""
    kept, boot = state_dir() / "kvm.json", _boot()
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):  # never tried, or by another version
        said = json.loads(kept.read_text())
        known = said if isinstance(said, dict) and said.get("boot") == boot else {}
    if what not in known:
        known |= {"boot": boot, what: find_out()}
        write_private(kept, json.dumps(known).encode())
    return str(known[what])


def kvm_boots(kernel: Path) -> bool:
    """Whether a Linux kernel says its name on KVM: a host may run a boot sector, and hang with a kernel."""
    return _remembered(f"kernel {kernel}", lambda: "yes" if _boots(kernel) else "no") == "yes"


def _boots(kernel: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        command = [
            QEMU, "-accel", "kvm", "-m", "256", "-display", "none", "-nodefaults", "-no-reboot",
            "-serial", f"file:{console}", "-kernel", str(kernel),
            "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1",
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as guest:
            try:
                return _speaks(console, guest)
            finally:
                guest.kill()


def _speaks(console: Path, guest: subprocess.Popen[bytes]) -> bool:
    def look() -> bool:
        if console.exists() and b"Linux version" in console.read_bytes():
            return True
        if guest.poll() is not None:
            return False
        raise Pending("it has said nothing yet")

    try:
        return wait_until("a kernel on KVM", look, limit=KERNEL_LIMIT, pause=0.1, longest_pause=0.1)
    except WaitTimeout:
        return False


def is_shut_to_libvirt() -> bool:
    """Whether there is a KVM that the user of libvirt's machines, who is in the group kvm, may not open.

    Where libvirt itself may, it takes each answer of QEMU's about what it can do for outdated, and asks QEMU anew at
    every call, a second each: virQEMUCapsIsValid in libvirt's src/qemu/qemu_capabilities.c.
    """
    if sys.platform != "linux":
        return False
    import grp

    try:
        about = DEVICE.stat()
        group = grp.getgrnam("kvm").gr_gid
    except FileNotFoundError:
        return False
    except KeyError:
        group = -1
    return not (about.st_mode & 0o006 == 0o006 or (about.st_gid == group and about.st_mode & 0o060 == 0o060))


def _try() -> str:
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.write(BOOT_SECTOR)
        disk.flush()
        command = [
            QEMU, "-accel", "kvm", "-m", "32", "-display", "none", "-nodefaults", "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
            "-drive", f"file={disk.name},format=raw,if=ide,snapshot=on",
        ]  # fmt: skip
        began = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        except FileNotFoundError:
            return f"{QEMU} is not installed"
        except subprocess.TimeoutExpired:
            return f"/dev/kvm is there and runs nothing: a guest of 512 bytes hung for {LIMIT:g} s"
    took = time.monotonic() - began
    if done.returncode != GOOD_EXIT:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"/dev/kvm is there and runs nothing: {said}"
    if took > SLOW:
        return f"/dev/kvm is slower than emulation: a guest of 512 bytes took {took:.1f} s"
    return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
