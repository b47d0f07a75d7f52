"""This host's end of a network whose addresses are pinned: the commands, word by word. Those for Windows never ran."""

from __future__ import annotations

import pytest

from labctl.backend.vagrant import VmLab
from labctl.backend.vagrant.hostend import lay, lift, windows_lay, windows_lift
from labctl.errors import HostError

POWERSHELL = ["powershell", "-NoProfile", "-NonInteractive", "-Command"]
HYPERV = VmLab("demo", "hyperv", "172.30.0.0/24", pinned=True)
LIBVIRT = VmLab("demo", "libvirt", "172.30.0.0/24", pinned=True)


class Ran(list[list[str]]):
    """Commands that were run; virsh answers `told`."""

    def __init__(self, told: str = "") -> None:
        super().__init__()
        self.told = told

    def __call__(self, command: object) -> str:
        assert isinstance(command, list)
        self.append(command)
        return self.told


def test_windows_end_of_a_switch_gets_one_address_more() -> None:
    assert windows_lay("Default Switch", "172.30.0.1", 24) == [
        *POWERSHELL,
        "$ErrorActionPreference = 'Stop'; "
        "if (-not (Get-NetIPAddress -InterfaceAlias 'vEthernet (Default Switch)' -IPAddress '172.30.0.1' "
        "-ErrorAction SilentlyContinue)) "
        "{ New-NetIPAddress -InterfaceAlias 'vEthernet (Default Switch)' -IPAddress '172.30.0.1' "
        "-PrefixLength 24 -PolicyStore ActiveStore | Out-Null }",
    ]


def test_and_loses_it_again() -> None:
    assert windows_lift("Default Switch", "172.30.0.1") == [
        *POWERSHELL,
        "$ErrorActionPreference = 'Stop'; "
        "Get-NetIPAddress -InterfaceAlias 'vEthernet (Default Switch)' -IPAddress '172.30.0.1' "
        "-ErrorAction SilentlyContinue | Remove-NetIPAddress -Confirm:$false",
    ]


def test_a_switchs_name_is_a_name_and_no_command() -> None:
    assert "'vEthernet (it''s $(mine))'" in windows_lay("it's $(mine)", "172.30.0.1", 24)[-1]


def test_on_hyper_v_it_is_the_labs_switch() -> None:
    ran = Ran()
    lay(HYPERV, ran)
    lift(HYPERV, ran)

    assert ran == [windows_lay("Default Switch", "172.30.0.1", 24), windows_lift("Default Switch", "172.30.0.1")]


def test_on_libvirt_it_is_the_bridge_of_vagrants_network() -> None:
    ran = Ran("Name:           labctl-demo-nat\nActive:         yes\nBridge:         virbr7\n")
    lay(LIBVIRT, ran)
    lift(LIBVIRT, ran)

    assert ran == [
        ["virsh", "-q", "-c", "qemu:///system", "net-info", "labctl-demo-nat"],
        ["ip", "address", "replace", "172.30.0.1/24", "dev", "virbr7"],
    ]


def test_a_network_without_a_bridge_is_named() -> None:
    with pytest.raises(HostError, match="labctl-demo-nat has no bridge"):
        lay(LIBVIRT, Ran("Name: x\n"))
