"""Whether KVM runs a guest: tried, not believed. On some hosts /dev/kvm is there and a kernel hangs on it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from labctl.state import state_dir, write_private

__all__ = ["kvm_boots", "kvm_problem"]

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
    if not _open_to_libvirt():
        return (
            "/dev/kvm is not open to the user that libvirt runs machines as (`chgrp kvm /dev/kvm; chmod 660 /dev/kvm`)"
        )
    kept, boot = state_dir() / "kvm.json", _boot()
    try:
        known = json.loads(kept.read_text())
        if known["boot"] == boot:
            return str(known["problem"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never tried, or by another version
    problem = _try()
    write_private(kept, json.dumps({"boot": boot, "problem": problem}).encode())
    return problem


def kvm_boots(kernel: Path) -> bool:
    """Whether a Linux kernel says its name on KVM: a host may run a boot sector, and hang with a kernel."""
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
    ends = time.monotonic() + KERNEL_LIMIT
    while time.monotonic() < ends:
        if console.exists() and b"Linux version" in console.read_bytes():
            return True
        if guest.poll() is not None:
            return False
        time.sleep(0.1)
    return False


def _open_to_libvirt() -> bool:
    """Debian's own user for machines is in the group kvm."""
    import grp

    about = DEVICE.stat()
    try:
        group = grp.getgrnam("kvm").gr_gid
    except KeyError:
        group = -1
    return about.st_mode & 0o006 == 0o006 or (about.st_gid == group and about.st_mode & 0o060 == 0o060)


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
