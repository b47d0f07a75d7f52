"""What a check says of itself, and what it means when an exception comes out of it: whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from labctl.checks.answers import Unsatisfied, Wrong
from labctl.checks.deadline import DeadlinePassed, SlowCommand, deadline
from labctl.checks.sentences import Sentences
from labctl.checks.tracing import asked_in, is_written, labctl_was_at_it, place_of, unwrapped
from labctl.engine import Engine
from labctl.errors import EngineRefused, LabctlError, NotFoundError, UsageError
from labctl.waiting import stretched

if TYPE_CHECKING:
    from labctl.checks.report import Outcome
    from labctl.lab import Lab
    from labctl.node import Node

__all__ = [
    "CHECK_LIMIT",
    "READ_LIMIT",
    "Around",
    "CheckInfo",
    "Verdict",
    "fault_of_file",
    "info_of",
    "returned",
    "verdict_of",
]

CHECK_LIMIT = 15.0  # seconds that a check may take to answer
READ_LIMIT = 20.0  # seconds for a file of checks to be imported, less than the runner waits
WELL_LIMIT = 5.0  # seconds to find out whether the lab answers
BAD_REQUEST = 400


@dataclass(frozen=True)
class CheckInfo:
    """What a test function says of itself by its marks and its docstring."""

    name: str
    title: str
    steps: tuple[str, ...]
    guard: bool
    probe: bool
    observer: tuple[int, str] | None
    line: int
    file: str = ""
    folder: str = ""
    every: float | None = None  # seconds

    def is_about(self, steps: set[str]) -> bool:
        """Whether it belongs to one of the steps; a guard without steps belongs to all."""
        return bool(steps & set(self.steps)) or (self.guard and not self.steps)


@dataclass(frozen=True)
class Verdict:
    """A check's answer; see CheckResult."""

    outcome: Outcome
    message: str = ""
    found: str = ""
    look: str = ""
    at_fault: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Around:
    """What a check runs in: the lab, if one was asked for; the nodes that the exercise asks for; translations."""

    lab: Lab | None = None
    nodes: frozenset[str] = frozenset()
    sentences: Sentences = field(default_factory=dict)


def info_of(item: pytest.Item) -> CheckInfo:
    """Read a test's marks. Raises pytest.UsageError for one that is not bound to anything."""
    steps = tuple(str(step) for mark in item.iter_markers("step") for step in mark.args)
    guard = item.get_closest_marker("guard") is not None
    line = (item.location[1] or 0) + 1
    place = f"({item.path.name}:{line})"
    if not steps and not guard:
        raise pytest.UsageError(f'{item.name} belongs to no step: @pytest.mark.step("id") is missing {place}')
    doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip()
    observer = item.get_closest_marker("observer")
    if observer is not None and not isinstance(observer.kwargs.get("port"), int):
        raise pytest.UsageError(f"{item.name}: an observer's mark has a port: @pytest.mark.observer(port=5000) {place}")
    return CheckInfo(
        name=item.name,
        title=doc.splitlines()[0].strip() if doc else "",
        steps=steps,
        guard=guard,
        probe=item.get_closest_marker("probe") is not None,
        observer=None if observer is None else (observer.kwargs["port"], str(observer.kwargs.get("path", "/"))),
        line=line,
        file=item.path.name,
        folder=str(item.path.parent),
        every=_every(item, place),
    )


def _every(item: pytest.Item, place: str) -> float | None:
    mark = item.get_closest_marker("every")
    if mark is None:
        return None
    seconds = mark.args[0] if len(mark.args) == 1 else None
    if not isinstance(seconds, int | float) or seconds < 1:
        raise pytest.UsageError(f"{item.name}: every takes seconds, 1 or more: @pytest.mark.every(2) {place}")
    return float(seconds)


def fault_of_file(raised: BaseException, file: str, folder: str) -> tuple[str, bool]:
    """What is wrong with a file of checks that cannot be imported, and whether lint, which only reads, tells it too."""
    raised = unwrapped(raised)
    place = place_of(raised, folder) or f" ({file})"
    is_here = place.startswith(f" ({file}")
    match raised:
        case SyntaxError():
            return f"the checks cannot be run: this is no Python: {raised.msg}{place}", is_here
        case DeadlinePassed():
            return f"the checks cannot be run: they did not end within {stretched(READ_LIMIT):g} s{place}", False
        case pytest.skip.Exception():
            return f"the checks cannot be run: they skip themselves{place}, which no check may", False
        case ModuleNotFoundError():
            return f"the checks cannot be run: {raised}{place}", is_here and "." not in (raised.name or ".")
        case _:
            return f"the checks cannot be run: {_named(raised)}{place}", isinstance(raised, pytest.fail.Exception)


def verdict_of(raised: BaseException, info: CheckInfo, around: Around = Around()) -> Verdict:
    """What an exception out of a check means. Guards that say no mean that the lab is broken."""
    verdict = _verdict_of(raised, info, around)
    return replace(verdict, outcome="broken") if info.guard else verdict


def _verdict_of(raised: BaseException, info: CheckInfo, around: Around) -> Verdict:
    place = place_of(raised, info.folder)
    match raised:
        case Unsatisfied():
            outcome: Outcome = "wrong" if isinstance(raised, Wrong) else "not-yet"
            return Verdict(outcome, look=raised.look, **raised.say(around.sentences)._asdict())
        case AssertionError() | pytest.fail.Exception():
            said, *rest = str(raised).strip().splitlines() or [""]
            bare = said.startswith("assert ")
            said = around.sentences.get(said, said)
            return Verdict("wrong", "" if bare else said, said if bare else (rest[0] if rest else ""))
        case DeadlinePassed():
            return _too_slow(raised, info, around)
        case LabctlError():
            return _of_labctl(raised, info, around)
        case pytest.skip.Exception():
            return _fault(info, f"skips itself{place}, which no check may")
        case pytest.exit.Exception():
            return _fault(info, f"ends the run of all checks{place}, which no check may")
        case pytest.FixtureLookupError():
            known = str(raised.argname)
            return _fault(info, f"asks for {known!r}, and there is no such fixture ({info.file}:{info.line})")
        case _:
            return _fault(info, f"raised {_named(raised)}{place}")


def returned(value: object, info: CheckInfo) -> Verdict:
    """What it means that a check returns something: its author thought that labctl would look at it."""
    what = str(value) if isinstance(value, bool) else f"a {type(value).__name__}"
    how = "one that is content returns nothing; `assert`, wrong() and not_yet() say no"
    return _fault(info, f"returns {what}, which means nothing ({info.file}:{info.line}): {how}")


def _of_labctl(raised: LabctlError, info: CheckInfo, around: Around) -> Verdict:
    """The lab's fault, unless the check asked for what cannot be, whatever the lab is like."""
    place = place_of(raised, info.folder)
    if place and isinstance(raised, SlowCommand) and not _trouble(around.lab, raised.node):
        return _fault(info, f"waits too long{place}: {raised.message}, and the lab is well")
    is_bad = isinstance(raised, UsageError) or (isinstance(raised, EngineRefused) and raised.status == BAD_REQUEST)
    if place and is_bad and not _is_the_labs_shape(raised, info, around):
        return _fault(info, f"asks for what cannot be{place}: {raised.message}")
    return Verdict("broken", raised.message, look=raised.hint or "")


def _is_the_labs_shape(raised: LabctlError, info: CheckInfo, around: Around) -> bool:
    """Whether what was asked for is missing in this lab, and would be there in one that fits the exercise."""
    if not isinstance(raised, NotFoundError) or raised.kind not in ("lab", "node"):
        return False
    if raised.kind == "lab" or raised.name in around.nodes:
        return True
    # A name that the check was told, by the swarm say, is not its author's.
    return not is_written(raised.name, raised, info.folder)


def _too_slow(raised: DeadlinePassed, info: CheckInfo, around: Around) -> Verdict:
    limit = f"{stretched(CHECK_LIMIT):g} s"
    place = place_of(raised, info.folder)
    if not labctl_was_at_it(raised, info.folder):
        return _fault(info, f"did not end within {limit}{place}: it waits by itself")
    trouble = _trouble(around.lab, asked_in(raised, info.folder))
    if place and not trouble:
        return _fault(
            info, f"did not end within {limit}{place}: what it asks for there takes longer, and the lab is well"
        )
    return Verdict("broken", f"the check got no answer from the lab within {limit}{trouble and f': {trouble}'}")


def _trouble(lab: Lab | None, asked: Node | Engine | None) -> str:
    """What keeps the lab, and what was asked in it, from answering; empty when they do."""
    if lab is None:
        return "the lab was not found yet"
    try:
        with deadline(stretched(WELL_LIMIT)):
            if isinstance(asked, Engine):
                asked.ping()
            elif asked is not None:
                asked.expect("true", limit=WELL_LIMIT)
                asked.engine.ping()
            if lab.spec.swarm == "formed":
                lab.manager(limit=WELL_LIMIT)
    except LabctlError as problem:
        return problem.message
    except DeadlinePassed:
        return "it does not answer"
    return ""


def _named(raised: BaseException) -> str:
    """An exception by its type, and what it says in its first line."""
    first = next(iter(str(raised).strip().splitlines()), "")
    return f"{type(raised).__name__}: {first}" if first else type(raised).__name__


def _fault(info: CheckInfo, what: str) -> Verdict:
    return Verdict("broken", f"the check {info.name} {what}", at_fault=True)
