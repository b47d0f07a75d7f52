"""exercise preview and messages: what an author sees while writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.assets import asset
from labctl.exercise.preview import stamp
from labctl.exercise.template import write_template
from tests.guard import HANGING

from .conftest import Labctl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_template(tmp_path / "mine")
    return tmp_path / "mine"


def test_it_shows_the_whole_exercise_and_all_that_learners_do_not_see_at_first(labctl: Labctl, folder: Path) -> None:
    shown = labctl("exercise", "preview", str(folder))

    assert shown.code == 0, shown.err
    for words in ("1 of 1", "Ticked:", "The service web runs.", "Hint 1 of 1.", "Solution.", "Not shown (reset)"):
        assert words in shown.out, words
    assert shown.out.count("docker service create --detach") == 1, "what the solution shows is not shown twice"


def test_one_step_alone(labctl: Labctl) -> None:
    shown = labctl("exercise", "preview", str(asset("exercises") / "secrets"), "use", "--lang", "en")

    assert "2 of 5" in shown.out
    assert "1 of 5" not in shown.out


def test_a_debrief_that_begins_with_a_drawing_stays_one(labctl: Labctl) -> None:
    shown = labctl("exercise", "preview", str(asset("exercises") / "mesh"), "--lang", "en")

    assert "Debrief. ```" not in shown.out and "Debrief.** ```" not in shown.out


def test_what_is_wrong_comes_last_and_the_rest_is_shown_all_the_same(labctl: Labctl, folder: Path) -> None:
    checks = folder / "test_mine.py"
    checks.write_text(checks.read_text().replace("def test_web_runs(swarm)", "def test_web_runs(swarms)"))
    shown = labctl("exercise", "preview", str(folder))

    assert shown.code == 1
    assert "test_mine.py:" in shown.err
    assert "did you mean swarm?" in shown.err
    assert "1 of 1" in shown.out

    (folder / "exercise.md").write_text("## No front matter {#a}\n")
    unreadable = labctl("exercise", "preview", str(folder))
    assert unreadable.code == 1
    assert "exercise.md" in unreadable.err
    assert labctl("exercise", "preview", str(folder / "nothing")).code == 2


def test_a_saved_file_makes_another_stamp(folder: Path) -> None:
    before = stamp(folder)
    assert stamp(folder) == before
    (folder / "exercise.md").write_text("x")
    assert stamp(folder) != before


def test_watch_shows_it_anew_when_a_file_is_saved(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "labctl", "exercise", "preview", str(folder), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            assert next(line for line in lines if "1 of 1" in line)
            file = folder / "exercise.md"
            file.write_text(file.read_text() + "\nA last word.\n")
            assert next(line for line in lines if "A last word." in line)
        finally:
            process.terminate()
            process.wait(HANGING)


def test_messages_writes_what_is_to_be_translated(labctl: Labctl, folder: Path) -> None:
    written = labctl("exercise", "messages", str(folder), "--lang", "ko")

    assert written.code == 0, written.err
    assert "to translate" in written.out
    assert "msgid" in (folder / "exercise.ko.po").read_text()
    assert labctl("exercise", "messages", str(folder), "--lang", "no such").code == 2
    assert labctl("exercise", "messages", str(folder)).code == 2
