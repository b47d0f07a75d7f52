"""Whether a machine that boots is still on.

Vagrant's own providers look at this while they wait for SSH ("the guest machine entered an invalid state"); the one for
libvirt goes on waiting for a machine that is off until its limit has passed, ten minutes later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.backend.vagrant.pool import virsh_or_nothing
from labctl.errors import LabError

__all__ = ["Pulse"]

SOON, PAUSE = 0.5, 3.0  # seconds between two questions, before it was seen to run and after
OFF = ("shut off", "crashed")
NEVER_RAN = "(unknown)"  # libvirt's reason why a machine that nobody started yet is off


class Pulse:
    """Feels whether a machine that ran went off again. Only libvirt is asked."""

    def __init__(self, lab: VmLab, machine: Machine, ask: Callable[[Sequence[str]], str] = virsh_or_nothing) -> None:
        self._domain = machine.machine if lab.provider == "libvirt" else ""
        self._machine = machine
        self._ask = ask
        self._ran = False
        self._off_before = ""
        self._next = 0.0

    def check(self, last_words: str) -> None:
        """Raise LabError with its last words when the machine went off."""
        if not self._domain or time.monotonic() < self._next:
            return
        state = self._ask(["domstate", "--reason", self._domain]).strip()
        self._ran = self._ran or state.startswith("running")
        self._next = time.monotonic() + (PAUSE if self._ran else SOON)
        if state.startswith(OFF) and self._has_run(state):
            raise LabError(
                f"{self._machine.name} went off while it booted; its console's last words: {last_words or 'none'}",
                hint="`labctl up` again; with --retain what there is of it stays, to look into.",
            )

    def _has_run(self, off: str) -> bool:
        """One that died between two looks tells by the reason why it is off, which is another than it was before."""
        is_new = not self._machine.is_given and NEVER_RAN not in off
        self._off_before = self._off_before or off
        return self._ran or is_new or off != self._off_before
