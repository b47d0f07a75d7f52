"""Faults as they were written down, by a node, a service or this host: what is none is not taken for one.

A node's root may write what he likes. So an id is one that labctl makes, a kind one that the place heals, and the
target the place itself; what a newer labctl says beside that is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.faults.model import ID, Fault, Kind, Option

__all__ = ["Trace", "fault_of", "plain"]

LONGEST = 4000  # letters of an option: `from` names nodes


@dataclass(frozen=True)
class Trace:
    """Something that looks like a fault: on the node or service `where`, or noted on this host for it ("")."""

    where: str
    id: str
    text: str


def fault_of(trace: Trace, kinds: Mapping[str, Kind]) -> Fault:
    """The fault that was written down. Raises ValueError for what is none of these kinds, or none of this place."""
    if not re.fullmatch(ID, trace.id):
        raise ValueError("its name is no fault's id")
    try:
        said = json.loads(trace.text)
    except RecursionError:
        raise ValueError("it is nested without end") from None
    if not isinstance(said, dict) or said.get("id") != trace.id:
        raise ValueError("it tells of another fault than its name")
    kind, target = said.get("kind"), said.get("target")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError("its kind is none that is healed there")
    if not isinstance(target, str) or not target or trace.where not in ("", target):
        raise ValueError("it tells of another place")
    given = said.get("options")
    given = given if isinstance(given, dict) else {}
    options = {option.name: _option(option, given.get(option.name, option.default)) for option in kinds[kind].options}
    return Fault(trace.id, kind, target, options, _time(said.get("until")))


def plain(text: str) -> str:
    """What was written down by others, so that it can be shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:60]


def _option(option: Option, said: Any) -> str:
    if not isinstance(said, str) or not said.isprintable() or len(said) > LONGEST:
        raise ValueError(f"its {option.name} is no text")
    option.read(said)
    return said


def _time(said: Any) -> float | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < 1e11:
        raise ValueError("its end is no time")
    return float(said)
