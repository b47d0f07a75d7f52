"""The lessons that labctl ships keep the rules on a real lab: a step fails untouched, and passes when it is solved.

Each takes one to four minutes, so that a run tries three of them: first those whose files changed in the last day,
then others in turn, day by day. Their names stand in the tests' ids. LABCTL_LESSONS=all tries all
(`make test-course`), LABCTL_LESSONS=secrets,only-local those.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from labctl.assets import asset
from labctl.cli.main import run
from labctl.exercise import read_exercise
from labctl.exercise.model import LabNeeds
from labctl.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1500)]

Make = Callable[..., Lab]
ALL = sorted(folder.parent.name for folder in asset("exercises").glob("*/exercise.md"))
ELSEWHERE = ("voting-app",)  # has tests of its own, each time
SAMPLE = 3


def chosen() -> list[str]:
    """The lessons of this run."""
    said = os.environ.get("LABCTL_LESSONS", "")
    if said == "all":
        return ALL
    if said:
        return said.split(",")
    here = [name for name in ALL if name not in ELSEWHERE]
    first = datetime.now(UTC).timetuple().tm_yday * SAMPLE % len(here)
    in_turn = [*here[first:], *here[:first]]
    return sorted(in_turn, key=lambda name: name not in touched())[:SAMPLE]


@cache
def touched() -> frozenset[str]:
    """The lessons whose files changed in the last day, where git can tell."""
    said = subprocess.run(
        ["git", "log", "--since=1.day", "--name-only", "--format=", "--", "exercises"],
        cwd=asset("exercises").parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return frozenset(Path(line).parts[1] for line in said.stdout.splitlines() if line)


@pytest.fixture(scope="module")
def lab_for(make_lab: Make) -> Callable[[LabNeeds], AbstractContextManager[Lab]]:
    """A lab for a lesson: those that want the same kind of lab share one, and each takes away what it made.

    One in which a lesson failed is nobody else's: what it left would be blamed on the next.
    """
    made: dict[tuple[str, int, int], Lab] = {}

    @contextmanager
    def lab(need: LabNeeds) -> Iterator[Lab]:
        shape = (need.swarm, need.managers, need.workers if need.managers > 1 else max(2, need.workers))
        if shape not in made:
            made[shape] = make_lab(swarm=shape[0], managers=shape[1], workers=shape[2])
        try:
            yield made[shape]
        except BaseException:
            made.pop(shape).down()
            raise

    return lab


@pytest.mark.parametrize("lesson", chosen())
def test_a_lesson_keeps_the_rules(
    lesson: str, lab_for: Callable[[LabNeeds], AbstractContextManager[Lab]], capsys: pytest.CaptureFixture[str]
) -> None:
    exercise = read_exercise(asset("exercises") / lesson)

    with lab_for(exercise.front.lab) as lab:
        code = run(["exercise", "test", lesson, "--yes", "-l", lab.name])
        said = capsys.readouterr().err
        assert code == 0, said

    assert said.count("passes solved, and solved twice") == len(exercise.steps)
