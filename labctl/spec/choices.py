"""What a spec may choose from, for those who need the words and not the model."""

from __future__ import annotations

__all__ = ["MACHINE_MEMORY_MIB", "PROVIDERS"]

MACHINE_MEMORY_MIB = 1024  # of a virtual machine where nothing is said
PROVIDERS = ("libvirt", "virtualbox", "hyperv")  # who runs virtual machines, best first
