"""What is down already is not brought down again, and nobody says that it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.common import App
from labctl.lab import Lab

from ..exercise.conftest import lab_with
from .conftest import Labctl


@pytest.fixture
def lab(state: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose worker1 is down."""
    found = lab_with("manager1", "worker1", worker1="exited")
    monkeypatch.setattr(App, "lab", lambda _self: found)
    return found


@pytest.mark.parametrize("verb", ["kill", "stop"])
def test_a_node_that_is_down_is_left_alone(labctl: Labctl, lab: Lab, verb: str) -> None:
    outcome = labctl(verb, "worker1")

    assert (outcome.code, outcome.err) == (0, "Nothing to do: worker1: down already.\n")


@pytest.mark.parametrize(("verb", "told"), [("kill", "killed"), ("stop", "stopped")])
def test_of_several_only_those_that_run_are_named(
    labctl: Labctl, lab: Lab, monkeypatch: pytest.MonkeyPatch, verb: str, told: str
) -> None:
    down: list[str] = []
    monkeypatch.setattr(Lab, verb, lambda _self, nodes: down.extend(node.name for node in nodes))

    outcome = labctl(verb, "manager1", "worker1")

    assert (down, outcome.err) == (["manager1"], f"manager1: {told}.\n")
