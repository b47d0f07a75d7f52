"""What a spec may choose from, for those who need the words and not the model."""

from __future__ import annotations

__all__ = ["HYPERV_SWITCH", "MACHINE_MEMORY_MIB", "PROVIDERS"]

HYPERV_SWITCH = "HYPERV_VIRTUAL_SWITCH"  # the variable that names Hyper-V's switch; docker-machine's own

MACHINE_MEMORY_MIB = 1024  # of a virtual machine where nothing is said
PROVIDERS = ("libvirt", "virtualbox", "hyperv")  # who runs virtual machines, best first
