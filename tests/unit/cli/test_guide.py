"""The guide's screen: a long text is read page by page, whole pages, and what waits for a key is heeded."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from labctl.checks.report import CheckResult
from labctl.cli import guide
from labctl.cli.guide import TerminalScreen
from labctl.exercise.watch import View

MORE = "more: space or Enter"
KEYS = (("h", "hint 1 of 2"), ("c", "check now"), ("s", "solution"), ("r", "read again"), ("l", "list"), ("q", "quit"))
Begin = Callable[..., "Learner"]


class Learner:
    """A screen of that size; `keys` are what is pressed at each page that waits, and what was shown before each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: str, columns: int, rows: int) -> None:
        self._out = io.StringIO()
        self._keys = list(keys)
        self.pages: list[str] = []
        screen = Console(file=self._out, width=columns, height=rows, force_terminal=False)
        monkeypatch.setattr(guide, "console", lambda: screen)
        self.screen = TerminalScreen()
        monkeypatch.setattr(self.screen._keyboard, "key", self._press)

    def _press(self, _seconds: float) -> str:
        self.pages.append(self.shown)
        self._out.truncate(self._out.seek(0))
        return self._keys.pop(0)

    @property
    def shown(self) -> str:
        return self._out.getvalue()

    @property
    def lines(self) -> list[int]:
        """How many lines each page had that waited."""
        return [len(page.rstrip("\n").splitlines()) for page in self.pages]


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Begin:
    def begin(keys: str = "", columns: int = 60, rows: int = 20) -> Learner:
        return Learner(monkeypatch, keys, columns, rows)

    return begin


def view(*checks: str) -> View:
    results = tuple(CheckResult("a", name, name, "not-yet") for name in checks)
    return View(1, 2, "A step", results, ("Not yet: it is not there",), KEYS, is_done=False, steps_done=0)


def paragraphs(count: int) -> str:
    return "\n\n".join(f"Paragraph {number}." for number in range(1, count + 1))


def test_a_page_fills_the_screen_since_nothing_else_is_on_it(learner: Begin) -> None:
    one = learner("  ")

    one.screen.show(paragraphs(20))

    assert [line for line in one.lines if line < 15] == []
    assert "Paragraph 8." in one.pages[0]
    assert "Paragraph 20." in one.shown


def test_the_last_page_is_read_before_the_checks_push_it_away(learner: Begin) -> None:
    one = learner(" ")
    one.screen.show(paragraphs(8))
    assert one.pages == []

    one.screen.draw(view("one", "two"))

    assert "Paragraph 1." in one.pages[0]
    one.screen.draw(view("one", "two", "three"))
    assert len(one.pages) == 1, "checks that come later ask for nothing"


def test_a_text_that_fits_above_the_checks_waits_for_nothing(learner: Begin) -> None:
    one = learner()

    one.screen.show(paragraphs(3))
    one.screen.draw(view("one", "two"))

    assert one.pages == []


def test_what_is_longer_than_a_page_is_cut_between_its_lines(learner: Begin) -> None:
    one = learner("  ")
    code = "\n".join(f"echo {number}" for number in range(1, 31))

    one.screen.show(f"Type:\n\n```\n{code}\n```")

    assert max(one.lines) <= 20
    seen = "".join(one.pages) + one.shown
    assert [line.strip() for line in seen.splitlines() if "echo" in line] == code.splitlines()


def test_a_list_begins_without_an_empty_line(learner: Begin) -> None:
    one = learner()

    one.screen.show("Which?\n\n- a\n- b")

    assert [line.rstrip() for line in one.shown.splitlines()] == ["Which?", "", " • a", " • b", ""]


@pytest.mark.parametrize("key", ["q", "n"])
def test_a_key_that_means_something_else_ends_the_reading(learner: Begin, key: str) -> None:
    one = learner(key)

    one.screen.show(paragraphs(60))

    assert len(one.pages) == 1
    assert ("Paragraph 60." in one.shown) is (key == "n")
    assert one.screen._pushed_back == ("n" if key == "n" else "")


def test_a_heading_stands_on_the_page_of_what_it_heads(learner: Begin) -> None:
    one = learner(" ")

    one.screen.show(f"{paragraphs(8)}\n\n## A heading\n\nThe first of its lines.")

    assert "A heading" not in one.pages[0]
    assert "A heading" in one.shown
