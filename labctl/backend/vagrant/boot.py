"""Machines on their way up: one `vagrant up` for all of them, and what each was last heard to say."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.backend.vagrant.pulse import Pulse
from labctl.backend.vagrant.reach import SSH_PORT, answering
from labctl.backend.vagrant.tool import Tool, pattern_of
from labctl.errors import LabctlError
from labctl.waiting import Pending, wait_until

if TYPE_CHECKING:
    import psutil

__all__ = ["Boot", "console_tail", "wait_answering"]

COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][AB0]")  # what a console says to a terminal
# Vagrant gives up at its own boot_timeout (600 s in the Vagrantfile) and says why; this is a little more.
BOOT_LIMIT = 660.0
QUEUE_LIMIT = 6 * 3600.0  # seconds; those before it give up by their own limits, and with them all
ABORT_LIMIT = 90.0  # seconds that Vagrant has for its tidying up
TAIL = 4096  # bytes of a console that are read for its last line


class Boot:
    """A `vagrant up` of several machines that runs in the background. `note` hears each step of each of them.

    With `resume` it is a `vagrant resume`.
    """

    def __init__(
        self,
        folder: Path,
        provider: str,
        machines: Sequence[str],
        note: Callable[[str], None],
        *,
        resume: bool = False,
    ) -> None:
        self._note = note
        self._said: dict[str, str] = {}
        self._word = pattern_of(machines)
        tool = Tool(folder, provider, heard=self._hear)
        pool = ThreadPoolExecutor(1, "labctl-vagrant")
        self._running: Future[None] = pool.submit(tool.resume if resume else tool.up, list(machines))
        pool.shutdown(wait=False)

    def wait_begun(self, machine: str) -> None:
        """Wait until Vagrant is at this machine; raises as `check`. VirtualBox's and Hyper-V's come one by one."""

        def look() -> None:
            self.check()
            if machine not in self._said and not self._running.done():
                raise Pending("others come first")

        wait_until(f"Vagrant's coming to {machine}", look, limit=QUEUE_LIMIT, pause=0.1, longest_pause=1.0)

    def check(self) -> None:
        """Raise what made Vagrant give up, if it did."""
        if self._running.done():
            self._running.result()

    def wait(self) -> None:
        """Wait for Vagrant's end. Raises what went wrong."""
        self._running.result()

    def abort(self) -> None:
        """Interrupt Vagrant, as Ctrl-C would, and wait until it has tidied up; what it says then is of no interest."""
        import psutil

        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                words = child.cmdline()
                if "vagrant" in " ".join(words) and self._word in words and not self._running.done():
                    _interrupt(child)
        with contextlib.suppress(LabctlError, TimeoutError):
            self._running.result(timeout=ABORT_LIMIT)

    def said(self, machine: str) -> str:
        """What Vagrant said of the machine last."""
        return self._said.get(machine, "nothing yet")

    def _hear(self, machine: str, text: str) -> None:
        self._said[machine] = text
        self._note(f"{machine}: {text.rstrip('.')}")


def _interrupt(vagrant: psutil.Process) -> None:
    """HashiCorp's own package starts Ruby below a launcher that is deaf to interrupts (vagrant-installers' main.go)."""
    import psutil

    for process in [*vagrant.children(recursive=True), vagrant]:
        with contextlib.suppress(psutil.Error):
            if sys.platform == "win32":
                process.terminate()  # nobody can be interrupted alone there; on Ctrl-C all at the console are
            elif "vagrant" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGINT)


def wait_answering(lab: VmLab, machine: Machine, boot: Boot | None, note: Callable[[str], None]) -> None:
    """Wait until the machine takes SSH connections on the lab's network.

    `boot` is what it is on its way by; raises what makes that give up, and LabError when the machine goes off.
    """
    if boot is not None:
        boot.wait_begun(machine.name)
    pulse = Pulse(lab, machine)

    def look() -> None:
        if answering([machine.address], port=SSH_PORT):
            return
        if boot is not None:
            boot.check()
        said = console_tail(Path(machine.console))
        pulse.check(said)
        waits_for = boot.said(machine.name) if boot is not None else "it boots"
        raise Pending(f"{machine.name}: {waits_for}; its console: {said or 'nothing yet'}")

    wait_until(f"{machine.name} answering", look, limit=BOOT_LIMIT, pause=0.3, longest_pause=1.0, noted=note)


def console_tail(path: Path) -> str:
    """The last line of a console's log; empty when it said nothing."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in COLOURS.sub("", text).replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:120] if lines else ""
