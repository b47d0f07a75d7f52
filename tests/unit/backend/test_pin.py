"""A node's address inside its machine: what the machine is asked to do, and what it says when it cannot."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from labctl.backend.vagrant import VmLab
from labctl.backend.vagrant.pin import SCRIPT, pin
from labctl.errors import LabError
from labctl.spec import NodeSpec
from labctl.transport import FakeTransport
from labctl.transport.base import Result, shown

LAB = VmLab("demo", "hyperv", "172.30.0.0/20", pinned=True).with_node(NodeSpec(name="worker1"), "172.30.0.12")
ASKED = shown(["/bin/sh", "-c", SCRIPT, "pin", "172.20.8.9", "172.30.0.12/20"])


def test_the_machine_is_told_where_it_was_found_and_what_it_shall_have() -> None:
    transport = FakeTransport({ASKED: ""})

    pin(transport, LAB.nodes[0], LAB, "172.20.8.9")

    assert transport.commands == [ASKED]


def test_one_that_cannot_says_why() -> None:
    transport = FakeTransport({ASKED: Result("sh", 1, "", "no card has the address 172.20.8.9\n")})

    with pytest.raises(LabError) as caught:
        pin(transport, LAB.nodes[0], LAB, "172.20.8.9")
    assert caught.value.message == (
        "worker1, found at 172.20.8.9, did not take the address 172.30.0.12/20: no card has the address 172.20.8.9"
    )


@pytest.mark.parametrize("address", ["192.0.2.77", "127.0.0.1"])
def test_an_address_that_is_on_no_card_changes_nothing(address: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", SCRIPT, "pin", address, "10.0.0.1/24"], capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr == f"no card has the address {shlex.quote(address)}\n"
