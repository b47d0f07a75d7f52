"""A run of an exercise: what its followers hear, and that a tick is what is true now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.checks.report import CheckResult
from labctl.errors import NotFoundError, UsageError
from labctl.exercise import Exercise
from labctl.exercise.progress import Progress
from labctl.exercise.run import Following, Run
from labctl.exercise.session import Session
from labctl.exercise.telling import (
    Answered,
    Checked,
    Finished,
    HintGiven,
    Listed,
    Preparing,
    RunEvent,
    StepDone,
    StepShown,
    Trouble,
    as_json,
)
from tests.guard import HANGING

from .conftest import CHECKS, TEXT, Demo

Begin = Callable[[Exercise], Session]
NOW = CHECKS.replace("import pytest\n", "import pytest\npytestmark = pytest.mark.every(1)\n")
DEBRIEF = "\n<details><summary>Debrief</summary>\n\nThat made `{{node.m1.name}}` glad.\n\n</details>\n\n## Second"
QUESTION = "\n```question id=leader exact=manager1\nWho leads?\n```\n\n## Second"


@pytest.fixture
def started(begin: Begin) -> Iterator[Callable[[Exercise], tuple[Run, Following]]]:
    runs: list[Run] = []

    def start(exercise: Exercise) -> tuple[Run, Following]:
        run = Run(begin(exercise))
        runs.append(run)
        following = run.follow()
        run.start()
        return run, following

    yield start
    for run in runs:
        run.close()


def hear(following: Following, wanted: Callable[[RunEvent], bool]) -> RunEvent:
    """Hear events until one is as wanted."""
    until, heard = time.monotonic() + HANGING, list[RunEvent]()
    while time.monotonic() < until:
        event = following.take(0.2)
        if event is not None:
            heard.append(event)
            if wanted(event):
                return event
    raise AssertionError(heard)


def outcomes(*wanted: str) -> Callable[[RunEvent], bool]:
    return lambda event: isinstance(event, Checked) and [one.outcome for one in event.results] == list(wanted)


def a(kind: type[RunEvent]) -> Callable[[RunEvent], bool]:
    return lambda event: isinstance(event, kind)


Started = Callable[[Exercise], tuple[Run, Following]]


def test_a_step_is_done_once_and_its_tick_is_what_is_true(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(text=TEXT.replace("\n## Second", DEBRIEF), checks=NOW))
    shown = hear(following, a(StepShown))
    assert isinstance(shown, StepShown)
    assert (shown.step, shown.number, shown.total, shown.intro) == ("first", 1, 2, "Welcome.")
    hear(following, outcomes("not-yet"))

    (place / "one").touch()
    hear(following, outcomes("done"))
    done = hear(following, a(StepDone))
    assert isinstance(done, StepDone)
    assert done.debrief == "That made `manager1` glad."

    (place / "one").unlink()
    hear(following, outcomes("not-yet"))
    assert run.is_done
    (place / "one").touch()
    hear(following, outcomes("done"))
    run.next()
    shown = hear(following, lambda event: isinstance(event, StepShown | StepDone))
    assert isinstance(shown, StepShown)
    assert shown.step == "second"


def test_whoever_comes_later_hears_where_the_run_is(demo: Demo, started: Started) -> None:
    run, first = started(demo(checks=NOW))
    hear(first, outcomes("not-yet"))

    with_page = run.follow()
    hear(with_page, a(StepShown))
    hear(with_page, outcomes("not-yet"))
    run.hint()

    for following in (first, with_page):
        given = hear(following, a(HintGiven))
        assert as_json(given) == {"event": "hint-given", "step": "first", "number": 1, "total": 2, "text": "Use touch."}
    with_page.close()
    run.close()
    assert list(with_page) == []


def test_a_hint_of_the_check_comes_first(demo: Demo, started: Started) -> None:
    run, following = started(
        demo(checks=NOW.replace('one", look="ls"', 'one", look="ls", hint="In {{node.m1.name}}!"'))
    )
    hear(following, outcomes("not-yet"))

    run.hint()

    given = hear(following, a(HintGiven))
    assert isinstance(given, HintGiven)
    assert (given.number, given.text) == (0, "In manager1!")

    run.hint()

    given = hear(following, a(HintGiven))
    assert isinstance(given, HintGiven)
    assert (given.number, given.text) == (1, "Use touch."), "who asks again has use for another one"


def test_answers_count_as_checks_do(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(text=TEXT.replace("\n## Second", QUESTION), checks=NOW))
    (place / "one").touch()
    hear(following, outcomes("done", "not-yet"))

    run.answer("leader", "worker1")
    answered = hear(following, a(Answered))
    assert isinstance(answered, Answered)
    assert not answered.is_right
    checked = hear(following, outcomes("done", "wrong"))
    assert isinstance(checked, Checked)
    assert checked.failure == ("Not right: that is not the answer", "  found: worker1")
    run.answer("leader", " Manager1 ")
    hear(following, outcomes("done", "done"))
    hear(following, a(StepDone))

    with pytest.raises(NotFoundError, match="no question named"):
        run.answer("lader", "x")
    for nothing in ("", "  ", "x" * 501):
        with pytest.raises(UsageError, match="an answer has 1 to 500 characters"):
            run.answer("leader", nothing)


def test_a_step_that_only_asks_needs_no_check(demo: Demo, started: Started) -> None:
    text = "\n## First {#first}\n\nThink.\n\n```question id=sure yes\nSure?\n```\n"
    run, following = started(demo(text=text, checks='"""None."""\n'))
    hear(following, outcomes("not-yet"))

    run.answer("sure", "yes")

    hear(following, outcomes("done"))
    hear(following, a(StepDone))


SETUP = "\n```sh node=host setup\nrm -f $PLACE/one; echo set >> $PLACE/up\n```\n\n## Second"


def test_a_step_is_set_up_once_before_it_is_shown(demo: Demo, started: Started, place: Path) -> None:
    (place / "one").touch()
    exercise = demo(text=TEXT.replace("\n## Second", SETUP), checks=NOW)
    run, following = started(exercise)

    hear(following, a(Preparing))
    hear(following, a(StepShown))
    hear(following, outcomes("not-yet"))
    run.again()
    run.go_to(exercise.steps[0])
    hear(following, outcomes("not-yet"))

    assert (place / "up").read_text() == "set\n"
    assert Progress.of("demo", exercise).prepared == ["first"]


def test_a_step_that_cannot_be_set_up_is_trouble(demo: Demo, started: Started) -> None:
    text = TEXT.replace("\n## Second", SETUP.replace("rm -f $PLACE/one; echo set >> $PLACE/up", "echo no; exit 3"))
    _, following = started(demo(text=text, checks=NOW))

    trouble = hear(following, a(Trouble))

    assert isinstance(trouble, Trouble)
    assert "exited 3" in trouble.message


def test_what_no_longer_holds_is_listed(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(checks=NOW))
    (place / "one").touch()
    hear(following, a(StepDone))
    run.next()
    (place / "one").unlink()

    run.list()

    listed = hear(following, a(Listed))
    assert isinstance(listed, Listed)
    assert [(one.id, bool(one.when), one.no_longer) for one in listed.steps] == [
        ("first", True, "there is no file one"),
        ("second", False, ""),
    ]


def test_it_ends_with_how_it_went(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(checks=NOW))
    run.hint()
    (place / "one").touch()
    (place / "two").mkdir()
    hear(following, a(StepDone))
    run.next()
    hear(following, a(StepDone))
    run.next()

    finished = hear(following, a(Finished))
    assert isinstance(finished, Finished)
    assert (finished.hints, finished.no_longer) == (1, ())


def test_a_reset_begins_anew(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(checks=NOW))
    (place / "one").touch()
    hear(following, a(StepDone))
    run.next()
    hear(following, a(StepShown))

    run.reset()

    shown = hear(following, a(StepShown))
    assert shown.step == "first"
    assert run.session.progress.done == {}
    assert list(place.iterdir()) == []


def test_a_check_that_kills_its_process_is_told_and_asked_again(demo: Demo, started: Started, place: Path) -> None:
    dying = NOW.replace('not_yet("there is no file one"', 'os._exit(7)  # not_yet("there is no file one"')
    run, following = started(demo(checks=dying))

    checked = hear(following, outcomes("broken"))
    assert isinstance(checked, Checked)
    assert "ended the process" in checked.failure[0]
    (place / "one").touch()
    run.check()

    hear(following, outcomes("done"))


def test_every_event_is_json(demo: Demo) -> None:
    result = CheckResult("first", "test_one", "There is one.", "done")

    assert as_json(Checked("first", (result,)))["results"][0]["title"] == "There is one."


def test_the_last_step_leads_to_what_was_left_out(demo: Demo, started: Started, place: Path) -> None:
    exercise = demo(checks=NOW)
    run, following = started(exercise)
    (place / "two").mkdir()
    run.go_to(exercise.steps[1])
    hear(following, a(StepDone))

    run.next()

    assert run.step.id == "first"


def test_a_step_that_is_done_is_shown_with_its_debrief(demo: Demo, started: Started, place: Path) -> None:
    run, following = started(demo(text=TEXT.replace("\n## Second", DEBRIEF), checks=NOW))
    (place / "one").touch()
    hear(following, a(StepDone))

    run.again()

    shown = hear(following, a(StepShown))
    assert isinstance(shown, StepShown)
    assert shown.debrief == "That made `manager1` glad."
