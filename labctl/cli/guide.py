"""The guided loop on a terminal: Markdown above, the live checks below, single keys from the keyboard."""

from __future__ import annotations

import re
from textwrap import indent
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from labctl.cli.console import console
from labctl.cli.hints import lesson_with_lab
from labctl.cli.keyboard import END_OF_INPUT, Keyboard

if TYPE_CHECKING:
    from types import TracebackType

    from labctl.exercise.watch import View

__all__ = ["TerminalScreen"]

SIGNS = {
    "done": ("✓", "green"),
    "not-yet": ("○", "yellow"),
    "not-run": ("○", "dim"),
    "wrong": ("✗", "red"),
    "broken": ("!", "red"),
}
CODE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


class TerminalScreen:
    """A learner's terminal; a context, so that the terminal is as it was afterwards."""

    def __init__(self) -> None:
        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._keyboard = Keyboard()
        self._drawn: object = None

    def __enter__(self) -> Self:
        self._keyboard.begin()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._keyboard.end()

    def show(self, markdown: str) -> None:
        """Show text that stays, above the live part. Code keeps its lines whole, so that it can be copied."""
        say = self._live.console.print
        for number, part in enumerate(CODE.split(lesson_with_lab(markdown))):
            if number % 2:
                say(Text(indent(part.rstrip("\n"), "    "), style="cyan"), soft_wrap=True)
                say()
            elif part.strip():
                say(Markdown(part), "")

    def draw(self, view: View) -> None:
        """Draw the live part, if it has changed."""
        if view != self._drawn:
            self._drawn = view
            self._live.update(_live_part(view), refresh=True)

    def key(self, seconds: float) -> str:
        """Return the key that is pressed within so many seconds; the end of the input counts as q."""
        typed = self._keyboard.key(seconds)
        return "q" if typed == END_OF_INPUT else typed.lower()


def _live_part(view: View) -> Group:
    lines: list[Text] = [_head(view)]
    for result in view.checks:
        sign, style = SIGNS[result.outcome]
        lines.append(Text.assemble("  ", (sign, style), f" {result.title}"))
    if not view.checks and not view.failure:
        lines.append(Text("  checking …", style="dim"))
    lines += [Text(f"  {lesson_with_lab(line)}", style="yellow") for line in view.failure]
    keys = Text("  ")
    for key, meaning in view.keys:
        keys.append(f"[{key}]", style="bold").append(f" {meaning}   ")
    return Group(*lines, Text(), keys)


def _head(view: View) -> Text:
    bar = "█" * view.steps_done + "░" * (view.total - view.steps_done)
    done = ("  done", "green") if view.is_done else ("", "")
    return Text.assemble((f"{bar} {view.steps_done}/{view.total}  ", "dim"), (view.title, "bold"), done)
