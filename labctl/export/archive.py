"""One archive of many small looks, each bounded in time; what could not be looked at is told in it."""

from __future__ import annotations

import errno
import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import HostError, LabctlError, UsageError
from labctl.export.redaction import Redactor
from labctl.files import written_whole

__all__ = ["COLLECT_LIMIT", "Collector", "write_archive"]

COLLECT_LIMIT = 30.0  # seconds that one look may take
AT_ONCE = 16
MOST_ROUNDS = 4  # looks that hang block the others of their round: the whole takes no longer than so many limits
# What the half answer of something half dead may lead to. The archive is for bug reports: it tells of these too.
UNFORESEEN = (OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError)
LONGEST_TEXT = 4 << 20  # characters; of a longer log the end is kept


@dataclass(frozen=True)
class Collector:
    """One look: `path` is where its answer stands in the archive; text as it is, anything else as JSON."""

    path: str
    look: Callable[[], Any]


@dataclass
class _Look:
    collector: Collector
    answer: Any = None
    problem: str = "it broke off"
    seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, turn: threading.Semaphore) -> None:
        with turn:
            began = time.monotonic()
            try:
                self.answer = self.collector.look()
                self.problem = ""
            except LabctlError as problem:
                self.problem = problem.message
            except UNFORESEEN as bug:
                self.problem = f"{type(bug).__name__}: {bug}"
            finally:
                self.seconds = time.monotonic() - began
                self.done.set()


def write_archive(
    file: Path, collectors: Sequence[Collector], redactor: Redactor, *, limit: float = COLLECT_LIMIT
) -> list[str]:
    """Do all looks and write their answers, without known secrets, to a tar.gz that only its owner may read.

    Returns a line for each look that came to nothing; they stand in the archive's index.json too. A look that takes
    longer than `limit` seconds is left behind. Raises UsageError when the file cannot be written.
    """
    looks = _all(collectors, limit)
    answers = {look.collector.path: look.answer for look in looks if not look.problem}
    # Twice over what is structured: what the first round learns is hidden everywhere in the second, and in the texts.
    values = {path: redactor.value(_plain(value)) for path, value in answers.items() if not isinstance(value, str)}
    texts = {path: json.dumps(redactor.value(value), indent=2) for path, value in values.items()}
    texts |= {path: redactor.text(value[-LONGEST_TEXT:]) for path, value in answers.items() if isinstance(value, str)}
    index = [
        {"path": look.collector.path, "seconds": round(look.seconds, 2), "problem": redactor.text(look.problem)}
        for look in looks
    ]
    texts["index.json"] = json.dumps(index, indent=2)
    _write(file, texts)
    return [f"{entry['path']}: {entry['problem']}" for entry in index if entry["problem"]]


def _all(collectors: Sequence[Collector], limit: float) -> list[_Look]:
    looks = [_Look(collector) for collector in collectors]
    turn = threading.Semaphore(AT_ONCE)
    for look in looks:
        # Daemons: one that hangs keeps neither the archive nor the end of the command waiting.
        threading.Thread(target=look.run, args=(turn,), daemon=True).start()
    rounds = min(-(-len(looks) // AT_ONCE), MOST_ROUNDS)
    deadline = time.monotonic() + limit * max(1, rounds)
    for look in looks:
        if not look.done.wait(max(0.0, deadline - time.monotonic())):
            look.problem = "no answer in the time there was"
    return looks


def _plain(answer: Any) -> Any:
    """The answer as JSON carries it."""
    return json.loads(json.dumps(answer, default=str))


def _write(file: Path, texts: dict[str, str]) -> None:
    folder = file.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    try:
        with written_whole(file, mode=0o600) as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for path, text in sorted(texts.items()):
                content = text.encode(errors="replace")
                entry = tarfile.TarInfo(f"{folder}/{path}")
                entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(content))
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(
                f"cannot write {file}: {problem.strerror}; nothing of it was kept",
                hint="`-o FILE` names another place.",
            ) from problem
        raise UsageError(f"cannot write {file}: {problem.strerror}") from problem
