"""What goes wrong for those who write exercises: found by `exercise test` or `lint`, and told with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.checks.runner import Request, run_checks
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError, NotYetError, SpecError, UsageError
from labctl.events import Event, StepProgress
from labctl.exercise import Exercise
from labctl.exercise.progress import done_ever
from labctl.exercise.session import Session
from labctl.exercise.stage import Stage
from labctl.exercise.verify import Verifier, lint
from labctl.lab import Context, Lab
from labctl.spec import read_mapping
from labctl.transport import Result

from ..nodes import fake_node
from .conftest import CHECKS, TEXT, Demo

Begin = Callable[[Exercise], Session]


def verify(session: Session, heard: list[Event] | None = None, *, limit: float = 2.0) -> None:
    events = heard if heard is not None else []
    Verifier(session, events.append, limit=limit).verify()


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("rm -rf $PLACE/one $PLACE/two", "rm -rf $PLACE/none"),
        TEXT[: TEXT.index("```sh node=host reset")],
    ],
)
def test_a_reset_that_leaves_what_was_made_is_told(demo: Demo, begin: Begin, text: str) -> None:
    with pytest.raises(NotYetError, match="step first is done still: what the exercise made is left behind") as caught:
        verify(begin(demo(text=text)))

    assert ("exercise.md:" in caught.value.message) == ("reset" in text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("touch $PLACE/one\n", "touhc $PLACE/one\ntouch $PLACE/one\n"),
        ("touch $PLACE/one\n", 'echo "$PLACE\n'),
        ("rm -rf $PLACE/one", "false\nrm -rf $PLACE/one"),
    ],
)
def test_a_block_that_does_not_run_is_told_with_its_line(demo: Demo, begin: Begin, old: str, new: str) -> None:
    with pytest.raises(NotYetError, match=r"this block does not run \(.*/exercise.md:\d+\): here: "):
        verify(begin(demo(text=TEXT.replace(old, new))))


def test_a_set_up_that_does_not_run_is_the_exercises_fault(demo: Demo, begin: Begin) -> None:
    text = TEXT.replace("## Second", "```sh node=host setup\nfalse\n```\n\n## Second")
    session = begin(demo(text=text))

    with pytest.raises(LabError, match=r"the exercise is at fault: step first cannot be set up \(exercise.md:\d+\)"):
        session.set_up(session.current)


def test_a_mistake_on_top_of_the_solution(demo: Demo, begin: Begin, place: Path) -> None:
    late = '```sh node=host wrong="one is not empty" solved\necho x > $PLACE/one\n```\n\n## Second'
    undo = late.replace("\n## Second", "```sh node=host undo\n: > $PLACE/one\n```\n\n## Second")
    telling = '    if (PLACE / "one").exists() and (PLACE / "one").read_text():\n        not_yet("one is not empty")\n'
    checks = CHECKS.replace('    if not (PLACE / "one")', telling + '    if not (PLACE / "one")')

    verify(begin(demo(text=TEXT.replace("## Second", undo), checks=checks)))

    with pytest.raises(NotYetError, match=r"this mistake \(.*/exercise.md:\d+\) should be told as 'one is not empty'"):
        verify(begin(demo(text=TEXT.replace("## Second", late.replace("> $PLACE/one", "> /dev/null")), checks=checks)))


def test_solved_belongs_to_a_mistake(demo: Demo) -> None:
    with pytest.raises(SpecError) as caught:
        demo(text=TEXT.replace("node=host solve", "node=host solve solved"))

    assert any("`solved` says when a mistake is made" in one for one in caught.value.problems)


def test_what_a_check_says_is_shown_while_it_is_waited_for(demo: Demo, begin: Begin) -> None:
    heard: list[Event] = []
    with pytest.raises(NotYetError):
        verify(begin(demo(checks=CHECKS.replace('if not (PLACE / "one").exists()', "if True"))), heard)

    assert any("there is no file one" in event.note for event in heard if isinstance(event, StepProgress))


@pytest.mark.parametrize(("value", "told"), [("False", "returns False"), ("True", "returns True"), ("[1]", "a list")])
def test_a_check_that_returns_something_is_at_fault(tmp_path: Path, value: str, told: str) -> None:
    (tmp_path / "test_it.py").write_text(
        f'import pytest\n\n\n@pytest.mark.step("a")\ndef test_a():\n    """It is so."""\n    return {value}\n'
    )

    (result,) = run_checks(Request(tmp_path / "test_it.py", "no-lab")).results

    assert (result.outcome, result.at_fault) == ("broken", True)
    assert told in result.message
    assert "(test_it.py:4)" in result.message


def test_a_name_that_stands_for_nothing_is_found_without_running_it(demo: Demo) -> None:
    checks = CHECKS.replace('not_yet("there is no file one"', 'notyet("there is no file one"')

    with pytest.raises(SpecError) as caught:
        lint(demo(checks=checks))

    assert any("test_demo.py:13: there is no name notyet" in one for one in caught.value.problems)


def test_a_text_that_begins_with_a_mark_of_windows_editors_is_read(demo: Demo) -> None:
    exercise = demo()
    file = exercise.folder / "exercise.md"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    lint(exercise)


def test_blocks_run_as_the_learner_and_labctls_own_as_root(demo: Demo) -> None:
    text = TEXT.replace("node=host reset", "node=m1 reset").replace("node=host solve", "node=m1 solve")
    exercise = demo(text=text)
    node = fake_node("manager1")
    spec = read_mapping({"name": "demo", "managers": 1, "workers": 0})
    lab = Lab(Context(FakeEngine()), FakeBackend(), LabRecord("demo", lambda: spec, None, None, (node,)))
    stage = Stage(lab, exercise, lambda _event: None)
    typed = "su - docker -c 'set -e\ntouch $PLACE/one'"
    own = "set -e\nrm -rf $PLACE/one $PLACE/two"
    node.shell.answers = {typed: Result(typed, 0, "", ""), own: Result(own, 0, "", "")}

    stage.run(exercise.steps[0].played[0])
    stage.run(exercise.reset[0])

    assert node.shell.commands == [typed, own]


def test_what_was_played_for_a_learner_is_not_their_work(demo: Demo, begin: Begin, place: Path) -> None:
    session = begin(demo())
    (place / "one").touch()
    (place / "two").mkdir()
    played = session.check(session.exercise.steps[1])
    assert set(done_ever("demo")) == {"second"}

    session.note(session.current, played, is_learner=False)
    session.progress.mark(session.current)
    session.check(session.current)

    assert set(done_ever("demo")) == {"second"}


QUESTION = """
```question id=odd
Why three?

( ) Two are slower.
    No.
(x) Two cannot lose one.
    Yes.
```

## Second"""


def test_an_answer_is_taken_without_keys_that_were_not_meant(demo: Demo, begin: Begin) -> None:
    session = begin(demo(text=TEXT.replace("\n## Second", QUESTION)))

    assert session.answer(session.current, "odd", "\x1b[Db\x1b").is_right
    assert session.stage.answers.all() == {"odd": "b"}
    with pytest.raises(UsageError, match="'1' is none of the choices: type one of a, b"):
        session.answer(session.current, "odd", "1")
    assert session.stage.answers.all() == {"odd": "b"}
