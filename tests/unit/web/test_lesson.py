"""An exercise in the page: what is told of it, and that a page can ask for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import NotFoundError, UsageError
from labctl.exercise import Exercise
from labctl.exercise.run import Run
from labctl.exercise.session import Session
from labctl.web.hub import Hub, Message
from labctl.web.lesson import Lesson
from tests.guard import HANGING
from tests.unit.exercise.conftest import FRONT, TEXT, Demo

Begin = Callable[[Exercise], Session]
QUESTION = "\n```question id=leader exact={{node.m1.name}}\nWho leads?\n```\n\n## Second"
KOREAN = TEXT.replace("Make a file called", "파일을 만드세요:")


class Listener:
    """A page that waits for what it wants to hear."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._news = threading.Condition()

    def put(self, message: Message) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def until(self, **wanted: Any) -> Message:
        def found() -> Message | None:
            each = (one for one in self.heard if all(one.get(key) == value for key, value in wanted.items()))
            return next(each, None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, HANGING), (wanted, self.heard)
            message = found()
        assert message is not None
        return message


@pytest.fixture
def lesson(demo: Demo, begin: Begin) -> Iterator[tuple[Lesson, Hub, Listener]]:
    exercise = demo(text=TEXT.replace("\n## Second", QUESTION))
    (exercise.folder / "exercise.ko.md").write_text(FRONT + KOREAN.replace("\n## Second", QUESTION))
    run, hub, page = Run(begin(exercise)), Hub(), Listener()
    hub.join(page)
    made = Lesson(run, hub, "en")
    made.start()
    yield made, hub, page
    run.close()


Made = tuple[Lesson, Hub, Listener]


def test_a_step_is_shown_in_parts_and_gives_no_answer_away(lesson: Made) -> None:
    shown = lesson[2].until(event="step-shown")

    assert [part["kind"] for part in shown["parts"]] == ["text", "ask"]
    assert "manager1" in shown["parts"][0]["html"] and "manager1" not in str(shown["parts"][1])
    assert "Welcome" in shown["intro"] and shown["has"] == {"hints": 2, "solution": True}
    assert "touch" not in str(shown)


def test_the_outline_has_the_steps_and_the_languages(lesson: Made) -> None:
    outline = lesson[2].until(type="outline")

    assert [step["id"] for step in outline["steps"]] == ["first", "second"]
    assert (outline["current"], outline["languages"], outline["language"]) == ("first", ["en", "ko"], "en")


def test_what_is_asked_for_is_told_to_all_and_kept_for_who_comes_later(lesson: Made) -> None:
    made, hub, page = lesson
    made.ask("hint", {"step": "first"})
    made.ask("solution", {"step": "first"})
    made.ask("answer", {"step": "first", "question": "leader", "text": "worker1"})
    page.until(event="answered", is_right=False)
    later = Listener()
    hub.join(later)

    assert later.until(event="hint-given", number=1)["parts"][0]["html"] == "<p>Use touch.</p>\n"
    assert later.until(event="solution-given")["parts"][0]["node"] == "host"
    assert later.until(event="answered")["answer"] == "worker1"


def test_an_answer_that_names_a_node_of_the_lab_is_right_for_whoever_comes_later(lesson: Made) -> None:
    made, _, page = lesson
    made.ask("answer", {"step": "first", "question": "leader", "text": "manager1"})
    page.until(event="answered", is_right=True)
    made.ask("language", {"code": "ko"})

    assert page.until(event="step-shown", answers={"leader": {"answer": "manager1", "right": True, "reason": ""}})


def test_an_unanswered_question_is_seen_on_the_question_and_not_below_the_checks(lesson: Made, place: Path) -> None:
    made, _, page = lesson
    assert page.until(event="checked")["failure"]["text"].startswith("Not yet: there is no file one")
    (place / "one").touch()
    made.ask("check", {})

    page.until(event="checked", failure=None)


def test_what_is_meant_for_another_step_is_not_done(lesson: Made) -> None:
    made, _, page = lesson
    made.ask("next", {"step": "first"})
    page.until(event="step-shown", step="second")

    assert made.ask("next", {"step": "first"}) == {"late": True}
    assert made.run.step.id == "second"


def test_another_language_says_the_same_in_other_words(lesson: Made) -> None:
    made, _, page = lesson
    made.ask("language", {"code": "ko"})

    assert page.until(type="outline", language="ko")["current"] == "first"
    assert "파일을 만드세요" in str(page.heard)
    for code in ("xx", "../../../etc/passwd", ""):
        with pytest.raises(NotFoundError):
            made.ask("language", {"code": code})


def test_a_block_for_this_machine_runs_as_the_exercise_has_it_and_no_other(lesson: Made, place: Path) -> None:
    made = lesson[0]
    assert made.ask("run-here", {"step": "first", "number": 0}) == {"output": "", "code": 0}
    assert (place / "one").exists()

    made.ask("go", {"to": "second"})
    for number in (-1, 1, 2, 99):  # 1 takes away what the exercise made: nobody is shown it
        with pytest.raises(UsageError):
            made.ask("run-here", {"number": number})
    assert (place / "one").exists()


def test_what_means_nothing_is_refused(lesson: Made) -> None:
    made = lesson[0]
    for verb in ("close", "__init__", "session", ""):
        with pytest.raises(UsageError):
            made.ask(verb, {})
    with pytest.raises(NotFoundError):
        made.ask("go", {"to": "third"})
