"""The exercise verbs as far as they go without a lab; the rest is in tests/integration/test_exercise.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Labctl


def test_the_list_works_without_a_lab(labctl: Labctl) -> None:
    found = labctl("exercise", "list", "-o", "json")

    assert found.code == 0
    voting = next(row for row in json.loads(found.out) if row["id"] == "voting-app")
    assert (voting["title"], voting["steps"], voting["done"]) == ("The voting app", 8, None)


def test_a_folder_that_adds_no_exercise_is_told(labctl: Labctl, tmp_path: Path) -> None:
    assert f"{tmp_path} holds no exercise" in labctl("exercise", "list", "--path", str(tmp_path)).err


def test_one_step_and_all_of_them_is_a_contradiction(labctl: Labctl) -> None:
    outcome = labctl("exercise", "check", "--all", "2")

    assert (outcome.code, outcome.out) == (2, "")
    assert "2 is one step, and --all means every one" in outcome.err


def test_a_new_exercise_is_linted_and_listed(labctl: Labctl) -> None:
    made = labctl("exercise", "new", "my-exercise")

    assert made.out.split() == ["my-exercise/exercise.md", "my-exercise/test_my_exercise.py"]
    assert labctl("exercise", "lint", "my-exercise").code == 0
    assert "my-exercise" in labctl("exercise", "list", "--path", "my-exercise").out


def test_every_problem_is_told_by_lint(labctl: Labctl, alone: Path) -> None:
    labctl("exercise", "new", "mine")
    text = (alone / "mine" / "exercise.md").read_text()
    (alone / "mine" / "exercise.md").write_text(text.replace("node=m1", "node=x9").replace("minutes: 5", "minutes: no"))

    found = labctl("exercise", "lint", "mine")

    assert found.code == 2
    assert "mine/exercise.md:7: minutes:" in found.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("votingap", "no exercise named 'votingap': did you mean voting-app?"),
        ("chekc", "no exercise and no verb named 'chekc': did you mean `check`?"),
        ("./nowhere", "no exercise named './nowhere'"),
    ],
)
def test_what_is_no_exercise_gets_the_nearest_name(labctl: Labctl, name: str, told: str) -> None:
    found = labctl("exercise", name)

    assert found.code == 2
    assert told in found.err


@pytest.mark.usefixtures("empty_engine")
def test_without_a_lab_the_command_that_makes_one_is_told(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--auto")

    assert found.code == 2
    assert "there is no lab yet" in found.err
    assert "there is no lab named lba" in labctl("exercise", "voting-app", "--auto", "-l", "lba").err
    assert "`labctl up --nodes 3` makes what it needs." in found.err


@pytest.mark.usefixtures("empty_engine")
def test_what_needs_a_lab_says_so(labctl: Labctl) -> None:
    for verb in (["check"], ["hint"], ["solve"], ["reset", "--yes"], ["test", "voting-app"]):
        assert labctl("exercise", *verb).code == 2


def test_junit_is_for_auto(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--junit", "x.xml")

    assert found.code == 2
    assert "Add --auto." in found.err


def test_a_report_that_cannot_be_written_is_told_before_anything_is_played(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--auto", "--junit", "nowhere/x.xml")

    assert found.code == 2
    assert "cannot write nowhere/x.xml: No such file or directory" in found.err


def test_a_folder_without_exercises_is_told(labctl: Labctl) -> None:
    assert labctl("exercise", "list", "--path", "nowhere").code == 2
    assert labctl("exercise", "lint", ".").code == 2
