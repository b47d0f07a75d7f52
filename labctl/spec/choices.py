"""What a spec may choose from, for those who need the words and not the model."""

from __future__ import annotations

__all__ = ["PROVIDERS"]

PROVIDERS = ("libvirt", "virtualbox", "hyperv")  # who runs virtual machines, best first
