"""`Lab.up`: a fresh lab, or the one of that name made to be what is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import UsageError
from labctl.events import quiet
from labctl.lab.checking import checked_plan
from labctl.lab.context import Context
from labctl.lab.finding import find_lab
from labctl.lab.lab import Lab
from labctl.lab.plan import HALF_MADE, Plan
from labctl.lab.up import UpOptions, grow
from labctl.lab.wanted import SpecOf, wanted

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.spec import LabSpec

__all__ = ["bring_up_lab", "given_keys", "planned"]

NAME_TRIES = 10


class _Taken(Exception):
    """The name that was made up is another lab's."""


def bring_up_lab(
    context: Context, source: LabSpec | Path | None, given: Mapping[str, Any], options: UpOptions | None = None
) -> Lab:
    """Bring up the lab that is asked for and return it; one that has no name gets one that no other lab has."""
    _refuse_text(source)
    spec, spec_of = wanted(context, source, given)
    if "name" in given or (source is not None and spec.is_named):
        return _brought_up(context, spec.name, spec_of, options)
    for _ in range(NAME_TRIES):
        name = _made_up()
        try:
            return _brought_up(context, name, _fresh(wanted(context, source, {**given, "name": name})[1]), options)
        except _Taken:
            continue
    raise AssertionError(f"{NAME_TRIES} names of 16 million were taken")


def planned(context: Context, source: LabSpec | Path | None, given: Mapping[str, Any]) -> Plan:
    """What `bring_up_lab` would do; nothing is changed. A lab without a name would be a fresh one."""
    _refuse_text(source)
    spec = wanted(context, source, given)[0]
    if "name" not in given and not (source is not None and spec.is_named):
        spec = wanted(context, source, {**given, "name": _made_up()})[0]
    return checked_plan(context, spec)


def _made_up() -> str:
    return f"lab-{secrets.token_hex(3)}"


def _refuse_text(source: object) -> None:
    if isinstance(source, str):
        raise UsageError(f"{source!r} is no LabSpec and no Path", hint="name= names the lab, Path(...) a lab.yaml.")


def _brought_up(context: Context, name: str, spec_of: SpecOf, options: UpOptions | None) -> Lab:
    is_new = False

    def noted(record: LabRecord | None) -> LabSpec:
        nonlocal is_new
        is_new = record is None or all(node.state == HALF_MADE for node in record.nodes)
        return spec_of(record)

    record = grow(context, name, noted, options)
    if context.emit is quiet:
        return Lab(context, context.holding(name), record, made_here=is_new)
    # Who hears this call does not hear the next ones.
    return replace(find_lab(replace(context, emit=quiet), name), made_here=is_new)


def _fresh(spec_of: SpecOf) -> SpecOf:
    def fresh(record: LabRecord | None) -> LabSpec:
        if record is not None:
            raise _Taken
        return spec_of(None)

    return fresh


def given_keys(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of a spec as a lab.yaml has them: lists, mappings, and nothing that is None."""
    kept = {key: value for key, value in given.items() if value is not None}
    return {
        key: list(value)
        if isinstance(value, tuple | set | frozenset)
        else dict(value)
        if isinstance(value, Mapping)
        else value
        for key, value in kept.items()
    }
