"""labctl and virsh, typed as a user types them, and what a lab of machines may not leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.state import lab_path

__all__ = ["LABCTL", "UP_LIMIT", "brought_up", "left_of", "run", "virsh"]

LABCTL = str(Path(sys.executable).with_name("labctl"))
UP_LIMIT = 900  # seconds; two emulated machines on two busy cores


def run(*words: str, limit: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type a command, and return how it ended."""
    env = os.environ | environment
    done = subprocess.run([LABCTL, *words], capture_output=True, text=True, check=False, timeout=limit, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def brought_up(name: str, *words: str, limit: float = UP_LIMIT, **environment: str) -> Iterator[str]:
    """A lab of libvirt's machines by the command that a user types; yields what it said. Nothing is left at the end."""
    began = time.monotonic()
    done = run(
        "up", "--name", name, "--backend", "vagrant", "--provider", "libvirt", *words, limit=limit, **environment
    )
    print(done.stderr)
    print(f"up took {time.monotonic() - began:.0f} s")
    try:
        assert done.returncode == 0, done.stderr[-2000:]
        yield done.stderr
    finally:
        gone = run("down", "-l", name)
        assert gone.returncode == 0, gone.stderr
        assert not left_of(name)


def virsh(*words: str) -> str:
    """Ask libvirt, beside Vagrant."""
    return subprocess.run(["virsh", "-c", "qemu:///system", *words], capture_output=True, text=True, check=True).stdout


def left_of(name: str) -> str:
    """What is left of a lab that is to be gone; empty for nothing."""
    there = {
        "machines": virsh("list", "--all", "--name"),
        "networks": virsh("net-list", "--all", "--name"),
        "disks": virsh("vol-list", "default"),
        "containers": subprocess.run(["docker", "ps", "-a"], capture_output=True, text=True, check=True).stdout,
    }
    left = [f"{what}: {said}" for what, said in there.items() if name in said]
    return "\n".join([*left, *([str(lab_path(name))] if lab_path(name).exists() else [])])
