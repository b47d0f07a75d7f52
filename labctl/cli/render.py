"""Events on stderr: a live line on a terminal, plain lines elsewhere, JSON lines where asked."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Protocol

from labctl import events
from labctl.cli.hints import with_lab, with_lab_within
from labctl.events import Emit, Event

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["PlainRenderer", "TerminalRenderer", "renderer"]


class Writer(Protocol):
    """Somewhere to write lines to."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> object:
        """Let it be seen."""
        ...


SAME_AGAIN = 10.0  # seconds


def renderer(progress: str, *, verbose: bool, lab: str | None = None) -> Emit:
    """Return who draws the events. `progress` is auto, plain, json or none; commands in them name `lab`.

    A warning is no progress: it comes with none, too.
    """
    if progress == "none":
        return _warnings_only(PlainRenderer(sys.stderr, lab=lab))
    if progress == "json":
        return partial(_json_line, lab=lab)
    if progress == "auto" and sys.stderr.isatty():
        return TerminalRenderer(verbose=verbose, lab=lab)
    return PlainRenderer(sys.stderr, verbose=verbose, lab=lab)


def _warnings_only(draw: Emit) -> Emit:
    def emit(event: Event) -> None:
        if isinstance(event, events.Warned):
            draw(event)

    return emit


def _json_line(event: Event, *, lab: str | None) -> None:
    # What was run on a node stays as it was.
    said = events.to_dict(event)
    sys.stderr.write(json.dumps(said if isinstance(event, events.CommandShown) else with_lab_within(said, lab)) + "\n")
    sys.stderr.flush()


class PlainRenderer:
    """One line a step when it begins and ends, a line of progress in between, nothing that moves.

    What a step says again without a change is written every SAME_AGAIN seconds only: a log is read as a whole.
    """

    def __init__(self, out: Writer, *, verbose: bool = False, lab: str | None = None) -> None:
        self._out = out
        self._verbose = verbose
        self._lab = lab
        self._said: tuple[str, str] | None = None
        self._said_at = 0.0

    def __call__(self, event: Event) -> None:
        """Write the event as a line, if it is one for people."""
        if isinstance(event, events.StepProgress):
            said = event.step, event.note
            if said == self._said and 0 <= event.seconds - self._said_at < SAME_AGAIN:
                return
            self._said, self._said_at = said, event.seconds
        line = text_of(event, verbose=self._verbose)
        if line:
            self._out.write(with_lab(line, self._lab) + "\n")
            self._out.flush()


def text_of(event: Event, *, verbose: bool) -> str:
    """The event as a plain line; empty for what only the patient want to read."""
    if isinstance(event, events.CommandShown):
        return f"      {event.where} $ {event.command}" if verbose else ""
    return _step_text(event) or _thing_text(event)


def _step_text(event: Event) -> str:
    match event:
        case events.StepStarted(step, number, total):
            return f"[{number}/{total}] {step} …"
        case events.StepProgress(step, note, seconds):
            return f"      {step}: {note or 'working'} ({seconds:.0f} s)"
        case events.StepFinished():
            mark = "done" if event.ok else "failed"
            told = f": {event.note}" if event.note and event.ok else ""
            return f"[{event.number}/{event.total}] {event.step} {mark} in {event.seconds:.1f} s{told}"
        case events.Warned(text):
            return f"warning: {text}"
        case _:
            return ""


def _thing_text(event: Event) -> str:
    match event:
        case events.NodeReady(node, version):
            return f"      {node} is up (engine {version})"
        case events.NodeJoined(node, role):
            return f"      {node} joined as {role}"
        case events.NodeRemoved(node):
            return f"      {node} removed"
        case events.TaskConverged(service, running, wanted, reason, count):
            return f"      {service} {count or f'{running}/{wanted}'}{': ' + reason if reason else ''}"
        case events.CheckFinished(_, check, outcome, message):
            sign = {"done": "✓", "not-yet": "…", "wrong": "✗"}.get(outcome, "!")
            return f"      {sign} {check}{': ' + message if message and outcome != 'done' else ''}"
        case events.Noted(text):
            return f"      {text}"
        case _:
            return ""


class TerminalRenderer:
    """A spinner with the step, its number and its time; finished steps stay as lines above it."""

    def __init__(self, *, verbose: bool = False, lab: str | None = None) -> None:
        from labctl.cli.console import console

        self._console = console(stderr=True)
        self._lab = lab
        self._verbose = verbose
        self._status: Status | None = None
        self._head = ""

    def __call__(self, event: Event) -> None:
        """Draw the event."""
        match event:
            case events.StepStarted(step, number, total):
                self._head = f"[{number}/{total}] {step}"
                self._spin(self._head + " …")
            case events.StepProgress(_, note, seconds):
                self._spin(f"{self._head} … {note} ({seconds:.0f} s)")
            case events.StepFinished():
                self._stop()
                sign, style = ("✓", "green") if event.ok else ("✗", "red")
                self._console.print(sign, style=style, end=" ")
                told = f"  {event.note}" if event.note and event.ok else ""
                self._line(f"{event.step} {event.seconds:.1f} s{told}")
            case events.NodeReady() | events.NodeJoined() if self._status is not None:
                # Only while a step goes on: what is said after its end by a node that nobody waits for is a line.
                self._spin(f"{self._head} … {text_of(event, verbose=False).strip()}")
            case events.Warned(text):
                self._console.print("warning:", style="yellow", end=" ")
                self._line(text)
            case _:
                line = text_of(event, verbose=self._verbose)
                if line:
                    self._line(line.replace("      ", "  ", 1))

    def _line(self, text: str) -> None:
        self._console.print(with_lab(text, self._lab), markup=False, soft_wrap=True)

    def _spin(self, text: str) -> None:
        from rich.text import Text

        if self._status is None:
            self._status = self._console.status(Text(text))
            self._status.start()
        else:
            self._status.update(Text(text))

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
