"""Machines on Hyper-V are turned off by PowerShell: its command, word by word. It has never run."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.backend.vagrant.hyperv import turn_off
from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.states import our_word
from labctl.spec import NodeSpec


def lab_of(provider: str) -> VmLab:
    lab = VmLab("it's", provider, "172.30.0.0/24")
    for number, name in enumerate(("manager1", "worker1", "worker2"), start=11):
        lab = lab.with_node(NodeSpec(name=name), f"172.30.0.{number}")
    return lab


def test_the_named_machines_are_turned_off_where_they_are_on() -> None:
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> str:
        ran.append(command)
        return ""

    assert turn_off(lab_of("hyperv"), ["manager1", "worker2"], run)
    assert [words[-1] for words in ran] == [
        "$ErrorActionPreference = 'Stop'; Get-VM -Name 'it''s-manager1','it''s-worker2' -ErrorAction SilentlyContinue "
        "| Where-Object State -ne 'Off' | Stop-VM -TurnOff -Force"
    ]


def test_nobody_is_asked_for_no_machine_and_for_another_providers() -> None:
    def never(_command: Sequence[str]) -> str:
        raise AssertionError("nobody is to be asked")

    assert turn_off(lab_of("hyperv"), [], never)
    assert not turn_off(lab_of("libvirt"), ["manager1"], never)


def test_a_machine_that_cannot_be_reached_runs_on_libvirt_alone() -> None:
    assert our_word("inaccessible", "libvirt") == "running"
    assert our_word("inaccessible", "virtualbox") == "exited"
    words = ("running", "saved", "paused", "poweroff", "aborted", "off", "not_created")
    assert [our_word(word, "virtualbox") for word in words] == [
        "running", "paused", "paused", "exited", "exited", "exited", "gone",
    ]  # fmt: skip
