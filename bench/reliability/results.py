"""The figures: a line of JSON a trial, in one file, so that a row goes on where it was cut off."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["FILE", "Run", "Trial", "append", "commit", "read", "runs_of"]

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "bench" / "results" / "reliability.jsonl"


@dataclass(frozen=True)
class Run:
    """Trials that belong together: of the same row, with the same seed, on labs of the same size."""

    row: str
    seed: int
    nodes: int
    managers: int


@dataclass(frozen=True)
class Trial:
    """One trial. `why` is what went wrong, empty for a good one; `figures` are the row's own."""

    run: Run
    number: int
    date: str
    commit: str
    seconds: float
    why: str = ""
    figures: dict[str, float | str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be."""
        return not self.why


def append(trial: Trial, file: Path = FILE) -> None:
    """Write a trial behind the others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(trial), sort_keys=True) + "\n")


def read(file: Path = FILE) -> list[Trial]:
    """All trials, oldest first. A line that was cut off in the middle is left out."""
    if not file.exists():
        return []
    trials = []
    for line in file.read_text().splitlines():
        try:
            raw = json.loads(line)
        except json.JSONDecodeError:
            continue
        trials.append(Trial(**{**raw, "run": Run(**raw["run"])}))
    return trials


def runs_of(trials: Iterable[Trial]) -> dict[Run, list[Trial]]:
    """The trials by run, runs in the order of their first trial."""
    found: dict[Run, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.run, []).append(trial)
    return found


def commit() -> str:
    """The commit that is tried, with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "labctl", "dind", "images"], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "") if head.returncode == 0 else "unknown"
