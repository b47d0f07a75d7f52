"""What this host notes of the faults that it heals itself, and what keeps two commands from striking one node at once.

A note is a file in the lab's folder: the fault, its lease (a process), and the run of the node that it struck. A run
ends once: a node that is in another run has been started since, or is another machine, and the fault is over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.faults.model import ID, Fault
from labctl.locking import Busy, held_file
from labctl.state import lab_dir, lab_path, write_private

__all__ = [
    "Note",
    "arm",
    "drop",
    "end",
    "forget",
    "is_held",
    "path_of",
    "read",
    "striking_on",
    "targets",
    "texts",
    "write",
]

FOLDER = "faults"
LOG = "lease.log"
WAIT = 120.0  # seconds that another command may strike the same node


@dataclass(frozen=True)
class Note:
    """What is known of a fault beside itself. `run` is the node's run that it struck, "" where nobody could tell.

    `since` is when the strike began; `struck` whether it has been seen to end.
    """

    run: str = ""
    since: float = 0.0
    struck: bool = True
    lease: int | None = None


def texts(lab: str) -> dict[str, str]:
    """What the notes say, by the fault's id; one that cannot be read says nothing."""
    found = {}
    for path in sorted(_folder(lab).glob("*.json")):
        try:
            found[path.stem] = path.read_text()
        except (OSError, ValueError):
            found[path.stem] = ""
    return found


def targets(lab: str) -> dict[str, str]:
    """The node that each note is about, by the fault's id."""
    found = {}
    for id_, text in texts(lab).items():
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            if re.fullmatch(ID, id_):
                found[id_] = str(json.loads(text).get("target"))
    return found


def path_of(lab: str, id_: str) -> Path:
    """Where a fault's note is or would be. What is no fault's id is nobody's file."""
    if not re.fullmatch(ID, id_):
        raise LabError(f"{id_!r} is no fault's id")
    return _folder(lab) / f"{id_}.json"


def read(lab: str, id_: str) -> Note | None:
    """The note of a fault; None where there is none."""
    try:
        said: dict[str, Any] = json.loads(path_of(lab, id_).read_text())
        lease = said.get("lease")
        return Note(
            str(said.get("run") or ""),
            float(said.get("since") or 0.0),
            bool(said.get("struck", True)),
            lease if isinstance(lease, int) else None,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError):
        return Note()


def write(lab: str, fault: Fault, note: Note, *, again: bool = False) -> None:
    """Note a fault; `again` only where its note is still there: somebody may have ended it."""
    folder = lab_dir(lab) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = path_of(lab, fault.id)
    if not again or path.exists():
        write_private(path, json.dumps({**fault.as_json(), **note.__dict__}).encode())


def forget(lab: str, id_: str) -> None:
    """Drop a fault's note, and end its lease unless that is who calls."""
    note = read(lab, id_)
    if note is not None and note.lease and note.lease != os.getpid() and _is_lease(note.lease, id_):
        with contextlib.suppress(ProcessLookupError):
            os.kill(note.lease, signal.SIGTERM)
    with contextlib.suppress(OSError):
        path_of(lab, id_).unlink(missing_ok=True)


def drop(lab: str, name: str) -> None:
    """Drop a note that nobody can read; `name` is one that `texts` gave."""
    if re.fullmatch(ID, name):
        forget(lab, name)
    elif name in texts(lab):
        with contextlib.suppress(OSError):
            (_folder(lab) / f"{name}.json").unlink(missing_ok=True)


def end(lab: str, nodes: Collection[str]) -> None:
    """End the faults of these nodes: somebody stops, starts or removes them himself, and that is to stay so."""
    for id_, target in targets(lab).items():
        if target in nodes:
            forget(lab, id_)


def arm(lab: str, fault: Fault) -> int:
    """Start what heals the fault when its time is over, whatever becomes of this process, and return its id.

    What it says is in the lab's folder.
    """
    # -P: a random.py in the user's folder is no module of ours.
    words = ["fault", "heal", fault.id, "-l", lab, "--after", f"{fault.left:.1f}"]
    command = [sys.executable, "-P", "-m", "labctl", "--progress", "none", *words]
    log = _folder(lab) / LOG
    # By a shell, whose child nobody has to wait for: it outlives this process, and is no zombie of one that goes on.
    started = subprocess.run(
        ["/bin/sh", "-c", 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!', "sh", str(log), *command],
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


@contextlib.contextmanager
def striking_on(lab: str, targets: Iterable[str]) -> Iterator[None]:
    """Hold these nodes or services: nobody else on this host injects there, or brings a node back, meanwhile.

    Raises LabError when another command holds one for longer than it may.
    """
    folder = lab_dir(lab) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for target in sorted(set(targets)):
            try:
                stack.enter_context(held_file(_lock(lab, target), wait=WAIT))
            except Busy as busy:
                raise LabError(f"another command is at {target} for more than {WAIT:g} s: {busy.holder}") from None
        yield


def is_held(lab: str, target: str) -> bool:
    """Whether a command strikes there now, or heals."""
    path = _lock(lab, target)
    if not path.exists():
        return False
    try:
        with held_file(path, wait=0.0):
            return False
    except (Busy, OSError):
        return True


def _lock(lab: str, target: str) -> Path:
    return _folder(lab) / f"{hashlib.sha256(target.encode()).hexdigest()[:16]}.lock"


def _folder(lab: str) -> Path:
    return lab_path(lab) / FOLDER


def _is_lease(pid: int, id_: str) -> bool:
    """Whether the process is still that lease: ids come again."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return id_ in psutil.Process(pid).cmdline()
    return False
