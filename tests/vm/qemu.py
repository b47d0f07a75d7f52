"""A machine in plain QEMU, emulated, with no libvirt and no Vagrant: to see whether a disk boots."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from labctl.images.box import Box

__all__ = ["OVMF", "Machine", "booted", "direct_boot", "overlay"]

BANNER_LIMIT = 300.0  # seconds; an emulated machine on two busy cores boots in half a minute
OVMF = Path("/usr/share/OVMF/OVMF_CODE.fd")


class Machine:
    """A running machine whose SSH is on `port` of 127.0.0.1; `seconds` is how long it took to its SSH banner."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, console: Path, key: Path) -> None:
        self.process, self.port, self.console, self.key = process, port, console, key
        self.seconds = 0.0

    def said(self) -> str:
        """The console's output."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_for_banner(self, limit: float = BANNER_LIMIT) -> str:
        """Wait until sshd says who it is."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            assert self.process.poll() is None, f"QEMU ended: {self.said()[-2000:]}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as there:
                banner = there.recv(64).decode(errors="replace")
                if banner.startswith("SSH-"):
                    self.seconds = time.monotonic() - began
                    return banner
            time.sleep(0.2)
        raise AssertionError(f"no SSH banner within {limit:.0f} s; the console's end: {self.said()[-2000:]}")

    def run(self, script: str, limit: float = 180.0, stdin: int | IO[bytes] = subprocess.DEVNULL) -> str:
        """Run a script as root, which must end well; returns what it printed."""
        command = ["ssh", "-i", str(self.key), "-p", str(self.port), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
        command += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, stdin=stdin)
        assert done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def overlay(disk: Path, folder: Path) -> Path:
    """A disk that is written to in the place of another."""
    made = folder / "overlay.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk), str(made)]
    subprocess.run(command, check=True, timeout=60)
    return made


def direct_boot(box: Box, public_key: str) -> list[str]:
    """QEMU's words for a direct kernel boot; root's key is handed to systemd on the kernel's command line."""
    secret = base64.b64encode(public_key.encode()).decode()
    line = f"{box.cmd_line} systemd.set_credential_binary=ssh.authorized_keys.root:{secret}"
    return ["-kernel", str(box.kernel), "-initrd", str(box.initrd), "-append", line]


@contextlib.contextmanager
def booted(
    disk: Path, folder: Path, *words: str, key: Path, interface: str = "virtio", memory: int = 1024, processors: int = 1
) -> Iterator[Machine]:
    """Start a machine from an overlay over the disk, and end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    console = folder / "console.log"
    command: Sequence[str] = [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-m", str(memory), "-smp", str(processors),
        "-display", "none", "-nodefaults",
        "-serial", f"file:{console}", "-drive", f"file={overlay(disk, folder)},if={interface},cache=unsafe",
        "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=net0",
        "-device", "virtio-rng-pci", *words,
    ]  # fmt: skip
    with (folder / "qemu.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Machine(process, port, console, key)
        finally:
            process.kill()
