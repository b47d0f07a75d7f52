"""The exercises that labctl ships: each holds together, and each translation is the same exercise in other words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labctl.assets import asset
from labctl.exercise.catalogue import entries, in_order
from labctl.exercise.model import Exercise, Fence, Step
from labctl.exercise.questions import Question
from labctl.exercise.reading import read_exercise
from labctl.exercise.verify import lint

FOLDERS = sorted(path.parent for path in asset("exercises").glob("*/exercise.md"))
TRANSLATIONS = sorted(asset("exercises").glob("*/exercise.*.md"))
# So that typed answers may be given in the learner's own language.
MORE_ANSWERS = "a translation takes all answers that the original takes"


def named(path: Path) -> str:
    return path.name if path.is_dir() else f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_it_holds_together(folder: Path) -> None:
    lint(read_exercise(folder))


def test_the_way_from_zero_begins_with_what_the_rest_builds_on() -> None:
    way = ["first-swarm", "first-service", "scale", "roles", "global", "mesh", "registry"]

    assert [entry.id for entry in in_order(entries()) if entry.id in way] == way


def test_the_way_to_operate_ends_with_the_managers_themselves() -> None:
    way = ["stack-file", "configs", "volumes", "quorum", "autolock"]

    assert [entry.id for entry in in_order(entries()) if entry.id in way] == way


def test_the_way_under_the_hood_goes_from_names_to_cables_to_other_tools() -> None:
    way = ["overlay-dns", "how-it-works", "the-same-idea"]

    assert [entry.id for entry in in_order(entries()) if entry.id in way] == way


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_minutes_of_steps_make_those_of_the_whole(folder: Path) -> None:
    exercise = read_exercise(folder)
    minutes = [step.minutes for step in exercise.steps]

    assert all(minutes) or not any(minutes), "all steps say how long they take, or none"
    assert not any(minutes) or abs(sum(minutes) - exercise.front.minutes) <= 5


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=named)
def test_a_translation_is_the_same_exercise(translation: Path, tmp_path: Path) -> None:
    original = read_exercise(translation.parent)
    other = as_exercise(translation, tmp_path)

    assert frame_of(other) == frame_of(original)
    assert other.front.summary != original.front.summary
    for mine, theirs in zip(other.steps, original.steps, strict=True):
        assert shape_of(mine) == shape_of(theirs), mine.id
        assert mine.text != theirs.text, f"{mine.id} is not translated"
        for question, asked in zip(mine.questions, theirs.questions, strict=True):
            assert kind_of(question) == kind_of(asked), question.id
            assert set(question.exact) >= set(asked.exact), f"{question.id}: {MORE_ANSWERS}"


def as_exercise(translation: Path, place: Path) -> Exercise:
    """A translation read as if it were the original: beside the same checks and files."""
    folder = place / translation.parent.name
    shutil.copytree(translation.parent, folder)
    (folder / translation.name).replace(folder / "exercise.md")
    return read_exercise(folder)


def frame_of(exercise: Exercise) -> list[object]:
    front = exercise.front
    return [
        front.id,
        front.minutes,
        front.level,
        front.needs,
        front.lab,
        front.images,
        front.ports,
        [plain(fence) for fence in exercise.reset],
    ]


def shape_of(step: Step) -> list[object]:
    """What of a step no language changes."""
    return [
        step.id,
        step.minutes,
        step.optional,
        step.passing,
        [plain(fence) for fence in step.fences],
        len(step.hints),
        bool(step.solution),
        bool(step.debrief),
        [question.id for question in step.questions],
    ]


def plain(fence: Fence) -> dict[str, object]:
    return {key: value for key, value in vars(fence).items() if key != "line"}


def kind_of(question: Question) -> list[object]:
    return [question.pattern, question.wants_yes, [choice.is_right for choice in question.choices]]
