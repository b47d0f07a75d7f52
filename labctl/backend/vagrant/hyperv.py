"""What Vagrant does not do on Hyper-V, by PowerShell. **None of this has ever run.**"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.backend.vagrant.commands import Run, powershell, quoted, run_for
from labctl.backend.vagrant.labfile import VmLab

__all__ = ["turn_off", "windows_turn_off"]

TURNING_OFF = run_for("turning machines off")


def turn_off(lab: VmLab, names: Sequence[str], ask: Run = TURNING_OFF) -> bool:
    """Pull the plugs of a lab's machines on Hyper-V, and tell whether it is Hyper-V's at all. Raises HostError.

    Vagrant's `halt --force` shuts down in order (stop_vm.ps1: `Stop-VM -Force`), which a paused machine does not take;
    it does so before it restores and destroys, too.
    """
    if lab.provider != "hyperv":
        return False
    machines = [machine.machine for machine in lab.nodes if machine.name in names]
    if machines:
        ask(windows_turn_off(machines))
    return True


def windows_turn_off(machines: Sequence[str]) -> list[str]:
    """The command that turns machines off, where they are there and not off."""
    names = ",".join(quoted(name) for name in machines)
    return powershell(
        f"Get-VM -Name {names} -ErrorAction SilentlyContinue | Where-Object State -ne 'Off' | Stop-VM -TurnOff -Force"
    )
