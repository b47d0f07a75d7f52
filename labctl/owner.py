"""Whose a lab is. An owner is a user with a state folder, for that is where a lab's keys are.

All that labctl makes for a lab bears its owner as a label, `alice@8c1f…`: a name for people, and an id that is made
once in a state folder. A copy of the id stands beside each lab's keys, so that the loss of one small file makes no lab
somebody else's. The keys alone prove nothing: a lab of the same name may be another's by now.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import HostError, LabctlError, UsageError
from labctl.events import Emit, Warned
from labctl.locking import Busy, held_file, login
from labctl.spec import labels
from labctl.state import lab_path, labs_on_disk, locks_dir, state_dir, write_private

__all__ = ["YOU", "Owner", "is_anothers", "is_mine", "marks", "mend_id", "own_mark", "owner_of", "refuse_others"]

FILE = "owner"
ID = re.compile(r"[0-9a-f]{16}")
MAKING_LIMIT = 10.0  # seconds that another process may take to write the id
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Owner:
    """Who made a lab. `name` is a login name, "" where nothing tells it."""

    name: str
    is_you: bool

    @property
    def login(self) -> str:
        """The login name, "" where nothing tells it."""
        return self.name or (_login() if self.is_you else "")

    @property
    def may_be_you(self) -> bool:
        """Whether it is you, or nothing tells whose it is."""
        return self.is_you or not self.name

    def __str__(self) -> str:
        if self.is_you:
            return "you"
        if not self.name:
            return "somebody else"
        return f"{self.name} (another state folder)" if self.name == _login() else self.name


YOU = Owner("", is_you=True)


def own_mark() -> str:
    """Return the label's value for what is made from here. Raises HostError when the id cannot be kept."""
    return f"{_login()}@{_id() or _made_id()}"


def marks(lab: str, kind: str) -> dict[str, str]:
    """Return the labels of everything that is made for a lab: which lab, what it is, and whose."""
    mark = own_mark()
    _keep_copy(lab, mark.rpartition("@")[2])
    return {labels.LAB: lab, labels.KIND: kind, labels.OWNER: mark}


def owner_of(mark: str | None, lab: str) -> Owner:
    """Return who a mark names. What bears none was made by an older labctl: it is yours if the lab's keys are here."""
    if not mark:
        return Owner("", is_you=(lab_path(lab) / "ca.pem").exists())
    name, _, id_ = mark.rpartition("@")
    is_you = id_ == _id()
    if is_you:
        _keep_copy(lab, id_)
    return Owner(NOT_IN_A_NAME.sub("?", name)[:64], is_you=is_you)


def is_mine(found: Mapping[str, str] | None, lab: str) -> bool:
    """Whether something with these labels belongs to that lab, and says of nobody else that it is theirs."""
    return (found or {}).get(labels.LAB) == lab and not is_anothers(found)


def is_anothers(found: Mapping[str, str] | None) -> bool:
    """Whether something with these labels says that it is somebody else's."""
    mark = (found or {}).get(labels.OWNER, "")
    return bool(mark) and mark.rpartition("@")[2] != _id()


def refuse_others(lab: str, owner: Owner, *, verb: str = "") -> None:
    """Raise UsageError for a lab of somebody else's. Only the hints for `up` and `down` say how to remove it."""
    if owner.is_you:
        return
    look, own = f"`labctl status -l {lab}` looks at it", "`labctl up --name NAME` makes one of your own"
    removes = f"`labctl down -l {lab} --others` removes theirs"
    hints = {"up": f"{own}; {removes}.", "down": f"{removes}, and asks before; {look}."}
    raise UsageError(
        f"lab {lab} belongs to {owner}", hint=hints.get(verb, f"{look}; `labctl labs` lists yours; {own}.")
    )


def _login() -> str:
    return NOT_IN_A_NAME.sub("_", login())


def mend_id(emit: Emit) -> None:
    """Write the id anew where its file is damaged or lost, and say so. One that cannot be written is told later."""
    with contextlib.suppress(LabctlError):
        path = state_dir() / FILE
        if _read_id(path) or not (path.exists() or _copied_id()):
            return
        known = bool(_copied_id())
        _made_id()
        whose = "your labs stay yours" if known or not labs_on_disk() else "labs made before may count as another's"
        emit(Warned(f"{path} was lost or damaged, and was recreated: {whose}"))


def _id() -> str:
    """The id of this state folder; "" where there is none yet, and so nothing can bear it."""
    return _read_id(state_dir() / FILE) or _copied_id()


def _read_id(path: Path) -> str:
    try:
        said = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return said if ID.fullmatch(said) else ""


def _copied_id() -> str:
    """The id that stands beside the keys of this folder's labs, "" for none."""
    found = Counter(filter(None, (_read_id(lab_path(lab) / FILE) for lab in labs_on_disk())))
    return found.most_common(1)[0][0] if found else ""


def _keep_copy(lab: str, id_: str) -> None:
    """Keep the id beside the lab's keys, if they are here; who cannot write there can still look at the lab."""
    folder = lab_path(lab)
    if (folder / "ca.pem").exists() and _read_id(folder / FILE) != id_:
        with contextlib.suppress(LabctlError):
            write_private(folder / FILE, f"{id_}\n".encode())


def _made_id() -> str:
    import secrets

    path = state_dir() / FILE
    try:
        with held_file(locks_dir() / "_owner.lock", wait=MAKING_LIMIT):
            if not _read_id(path):
                write_private(path, f"{_copied_id() or secrets.token_hex(8)}\n".encode())
    except (Busy, OSError) as problem:
        raise HostError(f"cannot write {path}: {problem}") from problem
    return _id()
