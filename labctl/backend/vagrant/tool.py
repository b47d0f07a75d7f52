"""Vagrant, as the calls that a lab needs. The one importer of python-vagrant; its errors become ours here."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from labctl.errors import HostError, LabError
from labctl.state import at_home
from labctl.words import EXTRA_VAGRANT

__all__ = ["Tool", "insecure_key", "pattern_of", "remove_box", "vagrant_home"]

# ==> worker1: Booting VM...      and the continuation lines     worker1: SSH auth method: private key
SAYS = re.compile(r"^(?:==>|   ) (?P<machine>[^:\s]+): (?P<text>.*)$")
INSTALL = f"`{EXTRA_VAGRANT}` brings what drives Vagrant."
# What Vagrant puts around an error: what several machines did at once, and where in its code it was.
FRAME = re.compile(
    r"error occurred|errors that occurred|Please report this as a bug|error executing the action|^/\S+\.rb:\d+|"
    r"^'[^']+' machine|shown below"
)
TAKEN = "already in use by interface"
TRY_AGAIN = "Somebody else's network took the subnet meanwhile: the same command finds another one that is free."
NO_SNAPSHOTS = "provider doesn't support snapshots"
MOST_WORDS = 3  # lines of Vagrant's complaint that are told: the first says what, the others seldom why


class Tool:
    """Vagrant in one folder. `heard` gets each machine's lines while a command runs."""

    def __init__(self, folder: Path, provider: str, *, heard: Callable[[str, str], None] | None = None) -> None:
        self._folder = folder
        self._provider = provider
        self._heard = heard or (lambda _machine, _text: None)

    def up(self, machines: Sequence[str]) -> None:
        """Make or start the machines. Raises LabError with what Vagrant said."""
        with self._driven() as (vagrant, errors):
            self._follow(vagrant.up(vm_name=pattern_of(machines), provider=self._provider, stream_output=True), errors)

    def halt(self, machines: Sequence[str], *, force: bool = False) -> None:
        """Shut machines down in order, or pull their plugs; those that are down are fine."""
        with self._driven() as (vagrant, _):
            vagrant.halt(vm_name=pattern_of(machines), force=force)

    def suspend(self, machines: Sequence[str]) -> None:
        """Let machines stand still; those that are down, or do so already, are fine."""
        with self._driven() as (vagrant, _):
            vagrant.suspend(vm_name=pattern_of(machines))

    def resume(self, machines: Sequence[str]) -> None:
        """Let machines go on; those that run are fine. Returns when Vagrant has logged in."""
        with self._driven() as (vagrant, _):
            vagrant.resume(vm_name=pattern_of(machines))

    # python-vagrant's own calls name no machine, and what it reads of a list is not whose.

    def save_snapshot(self, machines: Sequence[str], name: str) -> None:
        """Keep what the machines are, one after the other; what is left of an older one of that name goes."""
        self._snapshot("save", "--force", pattern_of(machines), name)

    def restore_snapshot(self, machines: Sequence[str], name: str) -> None:
        """Put the machines back, one after the other. libvirt leaves those suspended that were; Hyper-V starts all."""
        # None goes on before the last is put back: VirtualBox would start each at once.
        stay = ["--no-start"] if self._provider == "virtualbox" else []
        self._snapshot("restore", *stay, pattern_of(machines), name)

    def delete_snapshot(self, machines: Sequence[str], name: str) -> None:
        """Forget a snapshot that all of these machines have."""
        self._snapshot("delete", pattern_of(machines), name)

    def snapshots(self) -> Mapping[str, Sequence[str]]:
        """The names of each machine's snapshots; machines without any are left out."""
        found: dict[str, list[str]] = {}
        with self._driven() as (vagrant, _):
            said = str(vagrant._run_vagrant_command(["snapshot", "list", "--machine-readable"]))
        for line in said.splitlines():
            _time, machine, kind, *rest = [*line.split(",", 4), "", "", ""]
            # A name is a detail without its machine before it; the talk where there is none has it.
            if kind == "ui" and rest[0] == "detail" and not SAYS.match(rest[1]):
                found.setdefault(machine, []).append(rest[1])
        return found

    def _snapshot(self, *words: str) -> None:
        with self._driven() as (vagrant, _):
            vagrant._call_vagrant_command(["snapshot", *words])

    def destroy(self, machines: Sequence[str]) -> None:
        """Remove machines with their disks; those that were never made are fine."""
        with self._driven() as (vagrant, _):
            vagrant.destroy(vm_name=pattern_of(machines))

    def states(self) -> Mapping[str, str]:
        """Each machine's state in Vagrant's words: running, shutoff, poweroff, saved, paused, not_created."""
        with self._driven() as (vagrant, _):
            return {found.name: str(found.state) for found in vagrant.status()}

    def way_in(self, machine: str) -> tuple[str, int]:
        """The address and port by which Vagrant comes into a machine that runs. Raises LabError when there is none."""
        with self._driven() as (vagrant, _):
            said = vagrant.conf(vm_name=machine)
        return str(said["HostName"]), int(said["Port"])

    def _follow(self, lines: Iterable[str], errors: IO[bytes]) -> None:
        for line in lines:
            found = SAYS.match(line.rstrip())
            if found:
                self._heard(found["machine"], found["text"].strip())
        errors.flush()

    @contextlib.contextmanager
    def _driven(self) -> Iterator[tuple[Any, IO[bytes]]]:
        try:
            import vagrant
        except ImportError as missing:
            raise HostError("virtual machines need python-vagrant, which is not installed", hint=INSTALL) from missing
        with tempfile.TemporaryFile() as errors:

            @contextlib.contextmanager
            def collecting() -> Iterator[IO[bytes]]:
                yield errors

            maker: Any = vagrant.Vagrant  # python-vagrant has no types
            driver = maker(root=str(self._folder), err_cm=collecting, out_cm=collecting, env=_environment())
            try:
                yield driver, errors
            except RuntimeError as problem:  # no executable of that name
                raise HostError("Vagrant is not installed", hint="`labctl doctor --backend vagrant` tells how.") from (
                    problem
                )
            except subprocess.CalledProcessError as failed:
                complaint = _complaint(failed, errors)
                if NO_SNAPSHOTS in complaint:
                    what = f"machines of {self._provider} have no snapshots"
                    raise HostError(what, hint="libvirt's, VirtualBox's and Hyper-V's have them.") from failed
                raise LabError(complaint, hint=TRY_AGAIN if TAKEN in complaint else None) from failed


def pattern_of(machines: Sequence[str]) -> str:
    """Name several machines in one word, which spares a start of Vagrant for each of them."""
    if len(machines) == 1:
        return machines[0]
    return f"/^({'|'.join(re.escape(name) for name in machines)})$/"


def remove_box(name: str, provider: str) -> None:
    """Let Vagrant forget a box; whether a machine is a copy of it is not asked. Raises LabError, HostError."""
    with Tool(vagrant_home(), provider)._driven() as (vagrant, _):
        vagrant.box_remove(name, provider)


def vagrant_home() -> Path:
    """Where Vagrant keeps its boxes, and the key that opens each of them for the first time."""
    chosen = os.environ.get("VAGRANT_HOME", "~/.vagrant.d")
    return at_home(lambda: Path(chosen).expanduser(), "VAGRANT_HOME names another folder.")


def insecure_key() -> Path:
    """The well-known key that opens a box for the first time."""
    return vagrant_home() / "insecure_private_key"


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "VAGRANT_CHECKPOINT_DISABLE": "1",  # no call home, no wait for it
        "VAGRANT_NO_COLOR": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    }


def _complaint(failed: subprocess.CalledProcessError, errors: IO[bytes]) -> str:
    """What Vagrant said when it failed, in one line."""
    errors.seek(0)
    said = errors.read().decode(errors="replace") + (failed.output or b"").decode(errors="replace")
    words = [line.strip() for line in said.splitlines() if line.strip() and not FRAME.search(line)]
    told = [SAYS.sub(r"\g<text>", line) for line in words if not line.startswith("==>")] or words
    command = failed.cmd[1] if len(failed.cmd) > 1 else "?"
    return f"vagrant {command} failed: {' '.join(told[:MOST_WORDS]) or f'exit code {failed.returncode}'}"
