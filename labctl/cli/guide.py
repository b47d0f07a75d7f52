"""The guided loop on a terminal: Markdown above, the live checks below, single keys from the keyboard."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import SegmentLines
from rich.table import Table
from rich.text import Text

from labctl.checks.report import SIGNS
from labctl.cli.console import console
from labctl.cli.hints import lesson_with_lab
from labctl.cli.keyboard import END_OF_INPUT, Keyboard

if TYPE_CHECKING:
    from types import TracebackType

    from labctl.exercise.watch import View
    from labctl.lab import Lab

__all__ = ["TerminalScreen", "show_text"]

STYLES = {"done": "green", "not-yet": "yellow", "not-run": "dim", "wrong": "red", "broken": "red"}
CODE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
LIVE_LINES = 7  # without the keys, that the last page of a text leaves to what is below it, at least
FEWEST_LINES = 6  # of text on one page, however small the screen is
MORE_LINES = 2  # below a page: that there is more, and where the cursor stands
READ_ON = (" ", "\r", "\n")
UNBOUNDED = 10_000  # lines, more than any text has
PAGER_LIMIT = 1.0  # seconds between two looks whether the terminal was resized


class TerminalScreen:
    """A learner's terminal; a context, so that the terminal is as it was afterwards. `lab` is what the map is of."""

    def __init__(self, lab: Lab | None = None) -> None:
        self._lab = lab
        self._console = console()
        self._live = self._new_live()
        self._keyboard = Keyboard()
        self._drawn: View | None = None
        self._shown: list[str] = []  # since the last step began: what a resized terminal is drawn anew from
        self._is_stale = False
        self._unread = 0  # lines that were shown since a key was pressed
        self._is_new = False  # whether text was shown since the live part was drawn
        self._is_asking = False
        self._pushed_back = ""  # a key that was pressed while a long text waited
        self._handlers: dict[int, Any] = {}

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._keyboard.begin()
        self._live.start()
        if sys.platform != "win32":
            for number, handler in ((signal.SIGWINCH, self._resized), (signal.SIGCONT, self._continued)):
                self._handlers[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._live.stop()
        self._keyboard.end()

    def _resized(self, _signal: int, _frame: object) -> None:
        self._is_stale = True

    def _continued(self, _signal: int, _frame: object) -> None:
        if not self._is_asking:  # a line that is typed has the terminal as the shell left it
            self._keyboard.resume()
        self._is_stale = True

    def show(self, markdown: str) -> None:
        """Show text that stays, above the live part, from its beginning: a long one waits at each screenful.

        Code keeps its lines whole, so that it can be copied.
        """
        if markdown.startswith("## "):
            self._shown.clear()
        self._shown.append(markdown)
        self._is_new = True
        self._page(_parts(lesson_with_lab(markdown)))

    def show_map(self) -> None:
        """Show the nodes and their tasks."""
        from labctl.cli.map import draw

        if self._lab is not None:
            self._console.print(draw(self._lab.refresh().map(), self._console.width))

    def draw(self, view: View) -> None:
        """Draw the live part, if it has changed; all of it anew on a terminal that was resized.

        What would leave the screen for it, and was not read yet, waits for a key first.
        """
        if self._is_stale:
            self._draw_anew()
        if view == self._drawn:
            return
        live, keys = _live_part(view), _key_lines(view.keys, self._console.width)
        lines = max(LIVE_LINES, len(self._console.render_lines(live, pad=False))) + len(keys) + 1
        if self._is_new and self._unread > max(FEWEST_LINES, self._console.height - lines):
            self._more()
        self._is_new = False
        self._drawn = view
        self._live.update(Group(live, *keys), refresh=True)

    def key(self, seconds: float) -> str:
        """Return the key that is pressed within so many seconds; the end of the input counts as q."""
        typed, self._pushed_back = self._pushed_back or self._keyboard.key(seconds), ""
        if typed:
            self._unread = 0
        return "q" if typed == END_OF_INPUT else typed.lower()

    def ask(self, question: str) -> str:
        """Ask for a line of text below a question, Markdown; empty where the learner gives none, or presses Ctrl-C.

        The question is shown whole: what is typed from then on is the answer, and no key of the guide's.
        """
        self._live.stop()
        self._pushed_back = ""
        self._keyboard.end()
        self._is_asking = True
        # A Ctrl-C here is none for the command, which would take a second one for impatience.
        interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with contextlib.suppress(ImportError):  # not on Windows, whose own consoles edit a line
                import readline  # noqa: F401  from here on a line that is typed can be edited
            for part in _parts(question):
                _put(self._console, part)
            return input("> ")
        except (EOFError, KeyboardInterrupt):
            self._console.print()
            return ""
        finally:
            signal.signal(signal.SIGINT, interrupt)
            self._is_asking = False
            self._keyboard.begin()
            self._drawn = None
            self._live = self._new_live()
            self._live.start()

    def _page(self, parts: Sequence[Markdown | Text]) -> None:
        """Print part by part, and wait for a key before what was not read yet would leave the screen."""
        room = max(FEWEST_LINES, self._console.height - MORE_LINES)
        self._drawn = None
        self._live.update(Group(), refresh=True)  # what is below a page that is printed pushes it off the screen
        pages = [page for part in parts for page in _pages(self._console, part, room)]
        heights = [_height(self._console, page) for page in pages]
        for page, lines, following in zip(pages, heights, [*heights[1:], 0], strict=True):
            # A line alone, as a heading, stays with what it speaks of.
            needed = lines + 1 + following if lines == 1 and lines + 1 + following <= room else lines
            if self._unread and self._unread + needed > room and not self._more():
                return
            self._unread += lines + 1
            self._print(page)

    def _print(self, part: Markdown | Text | SegmentLines) -> None:
        _put(self._live.console, part)
        self._live.console.print()

    def _more(self) -> bool:
        """Wait until the learner wants to read on; false where they do not.

        A key that means something else shows the rest at once, and is heeded then.
        """
        self._drawn = None
        self._live.update(Text("── more: space or Enter · q: skip ──", style="reverse"), refresh=True)
        while not (typed := self._keyboard.key(PAGER_LIMIT)):
            pass
        self._live.update(Group(), refresh=True)
        if typed in ("q", END_OF_INPUT):
            self._unread = 0
            return False
        is_for_us = typed in READ_ON
        self._unread = 0 if is_for_us else -UNBOUNDED
        self._pushed_back = "" if is_for_us else typed
        return True

    def _draw_anew(self) -> None:
        """Clear the screen, and show what was shown of the step: what was drawn for another width is in the way."""
        self._is_stale = False
        self._drawn = None
        self._live.stop()
        self._console.clear()
        self._live = self._new_live()
        self._live.start()
        for markdown in self._shown:
            for part in _parts(lesson_with_lab(markdown)):
                self._print(part)


def show_text(markdown: str) -> None:
    """Print Markdown as the guide shows it, without waiting for anybody."""
    screen = console()
    for part in _parts(markdown):
        _put(screen, part)
        screen.print()


def _put(screen: Console, part: Markdown | Text | SegmentLines) -> None:
    """Print a part; code keeps its lines whole, so that it can be copied."""
    screen.print(_in_lines(screen, part), soft_wrap=isinstance(part, Text))


def _in_lines(screen: Console, part: Markdown | Text | SegmentLines) -> Text | SegmentLines:
    """Markdown in the lines of that screen, without the empty ones that it begins a list with; code as it is."""
    if not isinstance(part, Markdown):
        return part
    lines = screen.render_lines(part, pad=False)
    while lines and not "".join(segment.text for segment in lines[0]).strip():
        lines.pop(0)
    return SegmentLines(lines, new_lines=True)


def _height(screen: Console, part: Text | SegmentLines) -> int:
    return len(screen.render_lines(part, pad=False))


def _pages(screen: Console, part: Markdown | Text, room: int) -> Iterator[Text | SegmentLines]:
    """The part in pieces that the room is enough for: one, but for a long list, table or piece of code."""
    shown = _in_lines(screen, part)
    if _height(screen, shown) <= room:
        yield shown
    elif isinstance(shown, Text):
        code = shown.split("\n")
        yield from (Text("\n").join(code[first : first + room]) for first in range(0, len(code), room))
    else:
        lines = list(shown.lines)
        yield from (SegmentLines(lines[n : n + room], new_lines=True) for n in range(0, len(lines), room))


def _parts(markdown: str) -> list[Markdown | Text]:
    """Text and code in turn, one for each paragraph, list or table."""
    parts: list[Markdown | Text] = []
    for number, part in enumerate(CODE.split(markdown)):
        if number % 2:
            parts.append(Text(indent(part.rstrip("\n"), "    "), style="cyan"))
        else:
            parts += [Markdown(text) for text in re.split(r"\n{2,}(?![ \t])", part) if text.strip()]
    return parts


def _live_part(view: View) -> Group:
    checks = Table.grid(padding=(0, 1))
    for result in view.checks:
        checks.add_row(Text(f"  {SIGNS[result.outcome]}", STYLES[result.outcome]), result.title)
    lines: list[Text] = []
    if not view.checks and not view.failure:
        lines.append(Text("  checking …", style="dim"))
    lines += [Text(f"  {lesson_with_lab(line)}", style="yellow") for line in view.failure]
    if view.sign:
        lines.append(Text(f"  {view.sign}", style="cyan"))
    return Group(_head(view), *([checks] if view.checks else []), *lines, Text())


def _key_lines(keys: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """The keys, as many on a line as fit: a key and its meaning are not torn apart."""
    lines = [Text("  ")]
    for key, meaning in keys:
        entry = Text.assemble((f"[{key}]", "bold"), f" {meaning}")
        if lines[-1].cell_len + entry.cell_len > width and lines[-1].plain.strip():
            lines.append(Text("  "))
        lines[-1].append(entry).append("   ")
    for line in lines:
        line.rstrip()
    return lines


def _head(view: View) -> Text:
    bar = "█" * view.steps_done + "░" * (view.total - view.steps_done)
    done = ("  done", "green") if view.is_done else ("", "")
    return Text.assemble((f"{bar} {view.steps_done}/{view.total}  ", "dim"), (view.title, "bold"), done)
