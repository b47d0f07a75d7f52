"""A machine that goes off while it boots is told at once, and one that is not on yet is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from labctl.backend.vagrant import pulse
from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.pulse import Pulse
from labctl.errors import LabError
from labctl.spec import NodeSpec


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PAUSE", 0.0)
    monkeypatch.setattr(pulse, "SOON", 0.0)


def felt(*states: str, provider: str = "libvirt", given: bool = False) -> tuple[Pulse, list[Sequence[str]]]:
    lab = VmLab("demo", provider, "172.30.0.0/24").with_node(NodeSpec(name="worker1"), "172.30.0.12")
    left, asked = list(states), []

    def ask(words: Sequence[str]) -> str:
        asked.append(words)
        return f"{left.pop(0)}\n"

    return Pulse(lab, replace(lab.nodes[0], is_given=given), ask), asked


def test_one_that_went_off_is_told_with_its_last_words() -> None:
    feeling, asked = felt("", "shut off (unknown)", "running (booted)", "shut off (crashed)")
    for _ in range(3):
        feeling.check("")

    with pytest.raises(LabError, match="worker1 went off while it booted; its console's last words: Kernel panic"):
        feeling.check("Kernel panic")
    assert asked[0] == ["domstate", "--reason", "demo-worker1"]


def test_one_that_died_between_two_looks_is_told_too() -> None:
    feeling, _ = felt("", "shut off (destroyed)")
    feeling.check("")
    with pytest.raises(LabError, match="went off"):
        feeling.check("")

    feeling, _ = felt("shut off (shutdown)", "shut off (shutdown)", "shut off (crashed)", given=True)
    feeling.check("")
    feeling.check("")
    with pytest.raises(LabError, match="went off"):
        feeling.check("")


def test_one_that_is_not_on_yet_or_stands_still_is_waited_for() -> None:
    feeling, _ = felt("", "shut off (unknown)", "paused (user)", "running (booted)", "paused (user)", "running")

    for _ in range(6):
        feeling.check("")


def test_nobody_is_asked_too_often_and_other_providers_see_to_it_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    feeling, asked = felt("running (booted)", provider="virtualbox")
    feeling.check("")
    assert asked == []

    monkeypatch.setattr(pulse, "PAUSE", 3600.0)
    feeling, asked = felt("running (booted)", "shut off (unknown)")
    for _ in range(5):
        feeling.check("")
    assert len(asked) == 1
