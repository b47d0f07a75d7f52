"""What checks say, in the learner's language: extracted from their file, held against its translation, and told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import labctl
from labctl.checks.answers import NOT_ANSWERED, NotYet, Wrong
from labctl.checks.runner import Request, run_checks
from labctl.checks.running import PRESS_C
from labctl.checks.sentences import filled, translated
from labctl.errors import SpecError
from labctl.exercise import read_exercise
from labctl.exercise.checking import NOT_THE_ANSWER
from labctl.exercise.sentences import sentences_of, update_catalog
from labctl.exercise.verify import lint
from labctl.swarm.howfar import Progress
from labctl.words import PLACE, Phrase

from .conftest import FRONT, TEXT, Demo

HEAD = "import pytest\nfrom labctl.checks import not_yet, wrong\n\n"
CHECKS = (
    HEAD
    + '''
AGAIN = "make it again"
HERE = False


@pytest.mark.step("first")
def test_one(lab):
    """There is one."""
    wrong("{node} has {count} files", found="too many of them", hint=AGAIN, node="m1", count=3)


@pytest.mark.step("second")
def test_two():
    """There are two."""
    not_yet("no file" if HERE else "no folder", look="ls '{{.Name}}'", found="2")
    assert True, "never mind"
'''
)
SAID = [
    "There is one.",
    "{node} has {count} files",
    "make it again",
    "too many of them",
    "There are two.",
    "no file",
    "no folder",
    "never mind",
]


@pytest.fixture
def folder(demo: Demo) -> Path:
    found = demo().folder
    (found / "test_demo.py").write_text(CHECKS)
    (found / "exercise.ko.md").write_text(FRONT + TEXT.replace("First", "처음"))
    return found


def translate(folder: Path) -> Path:
    """A translation of everything that the checks say: the same, after a sign."""
    file, _ = update_catalog(read_exercise(folder), "ko")
    blocks = file.read_text().split("\n\n")
    file.write_text("\n\n".join(block.replace('msgstr ""', f'msgstr "→ {said_in(block)}"') for block in blocks))
    return file


def said_in(block: str) -> str:
    return next((line[7:-1] for line in block.splitlines() if line.startswith('msgid "')), "")


def problems(folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        lint(read_exercise(folder))
    return list(caught.value.problems)


def test_values_are_filled_in_by_name_and_commands_stay_as_they_are() -> None:
    said = "{node}: {count}, {other}, {{.Name}}, {{node}}, %{node}, ${node}"

    assert filled(said, {"node": "m1", "count": 2}) == "m1: 2, {other}, {{.Name}}, {{node}}, %{node}, ${node}"
    assert filled("{{.Name}} {x}", {}) == "{{.Name}} {x}"


def test_a_check_says_it_in_english_and_in_the_learners_language() -> None:
    said = Wrong("{node} is drained", found="no node", hint="ask {node}", node="w1")

    assert (str(said), said.message, said.found, said.hint) == ("w1 is drained", "w1 is drained", "no node", "ask w1")
    korean = said.say({"{node} is drained": "{node} 노드가 비워져 있습니다", "no node": "노드 없음"})
    assert tuple(korean) == ("w1 노드가 비워져 있습니다", "노드 없음", "ask w1")


def test_everything_that_checks_may_say_is_found(folder: Path) -> None:
    assert [sentence.text for sentence in sentences_of(read_exercise(folder))] == SAID


def test_a_translation_is_written_kept_and_brought_up_to_date(folder: Path) -> None:
    file = translate(folder)
    lint(read_exercise(folder))
    assert translated(folder, "ko")["There is one."] == "→ There is one."

    (folder / "test_demo.py").write_text(CHECKS.replace("There are two.", "There are two of them."))
    assert any("no check says 'There are two.' any more" in one for one in problems(folder))
    _, left = update_catalog(read_exercise(folder), "ko")

    assert left == 1
    assert 'msgstr "→ There is one."' in file.read_text()
    assert any("no translation of 'There are two of them.' " in one for one in problems(folder))


def test_a_translation_that_is_missing_is_told_with_the_command_that_writes_it(folder: Path) -> None:
    assert any(f"`labctl exercise messages {folder} --lang ko` writes it" in one for one in problems(folder))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("→ {node} has", "→ {nodes} has", "has not the places in braces of '{node} has {count} files'"),
        ('msgid "There is one."', '#, fuzzy\nmsgid "There is one."', "marked as fuzzy"),
        ('msgid "There is one."', "there is one", "this is no file of translations"),
    ],
)
def test_a_translation_that_is_at_fault_is_told(folder: Path, old: str, new: str, told: str) -> None:
    file = translate(folder)
    file.write_text(file.read_text().replace(old, new))

    assert any(told in one and "exercise.ko.po" in one for one in problems(folder))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("wrong(f'{lab} is gone')", "an f-string cannot be translated"),
        ("wrong('a' + str(lab))", "a sentence that only running it would tell cannot be translated"),
        ("wrong('{node} is gone', name=lab)", "there is no value for {node}"),
        ("not_yet('it is gone', name=lab)", "name: no sentence has a place in braces for it"),
    ],
)
def test_a_sentence_that_cannot_be_translated_is_told_with_its_line(folder: Path, call: str, told: str) -> None:
    text = CHECKS.replace('wrong("{node} has', f'{call}\n    wrong("{{node}} has')
    line = text[: text.index(call)].count("\n") + 1
    (folder / "test_demo.py").write_text(text)
    translate(folder)

    assert any(told in one and f"test_demo.py:{line}: " in one for one in problems(folder))


def test_whoever_translates_nothing_writes_as_they_like(folder: Path) -> None:
    (folder / "exercise.ko.md").unlink()
    (folder / "test_demo.py").write_text(CHECKS.replace('"no file" if HERE else "no folder"', "f'no {HERE}'"))

    lint(read_exercise(folder))


def test_a_learner_hears_it_in_the_language_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        HEAD
        + '''
@pytest.mark.step("a")
def test_a():
    """It runs."""
    not_yet("{node} is down", node="w1")


@pytest.mark.step("b")
def test_b():
    """It is well."""
    assert False, "no"
'''
    )
    (tmp_path / "exercise.ko.po").write_text(
        'msgid "It runs."\nmsgstr "실행 중"\n\nmsgid "{node} is down"\nmsgstr "{node} 꺼짐"\n\n'
        'msgid "no"\nmsgstr "아니요"\n'
    )

    korean = run_checks(Request(tmp_path / "test_it.py", "no-lab", language="ko")).results
    english = run_checks(Request(tmp_path / "test_it.py", "no-lab")).results

    assert [(one.title, one.message) for one in korean] == [("실행 중", "w1 꺼짐"), ("It is well.", "아니요")]
    assert [(one.title, one.message) for one in english] == [("It runs.", "w1 is down"), ("It is well.", "no")]


# -- what labctl itself says in a check


def own_sentences() -> Iterator[str]:
    """What Phrase and not_yet are called with in labctl, and what is told beside checks."""
    yield from (NOT_ANSWERED, NOT_THE_ANSWER, PRESS_C.message)
    for file in Path(labctl.__file__).parent.glob("*/*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Phrase", "not_yet"):
                said = [one for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                yield from (str(one.value) for one in said if isinstance(one.value, str))


def test_all_that_labctl_says_in_a_check_is_translated_and_has_its_values(tmp_path: Path) -> None:
    korean = translated(tmp_path, "ko")
    # Of places and colons alone nothing is to be translated.
    said = {one for one in own_sentences() if re.search(r"[a-z]", PLACE.sub("", one)) and one != "paused"}

    assert sorted(said - korean.keys()) == []
    assert sorted(korean.keys() - {*own_sentences()}) == []
    assert [one for one in korean if set(PLACE.findall(one)) != set(PLACE.findall(korean[one]))] == []


def test_why_a_service_does_not_run_is_told_in_the_learners_language(tmp_path: Path) -> None:
    reason = Phrase("{count} pending: {reason}", count=2, reason="no suitable node (insufficient resources on 2 nodes)")
    said = NotYet(Progress("web", 1, 3, done=False, reason=reason).told)

    assert said.message == "web: 1 of 3 tasks run; 2 pending: no suitable node (insufficient resources on 2 nodes)"
    korean = said.say(translated(tmp_path, "ko")).message
    assert korean == "web: 태스크 3개 중 1개 실행 중; 2개 pending: no suitable node (insufficient resources on 2 nodes)"
