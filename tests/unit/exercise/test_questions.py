"""Questions of a step: read with every mistake told, and judged as a person would."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import SpecError
from labctl.exercise import read_exercise
from labctl.exercise.questions import Question

from .test_reading import FRONT

CHOICES = """
```question id=odd
Why three managers, and not two?

( ) Two are slower.
    Speed has nothing to do with it.
(x) Two cannot lose one.
    A majority of two
    is two.
```
"""


def questions_of(folder: Path, text: str) -> tuple[Question, ...]:
    folder = folder / "demo"
    folder.mkdir(exist_ok=True)
    (folder / "exercise.md").write_text(f"{FRONT}\n## Ask {{#ask}}\n\nThink.\n{text}")
    (folder / "test_demo.py").write_text("")
    return read_exercise(folder).steps[0].questions


def problem_of(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        questions_of(folder, text)
    return "\n".join(caught.value.problems)


def test_choices_have_letters_and_reasons(tmp_path: Path) -> None:
    (question,) = questions_of(tmp_path, CHOICES)

    assert question.text == "Why three managers, and not two?"
    assert question.solution == "b"
    for right in ("b", " B ", "(b)", "Two cannot lose one", "two cannot lose ONE."):
        assert question.judge(right).is_right, right
    assert question.judge("a").reason == "Speed has nothing to do with it."
    assert question.judge("b").reason == "A majority of two is two."
    assert not question.judge("q").is_right
    assert not question.takes("q")
    assert question.takes("a")


def test_a_learner_sees_the_question_and_not_what_is_right(tmp_path: Path) -> None:
    questions_of(tmp_path, CHOICES)
    text = read_exercise(tmp_path / "demo").steps[0].text

    assert "**Question:** Why three managers" in text
    assert "- **a)** Two are slower." in text
    assert "(x)" not in text
    assert "majority" not in text


@pytest.mark.parametrize(
    ("words", "right", "wrong"),
    [
        ("exact=manager1", ["manager1", " Manager1 ", "`manager1`", "manager1."], ["manager2", "manager", ""]),
        ("exact=3 exact=three", ["3", "three", "Three"], ["4"]),
        (r'pattern="\d+ of \d+"', ["2 of 3", "10 OF 12"], ["2", "2 of 3 or so"]),
        ("yes", ["y", "Yes", "네", "예"], ["no", "", "yes but"]),
        ("exact=manager1", [], ["x" * 10_000, "\x00", "'; drop table"]),
    ],
)
def test_answers_are_judged_as_a_person_would(tmp_path: Path, words: str, right: list[str], wrong: list[str]) -> None:
    solved = "\n```sh node=m1 solve answer=q\necho 2 of 3\n```\n"
    (question,) = questions_of(tmp_path, f"\n```question id=q {words}\nWhich?\n```\n{solved}")

    assert [answer for answer in right if not question.judge(answer).is_right] == []
    assert [answer for answer in wrong if question.judge(answer).is_right] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```question\nWhich?\n```\n", "a question has an id"),
        ("```question id=Q exact=1\nWhich?\n```\n", "a question has an id"),
        ("```question id=q exact=1\n```\n", "the question is empty"),
        ("```question id=q exact=1 yes\nWhich?\n```\n", "one kind of them only"),
        ("```question id=q nodes=1\nWhich?\n```\n", "'nodes=1' means nothing on a question"),
        ("```question id=q yes=1\nWhich?\n```\n", "'yes=1' means nothing on a question"),
        ('```question id=q pattern="("\nWhich?\n```\n', "this is no regular expression"),
        ('```question id=q exact="1\nWhich?\n```\n', "a quote on the first line of the block is not closed"),
        ("```question id=q\nWhich?\n```\n", "nothing answers the question q: ```sh node=m1 solve answer=q"),
        ("```question id=q pattern=a\nWhich?\n```\n", "nothing answers the question q"),
        (CHOICES.replace("( )", "(x)"), "of two or more choices one is right, marked (x); here 2 of 2 are"),
        (CHOICES.replace("(x)", "( )"), "here 0 of 2 are"),
        (CHOICES.replace("    Speed has nothing to do with it.\n", ""), "each choice has a reason"),
        (CHOICES + CHOICES, "two questions have the id odd"),
        ("```sh node=m1 solve answer=q\nls\n```\n", "answer=q: step ask asks no such question"),
        ("```question id=q\nWhich?\n```\n```sh node=m1 wrong=no answer=q\nls\n```\n", "nothing answers the question q"),
        ("```sh node=m1 answer=q\nls\n```\n", "a block with answer= gives a question's answer away"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in problem_of(tmp_path, f"\n{text}")


def test_a_question_before_the_first_step_is_told(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "test_demo.py").write_text("")
    (tmp_path / "demo" / "exercise.md").write_text(f"{FRONT}\n{CHOICES}\n## Ask {{#ask}}\n\n```sh node=m1\nls\n```\n")

    with pytest.raises(SpecError, match="a question belongs to a step"):
        read_exercise(tmp_path / "demo")
