"""Three recorded plays of lessons, played again: what a learner typed then leads to the same ticks now.

Each takes a minute or two: a run plays one, another one each day; LABCTL_LESSONS=all plays all three.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl.assets import asset
from labctl.exercise import read_exercise
from labctl.lab import Lab

from .plays import Recording, replay
from .verbs import labctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ALL = sorted((Path(__file__).parent / "plays").glob("*.cast"))
TODAY = ALL if os.environ.get("LABCTL_LESSONS") else [ALL[datetime.now(UTC).timetuple().tm_yday % len(ALL)]]


@pytest.mark.parametrize("file", TODAY, ids=[file.stem for file in TODAY])
def test_a_recorded_play_is_played_again(file: Path, make_lab: Callable[..., Lab]) -> None:
    recording = Recording.read(file)
    lesson = asset("exercises") / recording.lesson
    lab = make_lab(workers=2, swarm=read_exercise(lesson).front.lab.swarm)

    ticked = replay(recording, lesson, lab)

    assert ticked == recording.ticks()
    assert labctl("exercise", "check", "--all", "-x", recording.lesson, lab=lab.name).code in (0, 1)
