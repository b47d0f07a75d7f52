"""A provider that ignores addresses, as Hyper-V does: libvirt forced to be one. The node's address is pinned inside."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator

import pytest

from labctl.lab import Lab, find_lab, open_context
from labctl.state import machines_path
from tests.vm.typed import brought_up, run, virsh

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="giving this host an address takes root"),
]
UP_LIMIT = 900


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One machine with one card, whose address Vagrant is not told."""
    name = f"pi{secrets.token_hex(2)}"
    # No registry: it is published at this host's end of the network, which libvirt has no sooner than its machine.
    with brought_up(name, "--nodes", "1", "--no-registry", limit=UP_LIMIT, LABCTL_PIN_ADDRESSES="1"):
        yield find_lab(open_context(), name)


def test_the_machine_has_one_card_and_two_addresses(lab: Lab) -> None:
    node = lab.manager()
    cards = json.loads(node.expect("ip -j -4 address show up scope global").stdout)
    # Of a card that does not match, `ip` leaves an empty object.
    held = {card["ifname"]: [one["local"] for one in card["addr_info"]] for card in cards if card}

    assert len(held["eth0"]) == 2
    assert node.address in held["eth0"]
    assert "eth1" not in held
    assert virsh("domiflist", f"{lab.name}-manager1").count("virtio") == 1
    assert "labctl.eth1" not in node.expect("cat /proc/cmdline").stdout


def test_the_swarm_goes_by_the_pinned_address(lab: Lab) -> None:
    assert lab.manager().engine.info()["Swarm"]["NodeAddr"] == lab.manager().address
    assert json.loads((machines_path(lab.name) / "lab.json").read_text())["network"]["pinned"]


def test_it_is_kept_over_a_restart(lab: Lab) -> None:
    done = run("restart", "-l", lab.name, "manager1", limit=UP_LIMIT)

    assert done.returncode == 0, done.stderr
    assert run("status", "-l", lab.name).returncode == 0
    assert run("ssh", "-l", lab.name, "manager1", "hostname").stdout.strip() == "manager1"
