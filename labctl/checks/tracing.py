"""Where in an exercise's own files something happened, and what it was asking there."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from labctl.engine import Engine
from labctl.node import Node

__all__ = ["asked_in", "is_written", "labctl_was_at_it", "place_of", "unwrapped"]

LABCTL = Path(__file__).parents[1]


def unwrapped(raised: BaseException) -> BaseException:
    """What pytest has wrapped in an error of its own."""
    while type(raised).__module__.startswith("_pytest.") and raised.__cause__ is not None:
        raised = raised.__cause__
    return raised


def place_of(raised: BaseException, folder: str) -> str:
    """Where in the exercise's folder it happened, as " (file:line)"; empty where it has no part in it."""
    if isinstance(raised, SyntaxError) and raised.filename and _is_in(raised.filename, folder):
        return f" ({Path(raised.filename).name}:{raised.lineno or 1})"
    own = [(frame, line) for frame, line in _frames(raised) if _is_in(frame.f_code.co_filename, folder)]
    if not own:
        return ""
    frame, line = own[-1]
    return f" ({Path(frame.f_code.co_filename).name}:{line})"


def labctl_was_at_it(raised: BaseException, folder: str) -> bool:
    """Whether the exercise had asked labctl for something when it happened, and not waited by itself."""
    return any(Path(frame.f_code.co_filename).is_relative_to(LABCTL) for frame in _below(raised, folder))


def asked_in(raised: BaseException, folder: str) -> Node | Engine | None:
    """The node or engine that the exercise's lines were asking."""
    selves: Iterator[Any] = (frame.f_locals.get("self") for frame in _below(raised, folder))
    return next((one for one in selves if isinstance(one, Node | Engine)), None)


def is_written(name: str, raised: BaseException, folder: str) -> bool:
    """Whether a name stands as a string in a file of the exercise that led there: its author chose it."""
    quoted = re.compile(rf"""(["']){re.escape(name)}\1""")
    files = {frame.f_code.co_filename for frame, _ in _frames(raised)}
    return any(
        quoted.search(Path(file).read_text(encoding="utf-8", errors="replace"))
        for file in files
        if _is_in(file, folder) and Path(file).is_file()
    )


def _below(raised: BaseException, folder: str) -> list[FrameType]:
    """The frames that the exercise's last line led into; the alarm that ended them is none."""
    frames = [frame for frame, _ in _frames(raised) if Path(frame.f_code.co_filename).name != "deadline.py"]
    own = [number for number, frame in enumerate(frames) if _is_in(frame.f_code.co_filename, folder)]
    return frames[own[-1] + 1 :] if own else frames


def _frames(raised: BaseException) -> list[tuple[FrameType, int]]:
    return list(traceback.walk_tb(raised.__traceback__))


def _is_in(file: str, folder: str) -> bool:
    return bool(folder) and Path(file).resolve().is_relative_to(Path(folder).resolve())
