"""Translations: chosen by the option, the environment or the locale; every difference is told with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.errors import SpecError
from labctl.exercise import read_exercise, reading
from labctl.exercise.catalogue import entries
from labctl.exercise.language import chosen, languages_of, set_chosen
from labctl.exercise.sentences import update_catalog
from labctl.exercise.verify import lint

from .conftest import FRONT, TEXT, Demo

KOREAN = (
    TEXT.replace("First", "처음")
    .replace("Make a file called", "파일을 만드세요:")
    .replace("Use touch.", "touch를 쓰세요.")
)


@pytest.fixture(autouse=True)
def no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABCTL_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(demo: Demo) -> Path:
    found = demo().folder
    (found / "exercise.ko.md").write_text(FRONT + KOREAN)
    file, _ = update_catalog(read_exercise(found), "ko")
    file.write_text(re.sub(r'msgid "(.+)"\nmsgstr ""', r'msgid "\1"\nmsgstr "→ \1"', file.read_text()))
    return found


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "LABCTL_LANG": "ko"}, "ko"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "\x01\x02"}, "en"),
    ],
)
def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], code: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert chosen() == code


def test_a_learner_reads_the_language_that_is_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_exercise(folder).steps[0].title == "First"
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert read_exercise(folder).steps[0].title == "처음"
    set_chosen("fr")
    try:
        assert read_exercise(folder).steps[0].title == "First"
    finally:
        set_chosen(None)
    assert languages_of(folder) == ["en", "ko"]


def test_a_translation_that_says_the_same_is_content(folder: Path) -> None:
    lint(read_exercise(folder))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{#second}", "{#third}", "its steps are first, third, and first, second in exercise.md"),
        ("{#first}", "{#first minutes=3}", "step first: minutes is not as in exercise.md"),
        ("touch $PLACE/one", "touch $PLACE/eins", "step first: this block is not as in exercise.md, line"),
        ("<details><summary>Hint</summary>touch one</details>", "", "step first: 1 hints, and 2 in exercise.md"),
        ("minutes: 5", "minutes: 6", "minutes: it is not as in exercise.md"),
        ("{{node.m1.name}}", "manager1", "step first: {{node.m1.name}} stands in one language only"),
        ("Make another one.", "```question id=q yes\nQ?\n```", "step second: its questions are not those of"),
    ],
)
def test_what_a_translation_has_otherwise_is_told(folder: Path, old: str, new: str, told: str) -> None:
    file = folder / "exercise.ko.md"
    file.write_text(file.read_text().replace(old, new))

    with pytest.raises(SpecError) as caught:
        lint(read_exercise(folder, folder / "exercise.md"))

    assert any(told in problem and "exercise.ko.md:" in problem for problem in caught.value.problems)


def test_a_comment_in_code_is_translated_too(folder: Path) -> None:
    for name, words in (("exercise.md", "# make it"), ("exercise.ko.md", "# 만드세요")):
        file = folder / name
        file.write_text(file.read_text().replace("touch $PLACE/one", f"touch $PLACE/one  {words}"))

    lint(read_exercise(folder))


def test_who_reads_a_translation_that_lags_behind_gets_the_original_and_is_told(folder: Path) -> None:
    file = folder / "exercise.md"
    file.write_text(file.read_text() + "\n## Third {#third}\n\n```sh node=host\ntrue\n```\n")
    set_chosen("ko")
    try:
        found = read_exercise(folder)
    finally:
        set_chosen(None)

    assert [step.id for step in found.steps] == ["first", "second", "third"]
    assert (found.steps[0].title, found.language) == ("First", "en")
    assert found.stale == "exercise.ko.md:1: its steps are first, second, and first, second, third in exercise.md"


def test_a_list_reads_each_exercise_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a translation lags behind is told where the exercise is begun."""
    monkeypatch.setattr(reading, "differences", lambda *_: pytest.fail("it was held against the original"))
    set_chosen("ko")
    try:
        found = next(entry for entry in entries([folder]) if entry.folder == folder)
    finally:
        set_chosen(None)

    assert found.exercise is not None
    assert found.exercise.steps[0].title == "처음"


def test_what_labctl_puts_into_a_text_is_in_its_language(folder: Path) -> None:
    asking = "\n```question id=q exact=1\n몇 개인가요?\n```\n"
    (folder / "exercise.ko.md").write_text(FRONT + KOREAN + asking)
    (folder / "exercise.md").write_text(FRONT + TEXT + asking)
    set_chosen("ko")
    try:
        text = read_exercise(folder).steps[-1].text
    finally:
        set_chosen(None)

    assert "**내 컴퓨터**에서:" in text
    assert "**질문:** 몇 개인가요?" in text
    assert "On **this machine**:" in read_exercise(folder).steps[-1].text
