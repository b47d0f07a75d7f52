"""A machine of somebody else's box becomes a node, task by task, over SSH or inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest

from labctl.errors import LabError
from labctl.lab import provisioning
from labctl.lab.provisioning import NO_DEBIAN, PYTHON, provisioner
from labctl.node import Node
from labctl.provision import Target
from labctl.transport.base import Result, shown

from ..nodes import FakeNode, fake_node

KEY = Path("/home/.vagrant.d/insecure_private_key")
ASKED = shown(["/bin/sh", "-c", PYTHON])


def machine(answer: Result | str = "") -> FakeNode:
    node = fake_node("worker1", address="10.8.0.12")
    node.shell.answers[ASKED] = answer
    return node


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the playbook was run on."""
    runs: list[object] = []

    def over_ssh(targets: Sequence[Target], note: Callable[[str], None], **_: object) -> None:
        runs.extend(targets)
        note("Packages")
        note("worker1: Packages: failed, trying again")

    def inside(nodes: Sequence[Node], note: Callable[[str], None], **_: object) -> None:
        runs.extend(nodes)

    monkeypatch.setattr(provisioning, "provision", over_ssh)
    monkeypatch.setattr(provisioning, "provision_inside", inside)
    return runs


@pytest.mark.usefixtures("state")
def test_over_ssh_with_the_key_that_opens_the_box(ran: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "can_control", lambda: True)
    told: list[str] = []

    provisioner(told.append)(machine(), KEY, Event())

    (target,) = ran
    assert isinstance(target, Target)
    assert (target.name, target.address, target.user, target.key) == ("worker1", "10.8.0.12", "vagrant", KEY)
    assert told == ["worker1: looks for Python", "worker1: Packages", "worker1: Packages: failed, trying again"]


def test_inside_where_ansible_cannot_control(ran: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "can_control", lambda: False)
    node = machine()

    provisioner(lambda _: None)(node, KEY, Event())

    assert ran == [node]


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (Result("sh", NO_DEBIAN), "worker1 is no Debian", "debian/bookworm64"),
        (Result("sh", 100, "", "E: Unable to fetch"), "Python cannot be installed: E: Unable to fetch", "way out"),
    ],
)
def test_what_cannot_become_a_node_is_told_with_the_mend(
    ran: list[object], answer: Result, says: str, hint: str
) -> None:
    with pytest.raises(LabError, match=says) as caught:
        provisioner(lambda _: None)(machine(answer), KEY, Event())

    assert hint in (caught.value.hint or "")
    assert not ran
