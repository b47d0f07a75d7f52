"""How far a learner is, on disk.

Place and evidence belong to the lab and go with it: which exercise was begun last, which steps were seen done and when,
which hints were shown, what was answered. A file that cannot be read counts as none, and is kept beside the new one.

That a step was done is also noted for the user, in `progress.txt` of the state folder: a line a step, with the time.
That outlives the lab.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.exercise.model import Exercise, Step
from labctl.locking import Busy, held_file
from labctl.state import lab_dir, state_dir, write_private

__all__ = [
    "Answers",
    "Progress",
    "begun_in",
    "done_ever",
    "forget",
    "last_begun",
    "last_ever",
    "note_ever",
    "noted_by_newer",
]

FORMAT = 2
LAST = "last.json"
ANSWERS = ".answers.json"
EVER = "progress.txt"
HELD_LIMIT = 10.0  # seconds that another command may take to write


@dataclass
class Progress:
    """What a learner has done of one exercise in one lab. `done` has when each step was first seen done.

    `prepared` are the steps whose `setup` blocks have run; `began` is when the exercise was begun in this lab.
    """

    lab: str
    exercise: str
    folder: str
    current: str
    done: dict[str, float] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    prepared: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    _seen: frozenset[str] = frozenset()  # the steps that were done on disk when it was last read or written

    @classmethod
    def of(cls, lab: str, exercise: Exercise) -> Progress:
        """Read it from disk, or begin at the first step. Steps that the exercise no longer has are dropped."""
        ids = [step.id for step in exercise.steps]
        fresh = cls(lab, exercise.id, str(exercise.folder.resolve()), ids[0])
        raw = _read(_folder(lab) / f"{exercise.id}.json")
        fresh.done = {step: when for step, when in _times(raw).items() if step in ids}
        hints, current, prepared = raw.get("hints"), raw.get("current"), raw.get("prepared")
        if isinstance(hints, dict):
            fresh.hints = {step: int(count) for step, count in hints.items() if step in ids and str(count).isdigit()}
        if isinstance(prepared, list):
            fresh.prepared = [step for step in ids if step in prepared]
        if isinstance(raw.get("began"), int | float):
            fresh.began = float(raw["began"])
        if current in ids:
            fresh.current = str(current)
        fresh._seen = frozenset(fresh.done)
        return fresh

    def save(self) -> None:
        """Write it to disk, and that this exercise was the last one.

        What another command has noted since, a check beside the guide, is kept; what it has taken back by a reset is
        taken back here too.
        """
        with _held(self.lab) as folder:
            file = folder / f"{self.exercise}.json"
            _keep_unread(file)
            stored = _times(_read(file))
            if self._seen - stored.keys():
                self.hints, self.prepared, self.began = {}, [], time.time()
            mine = {step: when for step, when in self.done.items() if step not in self._seen}
            self.done = {**mine, **stored}
            self._seen = frozenset(self.done)
            fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
            write_private(file, json.dumps({"format": FORMAT, **fields}).encode())
            write_private(folder / LAST, json.dumps({"exercise": self.exercise, "folder": self.folder}).encode())

    def mark(self, step: Step) -> bool:
        """Note that a step was seen done; true where it had not been."""
        if step.id in self.done:
            return False
        self.done[step.id] = time.time()
        return True


@dataclass(frozen=True)
class Answers:
    """What a learner answered to an exercise's questions in a lab; in a file of its own, which checks read."""

    lab: str
    exercise: str

    @property
    def file(self) -> Path:
        """Where they are: JSON, the questions' ids to texts."""
        return _folder(self.lab) / f"{self.exercise}{ANSWERS}"

    def all(self) -> dict[str, str]:
        """The answers by their questions' ids."""
        return {key: text for key, text in _read(self.file).items() if isinstance(text, str)}

    def note(self, question: str, text: str) -> None:
        """Take an answer."""
        with _held(self.lab):
            write_private(self.file, json.dumps({**self.all(), question: text}).encode())


@contextmanager
def _held(lab: str) -> Iterator[Path]:
    """The folder of a lab's exercises, held against other commands: better written without the lock than not at all."""
    folder = _folder(lab)
    with ExitStack() as stack:
        with suppress(Busy, OSError):
            stack.enter_context(held_file(folder / ".lock", wait=HELD_LIMIT))
        yield folder


def last_begun(lab: str) -> Path | None:
    """The folder of the exercise that was begun last in the lab; None for none."""
    folder = _read(_folder(lab) / LAST).get("folder")
    return Path(folder) if isinstance(folder, str) else None


def begun_in(lab: str, exercise: str) -> Path | None:
    """The folder from which the exercise of that id was begun in the lab; None where it was not."""
    known = {file.stem: file for file in _folder(lab).glob("*.json")}
    folder = _read(known[exercise]).get("folder") if exercise in known else None
    return Path(folder) if isinstance(folder, str) else None


def forget(lab: str, exercise: Exercise) -> None:
    """Forget what was done of an exercise in a lab; what the user has done ever stays."""
    for name in (f"{exercise.id}.json", f"{exercise.id}{ANSWERS}"):
        (_folder(lab) / name).unlink(missing_ok=True)


# -- what a user has done, in whichever lab


def note_ever(exercise: str, step: str) -> None:
    """Note for the user that a step was done, unless that is noted. A file that cannot be written is no trouble."""
    if step in done_ever(exercise):
        return
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with suppress(OSError), (state_dir() / EVER).open("a", encoding="utf-8") as file:
        file.write(f"{now}  {exercise}  {step}\n")


def done_ever(exercise: str) -> dict[str, str]:
    """The steps that the user has done, and when first, as text."""
    return {words[2]: words[0] for words in _lines() if words[1] == exercise}


def last_ever() -> str | None:
    """The id of the exercise of which the user did a step last; None for none."""
    return next((words[1] for words in reversed(_lines())), None)


def _lines() -> list[list[str]]:
    try:
        text = (state_dir() / EVER).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [words for words in (line.split() for line in text.splitlines()) if len(words) == 3]


# -- files


def _folder(lab: str) -> Path:
    folder = lab_dir(lab) / "exercises"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _times(raw: dict[str, Any]) -> dict[str, float]:
    """When steps were seen done. The first format had only their names."""
    done = raw.get("done")
    if isinstance(done, dict):
        return {str(step): float(when) for step, when in done.items() if type(when) in (int, float)}
    return {str(step): time.time() for step in done} if isinstance(done, list) else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) and raw.get("format", FORMAT) in (1, FORMAT) else {}


def noted_by_newer(lab: str, exercise: str) -> Path | None:
    """The file with what was done of the exercise in the lab, where a newer labctl wrote it; None where none did."""
    path = _folder(lab) / f"{exercise}.json"
    with suppress(OSError, ValueError):
        raw = json.loads(path.read_text(encoding="utf-8"))
        written = raw.get("format", FORMAT) if isinstance(raw, dict) else FORMAT
        if isinstance(written, int) and written > FORMAT:
            return path
    return None


def _keep_unread(path: Path) -> None:
    """Put a file that says nothing to us, damaged or of a newer labctl, where it is not written over."""
    with suppress(OSError):
        if path.is_file() and not _read(path):
            path.replace(path.with_name(f"{path.name}.unread"))
