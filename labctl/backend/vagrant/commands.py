"""Commands of this host's that are not Vagrant's: PowerShell, virsh, VBoxManage."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from labctl.errors import HostError
from labctl.host.programs import find_program

__all__ = ["Run", "powershell", "quoted", "run_for"]

LIMIT = 60.0  # seconds; PowerShell is slow to wake
Run = Callable[[Sequence[str]], str]


def powershell(line: str) -> list[str]:
    """PowerShell's command line for a line that ends at its first error."""
    return ["powershell", "-NoProfile", "-NonInteractive", "-Command", f"$ErrorActionPreference = 'Stop'; {line}"]


def quoted(text: str) -> str:
    """PowerShell's plain string: only its own quote means something in it."""
    return "'" + text.replace("'", "''") + "'"


def run_for(what: str) -> Run:
    """Return what runs a command and returns what it printed; its HostError says what that was to be for."""

    def run(command: Sequence[str]) -> str:
        program = find_program(command[0]) or command[0]
        hint = "It takes an elevated shell on Windows, and root on Linux."
        try:
            done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=LIMIT, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise HostError(f"{what} failed: {problem}", hint=hint) from problem
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[:1] or [f"exit code {done.returncode}"]
            raise HostError(f"{what} failed: {command[0]}: {said[0]}", hint=hint)
        return done.stdout

    return run
