"""Bare Debian machines made lab nodes, by Ansible."""

from labctl.provision.ansible import Target, can_control, inventory_of, provision, provision_inside
from labctl.provision.play_log import Recap

__all__ = ["Recap", "Target", "can_control", "inventory_of", "provision", "provision_inside"]
