"""rich's console as commands use it: on the safe streams' own ground, and deaf to others' control characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from labctl.cli.streams import drawn_on, plain, spelled

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType

__all__ = ["console"]


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr. rich's own control sequences go out, and none that stands in a text."""
    return _Console(file=drawn_on(sys.stderr if stderr else sys.stdout), highlight=False)


class _Console(Console):
    """Spells out the control characters of every text that is drawn; leaves an output that fails to `main`."""

    def on_broken_pipe(self) -> None:
        """Let the reader's end be told as of every command's output: rich itself would exit with 1."""
        raise

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does; what is text holds no control characters and no raw bytes afterwards."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(spelled(plain(segment.text)), segment.style)
