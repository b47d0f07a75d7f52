"""Played and verified: what is solved is left alone, what cannot be right is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from labctl.checks.junit import junit_xml
from labctl.checks.report import joined
from labctl.errors import CommandFailed, LabError, NotYetError, SpecError
from labctl.events import CheckFinished, Event, Noted, StepFinished, StepStarted
from labctl.exercise import Exercise
from labctl.exercise.checking import check_step
from labctl.exercise.play import Player
from labctl.exercise.questions import Judged
from labctl.exercise.session import Session
from labctl.exercise.verify import Verifier

from .conftest import CHECKS, TEXT, Demo

Begin = Callable[[Exercise], Session]


def player(session: Session, heard: list[Event]) -> Player:
    session.stage.emit = heard.append
    return Player(session.stage, heard.append, limit=2)


def commands(heard: list[Event]) -> list[str]:
    return [event.text for event in heard if isinstance(event, Noted)]


def test_every_step_is_solved_and_checked(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    playing = player(begin(demo()), heard)

    playing.play()

    assert sorted(path.name for path in place.iterdir()) == ["one", "two"]
    assert playing.played == ["first", "second"]
    assert playing.report.is_done
    titles = [event.step for event in heard if isinstance(event, StepStarted)]
    assert titles == ["Checking what is there", "First", "Second", "Checking everything once more"]
    assert [event.check for event in heard if isinstance(event, CheckFinished)] == ["There is one.", "There are two."]


def test_what_is_solved_is_only_checked(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    (place / "one").touch()
    (place / "two").mkdir()
    playing = player(begin(demo()), heard)

    playing.play()

    assert commands(heard) == []
    assert playing.played == []
    assert [event.note for event in heard if isinstance(event, StepFinished)] == ["already solved: checked only"]
    assert playing.report.is_done


def test_only_what_is_not_done_is_played(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    (place / "one").touch()

    player(begin(demo()), heard).play()

    assert commands(heard) == ["here $ mkdir $PLACE/two"]


def test_a_solution_that_does_not_solve_is_told(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    playing = player(begin(demo(text=TEXT.replace("touch $PLACE/one", "true"))), heard)

    with pytest.raises(NotYetError, match="Not yet: there is no file one"):
        playing.play()

    assert playing.report.of_step("first").outcome == "not-yet"
    assert not playing.report.is_done


def test_a_solution_that_fails_is_told_with_its_command(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    playing = player(begin(demo(text=TEXT.replace("touch $PLACE/one", "exit 4"))), heard)

    with pytest.raises(CommandFailed, match="`exit 4` exited 4"):
        playing.play()


def test_a_broken_lab_is_no_failed_exercise(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    guard = '\n\n@pytest.mark.guard\ndef test_ground():\n    """The ground."""\n    assert False, "no ground"\n'

    with pytest.raises(LabError, match="The lab is broken: no ground"):
        player(begin(demo(checks=CHECKS + guard)), heard).play()


def test_what_was_not_reached_is_no_failure(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    """Cut short in its first step, a run has nothing to say of the second."""
    playing = player(begin(demo(text=TEXT.replace("touch $PLACE/one", "touch $PLACE/one; exit 4"))), heard)

    with pytest.raises(CommandFailed):
        playing.play()

    assert [(one.step, one.outcome) for one in playing.report.results] == [("first", "not-yet"), ("second", "not-run")]
    assert playing.report.of_step("second").results[0].message == "its step was not reached"


def test_what_passed_before_ctrl_c_is_known(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    playing = player(begin(demo()), heard)

    def pressed(event: Event) -> None:
        heard.append(event)
        if isinstance(event, StepStarted) and event.step == "Second":
            raise KeyboardInterrupt

    playing.emit = pressed
    with pytest.raises(KeyboardInterrupt):
        playing.play()

    assert [(one.step, one.outcome) for one in playing.report.results] == [("first", "done"), ("second", "not-run")]


SHARED = (
    CHECKS.replace(
        """@pytest.mark.step("second")
""",
        '''@pytest.mark.step("second", "third")
def test_ground():
    """There is one already."""
    if not (PLACE / "one").exists():
        not_yet("there is no file one")


@pytest.mark.step("second")
''',
    )
    + '''

@pytest.mark.step("third")
def test_three():
    """There are three."""
    if not (PLACE / "three").exists():
        not_yet("there is no file three")
'''
)
THREE = (
    TEXT
    + """
## Third {#third}

Make a third.

```sh node=host
touch $PLACE/three
```
"""
)


def test_a_step_that_stands_on_an_earlier_one_is_not_solved_before_it(
    demo: Demo, begin: Begin, heard: list[Event], place: Path
) -> None:
    session = begin(demo(text=THREE, checks=SHARED))

    with pytest.raises(NotYetError, match="there is no file one; 'First' comes before 'Third'") as caught:
        player(session, heard).solve(session.exercise.step("third"))

    assert "`labctl exercise solve first` first" in str(caught.value.hint)
    assert commands(heard) == []
    (place / "one").touch()
    player(session, heard).solve(session.exercise.step("third"))
    assert (place / "three").exists()


def test_a_later_step_that_an_earlier_one_undid_is_solved_again(
    demo: Demo, begin: Begin, heard: list[Event], place: Path
) -> None:
    (place / "two").mkdir()
    text = TEXT.replace("touch $PLACE/one", "touch $PLACE/one; rmdir $PLACE/two")
    playing = player(begin(demo(text=text)), heard)

    playing.play()

    assert playing.played == ["first", "second"]
    assert (place / "two").exists()


def test_an_exercise_that_keeps_the_rules_is_verified(
    demo: Demo, begin: Begin, heard: list[Event], place: Path
) -> None:
    (place / "one").touch()  # what is left of another time

    Verifier(begin(demo()), heard.append, limit=2).verify()

    begun = [event for event in heard if isinstance(event, StepStarted)]
    assert begun[-1].number == begun[-1].total == len(begun)

    notes = [event.note for event in heard if isinstance(event, StepFinished)]
    assert notes.count("fails untouched, passes solved, and solved twice") == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('not_yet("there is no file one", look="ls")', "pass", "step first: its checks pass before anything was done"),
        ('if not (PLACE / "one").exists()', "if True", "step first, solved: Not yet: there is no file one"),
    ],
)
def test_checks_that_prove_nothing_are_found_out(
    demo: Demo, begin: Begin, heard: list[Event], old: str, new: str, told: str
) -> None:
    verifier = Verifier(begin(demo(checks=CHECKS.replace(old, new))), heard.append, limit=0.5)

    with pytest.raises(NotYetError, match=told):
        verifier.verify()

    report = Xml.fromstring(junit_xml(joined(verifier.reports), suite="demo"))
    assert report.get("failures") == "1"


def test_a_solution_that_undoes_itself_is_found_out(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    toggle = TEXT.replace("touch $PLACE/one", "rm $PLACE/one || touch $PLACE/one")

    with pytest.raises(NotYetError, match="step first, solved twice: Not yet: there is no file one"):
        Verifier(begin(demo(text=toggle)), heard.append, limit=0.5).verify()


def test_a_check_that_is_at_fault_is_found_out(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    faulty = CHECKS.replace('not_yet("there is no file one", look="ls")', "[].nothing_like_this()")

    with pytest.raises(
        LabError, match=r"The exercise is at fault: the check test_one raised AttributeError: .*\(test_demo.py:\d+\)"
    ):
        Verifier(begin(demo(checks=faulty)), heard.append).verify()


def test_what_does_not_hold_together_is_not_even_begun(
    demo: Demo, begin: Begin, heard: list[Event], place: Path
) -> None:
    session = begin(demo())
    (place / "one").touch()
    (session.exercise.checks).write_text(CHECKS.replace('step("second")', 'step("third")'))

    with pytest.raises(SpecError):
        Verifier(session, heard.append).verify()

    assert (place / "one").exists()


# -- steps that are set up, that pass, and that people get wrong

SETUP = "\n```sh node=host setup\nrm -f $PLACE/one; echo set >> $PLACE/up\n```\n\n## Second"
PASSING = TEXT.replace("{#first}", "{#first passing}").replace("mkdir $PLACE/two", "mkdir $PLACE/two; rm $PLACE/one")


def test_a_step_is_set_up_before_it_is_solved(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    (place / "one").touch()
    playing = player(begin(demo(text=TEXT.replace("\n## Second", SETUP))), heard)

    playing.play()

    assert (place / "up").read_text() == "set\n"
    assert (place / "one").exists()
    again = player(begin(demo(text=TEXT.replace("\n## Second", SETUP))), heard)
    again.seen = playing.seen
    again.play()
    assert again.played == []


def test_what_a_later_step_takes_back_stays_done(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    playing = player(begin(demo(text=PASSING)), heard)

    playing.play()

    assert playing.report.is_done
    again = player(begin(demo(text=PASSING)), heard)
    again.seen = playing.seen
    again.play()
    assert again.played == []


def test_what_was_taken_back_is_not_asked_at_the_end(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    telling = CHECKS.replace('    if not (PLACE / "one")', '    (PLACE / "asked").touch()\n    if not (PLACE / "one")')
    forgetting = PASSING.replace("rm $PLACE/one\n", "rm $PLACE/one $PLACE/asked\n")
    playing = player(begin(demo(text=forgetting, checks=telling)), heard)

    playing.play()

    assert playing.report.is_done
    assert not (place / "asked").exists(), "to wait for it would take its whole limit"


QUESTION = """
```question id=where pattern=".*/place"
Where?
```

```sh node=host solve answer=where
echo $PLACE
```

## Second"""


def test_questions_are_answered(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    playing = player(begin(demo(text=TEXT.replace("\n## Second", QUESTION))), heard)

    playing.play()

    assert [result.title for result in playing.report.of_step("first").results] == ["There is one.", "Where?"]
    assert playing.report.is_done


NAMED = """
```question id=who exact={{node.m1.name}}
Who leads beside {{node.w1.name}}?
```

```question id=which
Which?

( ) {{node.w1.name}}
    Not {{node.w1.name}}.
(x) {{node.m1.name}}
    Yes, {{node.m1.name}}.
```

## Second"""


def test_questions_have_the_names_of_the_lab(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    session = begin(demo(text=TEXT.replace("\n## Second", NAMED)))
    step = session.current

    assert session.answer(step, "who", "manager1").is_right
    assert session.answer(step, "which", "manager1") == Judged(True, "Yes, manager1.")
    assert session.answer(step, "which", "a") == Judged(False, "Not worker1.")
    results = check_step(session.stage, step).results
    assert [(one.title, one.message) for one in results[1:]] == [
        ("Who leads beside worker1?", ""),
        ("Which?", "Not worker1."),
    ]

    playing = player(session, heard)
    playing.play()
    assert playing.report.is_done


MISTAKE = """
```sh node=host wrong="one is a folder"
mkdir $PLACE/one
```

```sh node=host undo
rmdir $PLACE/one
```

## Second"""
TOLD = CHECKS.replace(
    'if not (PLACE / "one").exists()',
    'if (PLACE / "one").is_dir():\n        not_yet("one is a folder, not a file")\n    if not (PLACE / "one").exists()',
)


def test_a_mistake_is_named_and_taken_back(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    Verifier(begin(demo(text=TEXT.replace("\n## Second", MISTAKE), checks=TOLD)), heard.append, limit=3).verify()

    notes = [event.note for event in heard if isinstance(event, StepFinished)]
    assert "fails untouched, 1 mistake named, passes solved, and solved twice" in notes
    assert list(place.iterdir()) == []
    begun = [event for event in heard if isinstance(event, StepStarted)]
    assert [event.number for event in begun] == list(range(1, begun[0].total + 1))


ANSWERED_WRONGLY = QUESTION.replace(
    "\n## Second", '\n```sh node=host wrong="that is another place" answer=where\necho /nowhere\n```\n\n## Second'
)
JUDGED = CHECKS.replace(
    '@pytest.mark.step("first")',
    """@pytest.mark.step("first")
def test_where(answer):
    \"\"\"You know where.\"\"\"
    if answer("where") != str(PLACE):
        not_yet("that is another place", found=answer("where"))


@pytest.mark.step("first")""",
    1,
)


def test_a_wrong_answer_is_a_mistake_too(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    text = TEXT.replace("\n## Second", ANSWERED_WRONGLY)

    Verifier(begin(demo(text=text, checks=JUDGED)), heard.append, limit=3).verify()

    notes = [event.note for event in heard if isinstance(event, StepFinished)]
    assert "fails untouched, 1 mistake named, passes solved, and solved twice" in notes


def test_a_mistake_that_is_not_named_is_the_exercises_fault(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    checks = TOLD.replace("one is a folder, not a file", "something is there")
    verifier = Verifier(begin(demo(text=TEXT.replace("\n## Second", MISTAKE), checks=checks)), heard.append, limit=1)

    with pytest.raises(NotYetError, match="should be told as 'one is a folder'; it says: something is there"):
        verifier.verify()

    assert not joined(verifier.reports).is_done


WAY = """
```sh node=host right
echo by another command > $PLACE/one
```

```sh node=host undo
rm $PLACE/one
```

## Second"""


def test_another_right_way_must_pass_and_is_taken_back(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    Verifier(begin(demo(text=TEXT.replace("\n## Second", WAY))), heard.append, limit=3).verify()

    notes = [event.note for event in heard if isinstance(event, StepFinished)]
    assert "fails untouched, 1 other way taken, passes solved, and solved twice" in notes


def test_another_right_way_answers_no_question(demo: Demo, begin: Begin, heard: list[Event]) -> None:
    text = TEXT.replace("\n## Second", QUESTION.replace("\n## Second", WAY))

    Verifier(begin(demo(text=text)), heard.append, limit=3).verify()

    assert any("1 other way taken" in event.note for event in heard if isinstance(event, StepFinished))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "$PLACE/one\n```\n\n```sh node=host undo",
            "$PLACE/other\n```\n\n```sh node=host undo",
            "there is no file one",
        ),
        ("rm $PLACE/one", "true", "its checks still pass when what line .. did is taken back"),
    ],
)
def test_a_right_way_that_fails_or_stays_is_the_exercises_fault(
    demo: Demo, begin: Begin, heard: list[Event], old: str, new: str, told: str
) -> None:
    text = TEXT.replace("\n## Second", WAY.replace(old, new))
    verifier = Verifier(begin(demo(text=text)), heard.append, limit=1)

    with pytest.raises(NotYetError, match=told):
        verifier.verify()

    assert not joined(verifier.reports).is_done


def test_testing_leaves_nothing(demo: Demo, begin: Begin, heard: list[Event], place: Path) -> None:
    exercise = demo()

    Verifier(begin(exercise), heard.append, limit=3).verify()

    assert list(place.iterdir()) == []
    assert begin(exercise).progress.done == {}
