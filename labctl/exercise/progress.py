"""How far a learner is, on disk: which exercise was begun last in a lab, which steps are done, which hints were shown.

It lives in the lab's own state folder and goes with the lab. A file that cannot be read counts as none.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labctl.exercise.model import Exercise, Step
from labctl.locking import Busy, held_file
from labctl.state import lab_dir, write_private

__all__ = ["Progress", "begun_in", "forget", "last_begun"]

FORMAT = 1
LAST = "last.json"
HELD_LIMIT = 10.0  # seconds that another command may take to write


@dataclass
class Progress:
    """What a learner has done of one exercise in one lab."""

    lab: str
    exercise: str
    folder: str
    current: str
    done: list[str] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)
    _seen: frozenset[str] = frozenset()  # the steps that were done on disk when it was last read or written

    @classmethod
    def of(cls, lab: str, exercise: Exercise) -> Progress:
        """Read it from disk, or begin at the first step. Steps that the exercise no longer has are dropped."""
        ids = [step.id for step in exercise.steps]
        fresh = cls(lab, exercise.id, str(exercise.folder.resolve()), ids[0])
        raw = _read(_folder(lab) / f"{exercise.id}.json")
        done, hints, current = raw.get("done"), raw.get("hints"), raw.get("current")
        if isinstance(done, list):
            fresh.done = [step for step in ids if step in done]
            fresh._seen = frozenset(map(str, done))
        if isinstance(hints, dict):
            fresh.hints = {step: int(count) for step, count in hints.items() if step in ids and str(count).isdigit()}
        if current in ids:
            fresh.current = str(current)
        return fresh

    def save(self) -> None:
        """Write it to disk, and that this exercise was the last one.

        What another command has noted since, a check beside the guide, is kept.
        """
        folder = _folder(self.lab)
        with ExitStack() as stack:
            with suppress(Busy, OSError):  # better written without the lock than not at all
                stack.enter_context(held_file(folder / ".lock", wait=HELD_LIMIT))
            self._write(folder)

    def _write(self, folder: Path) -> None:
        file = folder / f"{self.exercise}.json"
        stored = _read(file).get("done")
        if isinstance(stored, list):
            there = list(map(str, stored))
            self.done += [step for step in there if step not in self._seen and step not in self.done]
            self.done = [step for step in self.done if step not in self._seen or step in there]
        self._seen = frozenset(self.done)
        fields = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        write_private(file, json.dumps({"format": FORMAT, **fields}).encode())
        write_private(folder / LAST, json.dumps({"exercise": self.exercise, "folder": self.folder}).encode())

    def mark(self, step: Step, *, done: bool) -> None:
        """Note whether a step is done."""
        if done and step.id not in self.done:
            self.done.append(step.id)
        elif not done and step.id in self.done:
            self.done.remove(step.id)


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
    """Forget what was done of an exercise."""
    (_folder(lab) / f"{exercise.id}.json").unlink(missing_ok=True)


def _folder(lab: str) -> Path:
    folder = lab_dir(lab) / "exercises"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _read(path: Path) -> dict[str, object]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) and raw.get("format", FORMAT) == FORMAT else {}
