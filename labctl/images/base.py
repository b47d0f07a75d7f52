"""The base of every image here: Debian trixie, from Docker Hub, else made of Debian's packages."""

from __future__ import annotations

import threading

from labctl.engine import Engine
from labctl.errors import EngineRefused, HostError, LabctlError, WaitTimeout
from labctl.events import Emit, Noted, quiet
from labctl.images.debootstrap import make_base, requirements
from labctl.images.lock import held
from labctl.images.mode import MirrorMode, mirror_mode
from labctl.images.progress import Note, heard, no_note
from labctl.images.recipes import BASE

__all__ = ["base_problem", "ensure_base"]

PULL_TRIES = 2
PULL_IDLE = 30.0  # seconds without a word after which a pull is given up


def ensure_base(
    engine: Engine,
    emit: Emit = quiet,
    note: Note = no_note,
    *,
    mode: MirrorMode | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Let the engine have debian:trixie-slim; returns whether it had to be fetched or made.

    Raises HostError when the Hub is out of reach and the packages cannot be had, or need root; Abandoned once `stop`
    is set.
    """
    if engine.image(BASE) is not None:
        return False
    with held("base", note, engine=engine, stop=stop):
        if engine.image(BASE) is not None:
            return False
        chosen = mode or mirror_mode()
        if chosen.upstream and _pulled(engine, note, stop):
            emit(Noted(f"{BASE} came from Docker Hub"))
        else:
            make_base(engine, BASE, note, stop=stop)
            emit(Noted(f"{BASE} was made of Debian's packages"))
    return True


def base_problem(engine: Engine, *, mode: MirrorMode | None = None) -> str:
    """Return why this machine cannot come by the base image; "" where it has it, or can. Nothing is fetched."""
    if engine.image(BASE) is not None or (mode or mirror_mode()).upstream:
        return ""
    try:
        requirements()
    except HostError as problem:
        return problem.message
    return ""


def _pulled(engine: Engine, note: Note, stop: threading.Event | None) -> bool:
    for _ in range(PULL_TRIES):
        try:
            for line in heard(engine.pull(BASE), f"the pull of {BASE}", idle=PULL_IDLE, stop=stop):
                note(f"{BASE}: {line.get('status', '')} {line.get('progress', '')}".rstrip())
            return True
        except (EngineRefused, WaitTimeout) as problem:
            note(_first_line(problem))
    return False


def _first_line(problem: LabctlError) -> str:
    return problem.message.splitlines()[0]
