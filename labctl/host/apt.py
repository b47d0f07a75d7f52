"""Packages of Debian and its kin. A failed download is tried again: names fail to resolve for a minute now and then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.errors import HostError, WaitTimeout
from labctl.host.shell import Note, Shell
from labctl.transport.base import Result
from labctl.waiting import Clock, Pending, wait_until

__all__ = ["download_failed", "engine_packages", "install", "update"]

TRY_FOR = 120.0  # seconds over which failed downloads are tried again
FIRST_PAUSE, LONGEST_PAUSE = 4.0, 40.0
APT_LIMIT = 900.0  # seconds that one run may take on a slow line
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120")
# What apt says when the network is at fault. `apt-get update` ends with 0 all the same.
_NETWORK_WORDS = (
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Connection failed",
    "Connection timed out",
    "Unable to connect",
    "Failed to fetch",
    "Hash Sum mismatch",
    "Some index files failed to download",
)


def update(shell: Shell, *, note: Note, clock: Clock | None = None) -> str:
    """Fetch the package lists, and return why some did not come, "" when all did.

    One source out of many is often dead for good, and the packages may well be in another. Raises
    HostError with apt's own words when it refuses.
    """
    try:
        _until_downloaded(shell, (*_APT, "update"), "the package lists", note, clock)
    except WaitTimeout as timeout:
        return timeout.last_seen
    return ""


def install(shell: Shell, packages: Sequence[str], *, note: Note, clock: Clock | None = None) -> None:
    """Install packages, without what they merely recommend.

    Raises HostError with apt's own words when it refuses, WaitTimeout when downloads fail for two minutes.
    """
    command = (*_APT, "install", "-y", "--no-install-recommends", *packages)
    _until_downloaded(shell, command, f"the packages {' '.join(packages)}", note, clock)


def engine_packages(shell: Shell, *, apparmor: Path = Path("/sys/module/apparmor/parameters/enabled")) -> list[str]:
    """Return the packages that make an engine here; the package lists must be there.

    Debian 12 and Ubuntu have the `docker` command in docker.io, Debian 13 in docker-cli. Where the kernel
    has AppArmor on, no container starts without its parser.
    """
    packages = ["docker.io", "iptables", "ca-certificates"]
    if shell.run(["apt-cache", "show", "--no-all-versions", "docker-cli"], limit=60).ok:
        packages.append("docker-cli")
    if apparmor.exists() and apparmor.read_text().strip() == "Y":
        packages.append("apparmor")
    return packages


def download_failed(result: Result) -> str | None:
    """Return apt's line when a download failed, whatever its exit code; None when that was not it."""
    for line in result.stdout.splitlines():
        if line.startswith(("E:", "W:", "Err:")) and any(word in line for word in _NETWORK_WORDS):
            return line.strip()
    return None


def _until_downloaded(shell: Shell, command: Sequence[str], what: str, note: Note, clock: Clock | None) -> None:
    def attempt() -> None:
        result = shell.run(command, limit=APT_LIMIT, note=note)
        if (failure := download_failed(result)) is not None:
            note(f"again soon: {failure}")
            raise Pending(failure)
        if not result.ok:
            said = [line for line in result.stdout.splitlines() if line.startswith("E:")] or ["it printed nothing"]
            raise HostError(
                f"`{result.shown}` exited {result.code}: {said[-1]}", hint="Run it by hand, then try again."
            )

    wait_until(
        what,
        attempt,
        limit=TRY_FOR,
        pause=FIRST_PAUSE,
        longest_pause=LONGEST_PAUSE,
        clock=clock,
        hint="Is this machine's network up? `labctl doctor --fix` tries again.",
    )
