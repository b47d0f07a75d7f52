"""The guided loop with scripted keys: only live keys do something, ticks come by themselves, nobody is moved on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.exercise import Exercise, run
from labctl.exercise import watch as guided
from labctl.exercise.session import Session
from labctl.exercise.watch import View, Watch
from tests.guard import HANGING, no_hang

from .conftest import CHECKS, TEXT, Demo

Begin = Callable[[Exercise], Session]
LIMIT = HANGING  # seconds for what a script waits for


class ScriptedScreen:
    """Runs a script: it yields keys, or conditions on the view that are waited for."""

    def __init__(self, script: Callable[[ScriptedScreen], Iterator[str | Callable[[View], bool]]]) -> None:
        self.shown: list[str] = []
        self.views: list[View] = []
        self._script = script(self)
        self._awaited: Callable[[View], bool] | None = None
        self._since = time.monotonic()

    @property
    def view(self) -> View:
        return self.views[-1]

    @property
    def keys(self) -> dict[str, str]:
        return dict(self.view.keys)

    def show(self, markdown: str) -> None:
        self.shown.append(markdown)

    def draw(self, view: View) -> None:
        self.views.append(view)

    def ask(self, question: str) -> str:
        self.shown.append(question)
        return str(next(self._script, ""))

    def show_map(self) -> None:
        self.shown.append("the map")

    def key(self, seconds: float) -> str:
        if self._awaited is not None and not self._awaited(self.view):
            assert time.monotonic() - self._since < LIMIT, self.view
            time.sleep(min(seconds, 0.02))
            return ""
        self._awaited = None
        wanted = next(self._script, "q")
        if callable(wanted):
            self._awaited, self._since = wanted, time.monotonic()
            return ""
        return wanted


def outcomes(*wanted: str) -> Callable[[View], bool]:
    return lambda view: [check.outcome for check in view.checks] == list(wanted)


def watch(
    session: Session, script: Callable[[ScriptedScreen], Iterator[str | Callable[[View], bool]]]
) -> ScriptedScreen:
    screen = ScriptedScreen(script)
    assert Watch(session, screen).run() == 0
    return screen


def test_the_way_through(demo: Demo, begin: Begin, place: Path) -> None:
    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet")
        assert screen.view.failure == ("Not yet: there is no file one", "  look:  ls")
        assert screen.keys == {
            "h": "hint 1 of 2",
            "c": "check now",
            "s": "solution",
            "r": "read again",
            "l": "list",
            "m": "map",
            "x": "reset",
            "?": "keys",
            "q": "quit",
        }
        (place / "one").touch()
        yield outcomes("done")
        assert screen.view.is_done
        assert screen.keys["n"] == "next"
        yield "n"
        yield outcomes("not-yet")
        assert screen.view.title == "Second"
        assert "n" not in screen.keys
        (place / "two").mkdir()
        yield outcomes("done")
        assert screen.keys["n"] == "finish"
        yield "n"

    session = begin(demo())
    screen = watch(session, script)

    assert screen.shown[0] == "Welcome."
    assert screen.shown[1].startswith("## 1 of 2: First\n\nMake a file called `one` in `manager1`.")
    assert "**A demo: done**, in 1 minute, with no hint." in screen.shown[-1]
    assert session.is_finished


def test_n_does_nothing_while_the_step_is_not_done(demo: Demo, begin: Begin) -> None:
    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet")
        yield "n"
        yield "y"
        yield ""
        assert screen.view.number == 1

    screen = watch(begin(demo()), script)

    assert len(screen.shown) == 2


def test_hints_solution_and_list_are_shown_when_asked_for(demo: Demo, begin: Begin) -> None:
    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet")
        yield from "hhsl"

    shown = watch(begin(demo()), script).shown[2:]

    assert shown[0] == "**Hint 1 of 2.** Use touch."
    assert shown[1] == "**Hint 2 of 2.** touch one"
    assert shown[2].startswith("**Solution.**")
    assert "touch $PLACE/one" in shown[2]
    assert shown[3].startswith("○ 1. First  ← you are here  \n○ 2. Second")


def test_a_debrief_and_a_hint_may_begin_with_a_picture(demo: Demo, begin: Begin, place: Path) -> None:
    picture = "```text\na --> b\n```"
    end = f"<details><summary>Debrief</summary>\n\n{picture}\n\n</details>\n\n## Second"
    text = TEXT.replace("## Second", end).replace(">Use touch.<", f">\n\n{picture}\n\n<")

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet")
        yield "h"
        (place / "one").touch()
        yield outcomes("done")

    session = begin(demo(text=text))
    shown = watch(session, script).shown[2:]

    assert shown == [f"**Hint 1 of 2.**\n\n{picture}", f"**Done.**\n\n{picture}"]
    (again,) = watch(session, lambda screen: iter([outcomes("done")])).shown[1:]
    assert again == f"**Done before.**\n\n{picture}"


def test_it_goes_on_where_it_was(demo: Demo, begin: Begin, place: Path) -> None:
    def until_second(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        (place / "one").touch()
        yield outcomes("done")
        yield "n"

    watch(begin(demo()), until_second)
    again = watch(begin(demo()), lambda _screen: iter(()))

    assert again.shown[0].startswith("## 2 of 2: Second")


def test_a_probe_waits_for_c(demo: Demo, begin: Begin, place: Path) -> None:
    (place / "one").touch()
    checks = CHECKS.replace('@pytest.mark.step("first")', '@pytest.mark.probe\n@pytest.mark.step("first")')

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet")
        assert "press c" in screen.view.failure[0]
        yield "c"
        yield outcomes("done")

    watch(begin(demo(checks=checks)), script)


def test_checks_that_cannot_be_read_are_told_and_tried_again(demo: Demo, begin: Begin, place: Path) -> None:
    session = begin(demo(checks="def ("))
    (place / "one").touch()

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield lambda view: bool(view.failure)
        assert "cannot be run" in screen.view.failure[0]
        session.exercise.checks.write_text(CHECKS)
        yield "c"
        yield outcomes("done")

    watch(session, script)


def test_what_no_longer_holds_at_the_end_is_told(demo: Demo, begin: Begin, place: Path) -> None:
    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        (place / "one").touch()
        (place / "two").mkdir()
        yield outcomes("done")
        yield "n"
        yield lambda view: view.number == 2 and view.is_done
        (place / "one").unlink()
        yield "n"

    screen = watch(begin(demo()), script)

    assert "No longer as it was: First: there is no file one" in screen.shown[-1]


def test_q_ends_it_at_once(demo: Demo, begin: Begin) -> None:
    with no_hang():
        watch(begin(demo()), lambda _screen: iter(["q"]))


def test_a_reset_says_what_it_does_before_and_what_it_did(demo: Demo, begin: Begin, place: Path) -> None:
    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        (place / "one").touch()
        yield outcomes("done")
        yield "x"
        assert "takes away what 'A demo' made in lab demo" in screen.shown[-1]
        yield lambda view: "x once more" in view.sign
        yield "h"
        yield lambda view: view.sign == "nothing was reset"
        assert (place / "one").exists()
        yield from "xx"
        yield outcomes("not-yet")

    screen = watch(begin(demo()), script)

    assert not (place / "one").exists()
    assert "**Reset.** What 'A demo' made in lab demo is gone, 1 step open again." in screen.shown
    assert not any("Hint" in shown for shown in screen.shown), "the key that leaves all as it is does no more"


def test_a_reason_says_itself_that_an_answer_is_right(demo: Demo, begin: Begin) -> None:
    question = "```question id=why\nWhy?\n\n(x) So.\n    Right. So.\n( ) Else.\n    No.\n```\n\n<details>"

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        yield outcomes("not-yet", "not-yet")
        yield from ("a", "b", "a", "a")

    shown = watch(begin(demo(TEXT.replace("<details>", question, 1))), script).shown

    assert "You answered: b.  \n✗ No." in shown
    assert "You answered: a.  \n✓ Right. So." in shown


@pytest.mark.parametrize("typed", ["yes", ""])
def test_what_a_lesson_leaves_closed_is_told_at_its_end_and_brought_back_if_wanted(
    demo: Demo, begin: Begin, place: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(run, "left_in", lambda _lab: ("worker1 gets no work (drain)",))
    monkeypatch.setattr(guided, "open_again", lambda lab: opened.append(lab.name))

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        (place / "one").touch()
        (place / "two").mkdir()
        yield outcomes("done")
        yield "n"
        yield outcomes("done")
        yield "n"
        yield typed

    session = begin(demo())
    shown = watch(session, script).shown

    assert "otherwise than in a new lab: worker1 gets no work (drain)." in shown[-2]
    assert (place / "two").exists() is (typed == "")
    assert opened == (["demo"] if typed else [])
    assert ("What you have done stays done." in shown[-1]) is (typed == "yes")
    assert session.is_finished


def test_a_lesson_whose_end_cannot_be_taken_away_says_why(
    demo: Demo, begin: Begin, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "left_in", lambda _lab: ("worker1 has the fault block",))

    def script(screen: ScriptedScreen) -> Iterator[str | Callable[[View], bool]]:
        (place / "one").touch()
        (place / "two").mkdir()
        yield outcomes("done")
        yield "n"
        yield outcomes("done")
        yield from ("n", "y")

    shown = watch(begin(demo(TEXT.replace("rm -rf $PLACE/one $PLACE/two", "exit 3"))), script).shown

    assert "`exit 3` exited 3" in shown[-1]
