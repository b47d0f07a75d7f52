"""A lab's host-only network on VirtualBox goes with the lab, and nobody else's does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.virtualbox import forget_network
from labctl.errors import HostError

# As VBoxManage 7 prints them; of macOS's networks Vagrant's driver (version_7_0.rb) reads these keys.
INTERFACES = """\
Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
DHCP:            Disabled
IPAddress:       192.168.56.1
NetworkMask:     255.255.255.0
IPV6Address:
HardwareAddress: 0a:00:27:00:00:00
Status:          Down
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

Name:            VirtualBox Host-Only Ethernet Adapter #2
GUID:            786f6276-656e-4174-8000-0a0027000001
DHCP:            Disabled
IPAddress:       192.168.57.1
NetworkMask:     255.255.255.0
VBoxNetworkName: HostInterfaceNetworking-VirtualBox Host-Only Ethernet Adapter #2

"""
NETWORKS = """\
Name:            vagrantnet-vbox1
GUID:            4c6c05b4-5b1d-4d8b-8b0e-0a0027000000

State:           Enabled
NetworkMask:     255.255.255.0
LowerIP:         192.168.57.0
UpperIP:         192.168.57.0
VBoxNetworkName: hostonly-vagrantnet-vbox1

"""
LAB = VmLab("demo", "virtualbox", "192.168.57.0/24")


class VBoxManage:
    """Answers what is scripted; what it is not told of fails, as with a VirtualBox that does not know the word."""

    def __init__(self, script: Mapping[str, str]) -> None:
        self.script = script
        self.removed: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> str:
        tool, verb, *rest = command
        assert tool == "VBoxManage"
        if verb != "list":
            self.removed.append([verb, *rest])
            return ""
        if rest[0] not in self.script:
            raise HostError("VBoxManage list failed: Invalid parameter")
        return self.script[rest[0]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_interface_with_the_labs_address_goes(end: str) -> None:
    tool = VBoxManage({"hostonlyifs": INTERFACES.replace("\n", end)})
    forget_network(LAB, tool)

    assert tool.removed == [["hostonlyif", "remove", "VirtualBox Host-Only Ethernet Adapter #2"]]


def test_so_does_the_network_that_macos_has_in_its_place() -> None:
    tool = VBoxManage({"hostonlyifs": "", "hostonlynets": NETWORKS})
    forget_network(LAB, tool)

    assert tool.removed == [["hostonlynet", "remove", "--name", "vagrantnet-vbox1"]]


def test_other_providers_and_networks_are_left_alone() -> None:
    tool = VBoxManage({"hostonlyifs": INTERFACES})
    forget_network(VmLab("demo", "libvirt", "192.168.57.0/24"), tool)
    forget_network(VmLab("demo", "virtualbox", "192.168.60.0/24"), tool)

    assert tool.removed == []
