"""What a log of CI shows of labs that come and go, in spite of capture; and errors as pytest shows them."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from labctl.errors import LabctlError
    from labctl.events import Event

__all__ = ["Progress", "in_words", "is_worker", "say"]

PATIENT = 20.0  # seconds that a step goes on without a word
SLOW = 10.0  # seconds from which a step is worth a line
_speaking = threading.Lock()


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def say(config: pytest.Config, text: str, *, always: bool = False) -> None:
    """Print a line, past capture; nothing with -q unless `always`. Safe from any thread."""
    if config.get_verbosity() < 0 and not always:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    with _speaking, capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        terminal = config.pluginmanager.getplugin("terminalreporter")
        if is_worker(config) or terminal is None:
            # A worker's reporter writes nowhere; its standard error is the controller's.
            sys.stderr.write(f"labctl: {text}\n")
            sys.stderr.flush()
        else:
            terminal.ensure_newline()
            terminal.write_line(f"labctl: {text}")


class Progress:
    """Hears a lab being made, and tells what takes long; each step with -v. Warnings are told in any case."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told = 0.0

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        from labctl.events import StepFinished, StepProgress, StepStarted, Warned

        if isinstance(event, StepStarted):
            self._told = 0.0
        elif isinstance(event, StepProgress) and event.seconds - self._told >= PATIENT:
            self._told = event.seconds
            say(self._config, f"{event.step}: {event.note or 'going on'} ({event.seconds:.0f} s)")
        elif isinstance(event, StepFinished) and (event.seconds >= SLOW or self._config.get_verbosity() > 0):
            note = f": {event.note}" if event.note else ""
            say(self._config, f"{event.step}: {'done' if event.ok else 'failed'} in {event.seconds:.1f} s{note}")
        elif isinstance(event, Warned):
            say(self._config, event.text)


def in_words(problem: LabctlError, lab: str | None, *, after: str = "") -> str:
    """An error and what to do about it, with the lab in commands that are to be typed.

    `after` is what is said behind commands that need the lab, where that will not be there when they are typed.
    """
    from labctl.words import with_lab

    hint = "\n".join(line.strip() for line in (problem.hint or "").splitlines())
    needs_lab = lab is not None and lab in with_lab(hint, lab)
    return "\n".join(part for part in (with_lab(f"{problem.message}\n{hint}".strip(), lab), after * needs_lab) if part)
