"""A machine that was suspended, until it goes on with its clock right.

Vagrant finds a libvirt machine by its lease of the first network. That has run out when the machine stood still for an
hour, and the machine asks for another only when its own time has come: until then Vagrant says that it is inaccessible.
So what counts is that the machine answers on the lab's network; the lease is renewed there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from labctl.backend.vagrant.boot import Boot, wait_answering
from labctl.backend.vagrant.labfile import Machine, VmLab, folder_of
from labctl.backend.vagrant.reach import SSH_PORT, answering
from labctl.errors import LabError, WaitTimeout
from labctl.transport import Transport
from labctl.transport.ssh import Ssh
from labctl.waiting import Pending, wait_until

__all__ = ["set_clock", "wake"]

CLOCK_LIMIT = 60.0  # seconds
ANSWER_LIMIT = 60.0  # seconds that a machine may take to answer, when Vagrant has given up on it
LEASE = "if command -v networkctl; then networkctl renew eth0; fi >/dev/null 2>&1 || true"


def wake(lab: VmLab, machine: Machine, transport: Ssh, note: Callable[[str], None]) -> None:
    """Let the machine go on, and set its clock. Raises LabError with what Vagrant said when it does not answer."""
    boot = Boot(folder_of(lab.lab), lab.provider, [machine.name], note, resume=True)
    try:
        try:
            wait_answering(lab, machine, boot, note)
        except LabError as problem:
            _answers_all_the_same(machine, problem)
        transport.close()  # a machine that was put back knows nothing of a connection
        set_clock(transport, machine.name)
        with contextlib.suppress(LabError):
            boot.wait()
    except BaseException:
        boot.abort()
        raise


def set_clock(transport: Transport, node: str) -> None:
    """Set the machine's clock to this host's, as root. Raises LabError with what the machine said."""
    transport.run(["true"], limit=CLOCK_LIMIT)  # to log in takes an emulated machine seconds, in which time goes on
    script = f"date -u -s @{time.time():.3f} >/dev/null && {{ {LEASE}; }}"
    result = transport.run(["/bin/sh", "-c", script], limit=CLOCK_LIMIT)
    if not result.ok:
        said = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.code}"]
        raise LabError(f"{node} goes on, and its clock could not be set: {said[0]}", hint=f"`labctl restart {node}`")


def _answers_all_the_same(machine: Machine, problem: LabError) -> None:
    def look() -> None:
        if not answering([machine.address], port=SSH_PORT):
            raise Pending("no answer")

    try:
        wait_until(f"{machine.name} answering", look, limit=ANSWER_LIMIT, pause=0.5)
    except WaitTimeout:
        raise problem from None
