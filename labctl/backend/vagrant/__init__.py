"""The vagrant backend: nodes as virtual machines (VirtualBox, Hyper-V, libvirt)."""

from labctl.backend.vagrant.backend import VagrantBackend
from labctl.backend.vagrant.firstboot import Provision
from labctl.backend.vagrant.labfile import Box, VmLab, refuse_other_provider

__all__ = ["Box", "Provision", "VagrantBackend", "VmLab", "refuse_other_provider"]
