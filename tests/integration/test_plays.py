"""Recorded plays of lessons, played again: what a learner did then is shown in the same words now.

Each takes a minute or two: a run plays one, another one each day; LABCTL_LESSONS=all plays all three.
"""

from __future__ import annotations

import difflib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl.assets import asset
from labctl.exercise import read_exercise
from labctl.exercise.language import file_in
from labctl.lab import Lab
from tests.integration.plays import Recording, normal, play
from tests.integration.verbs import labctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ALL = sorted((Path(__file__).parent / "plays").glob("*.yaml"))
TODAY = ALL if os.environ.get("LABCTL_LESSONS") else [ALL[datetime.now(UTC).timetuple().tm_yday % len(ALL)]]


@pytest.mark.parametrize("file", TODAY, ids=[file.stem for file in TODAY])
def test_a_recorded_play_is_played_again(file: Path, shared_lab: Lab) -> None:
    recording = Recording.read(file)
    folder = asset("exercises") / recording.lesson
    exercise = read_exercise(folder, file_in(folder, recording.language))
    try:
        shown = play(recording, exercise, shared_lab)
    finally:
        labctl("exercise", "reset", "-x", recording.lesson, "--yes", lab=shared_lab.name)

    then, now = normal(recording.text), normal(shown)
    other = [line for line in difflib.unified_diff(then, now, lineterm="", n=4) if not line.startswith("@@")]
    assert now == then, " ".join(other)
