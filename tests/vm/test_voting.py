"""The voting app on virtual machines, played and checked: the kernel's own mesh serves it."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator

import pytest

from labctl.lab import Lab, find_lab, open_context
from tests.vm.typed import UP_LIMIT, brought_up, run

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
]
PLAY_LIMIT = 2400  # seconds; emulated machines fetch and start five images each at their own pace


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One manager and two workers, which is what the exercise asks for."""
    name = f"vo{secrets.token_hex(2)}"
    with brought_up(name, "--nodes", "3", limit=UP_LIMIT):
        yield find_lab(open_context(), name)


def test_it_is_solved_and_every_check_passes(lab: Lab) -> None:
    done = run("exercise", "voting-app", "--auto", "-o", "json", "-l", lab.name, limit=PLAY_LIMIT)

    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["outcome"] == "done"
    assert [step["outcome"] for step in report["steps"]] == ["done"] * 8


def test_it_was_the_kernels_own_mesh(lab: Lab) -> None:
    assert json.loads(run("status", "-l", lab.name, "-o", "json").stdout)["mesh"] == "the kernel's own (ip_vs)"
