"""What the plugin does with one check: ask it, judge what it raised, ask again where that may help, report."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labctl.checks.answers import Unsatisfied, Wrong
from labctl.checks.deadline import DeadlinePassed, deadline
from labctl.checks.handing import taken
from labctl.errors import LabctlError
from labctl.waiting import stretched

if TYPE_CHECKING:
    from labctl.checks.report import Outcome
    from labctl.lab import Lab

__all__ = ["CHECK_LIMIT", "CheckInfo", "Running", "Verdict", "info_of", "verdict_of"]

CHECK_LIMIT = 15.0  # seconds that a check may take to answer
RETRY_PAUSE = 0.3  # seconds between two tries while waiting
WATCH_PAUSE = 2.0  # seconds between two looks while a learner works; an event of the swarm cuts it short
SHORTEST_WATCH_PAUSE = 0.4
REFRESH_PAUSE = 1.5  # seconds between two looks at which machines run
# Not containers: the checks' own commands would be events too.
EVENT_TYPES = ("service", "node", "network", "secret", "config")


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


DONE = Verdict("done")


def info_of(item: pytest.Item) -> CheckInfo:
    """Read a test's marks. Raises pytest.UsageError for one that is not bound to anything."""
    steps = tuple(str(step) for mark in item.iter_markers("step") for step in mark.args)
    guard = item.get_closest_marker("guard") is not None
    if not steps and not guard:
        raise pytest.UsageError(f'{item.name} belongs to no step: @pytest.mark.step("id") is missing')
    doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip()
    observer = item.get_closest_marker("observer")
    return CheckInfo(
        name=item.name,
        title=doc.splitlines()[0].strip() if doc else "",
        steps=steps,
        guard=guard,
        probe=item.get_closest_marker("probe") is not None,
        observer=None if observer is None else (int(observer.kwargs["port"]), str(observer.kwargs.get("path", "/"))),
        line=(item.location[1] or 0) + 1,
        file=item.path.name,
    )


def verdict_of(raised: BaseException, info: CheckInfo) -> Verdict:
    """What an exception out of a check means. Guards that say no mean that the lab is broken."""
    verdict = _verdict_of(raised, info)
    return replace(verdict, outcome="broken") if info.guard else verdict


def _verdict_of(raised: BaseException, info: CheckInfo) -> Verdict:
    match raised:
        case Unsatisfied():
            outcome: Outcome = "wrong" if isinstance(raised, Wrong) else "not-yet"
            return Verdict(outcome, raised.message, raised.found, raised.look)
        case AssertionError() | pytest.fail.Exception():
            said, *rest = str(raised).strip().splitlines() or [""]
            bare = said.startswith("assert ")
            return Verdict("wrong", "" if bare else said, said if bare else (rest[0] if rest else ""))
        case DeadlinePassed() if _ended_in_check(raised):
            limit = f"{stretched(CHECK_LIMIT):g} s"
            return _fault(info, f"did not end within {limit}{_place_of(raised)}: it waits by itself")
        case DeadlinePassed():
            return Verdict("broken", f"the check got no answer from the lab within {stretched(CHECK_LIMIT):g} s")
        case LabctlError():
            return Verdict("broken", raised.message, look=raised.hint or "")
        case pytest.skip.Exception():
            return _fault(info, f"skips itself{_place_of(raised)}, which no check may")
        case pytest.FixtureLookupError():
            known = str(raised.argname)
            return _fault(info, f"asks for {known!r}, and there is no such fixture ({info.file}:{info.line})")
        case _:
            return _fault(info, f"raised {type(raised).__name__}: {raised}{_place_of(raised)}")


def _fault(info: CheckInfo, what: str) -> Verdict:
    return Verdict("broken", f"the check {info.name} {what}", at_fault=True)


def _ended_in_check(raised: BaseException) -> bool:
    """Whether the check's own lines were at it, and not what they asked the lab."""
    trace = raised.__traceback__
    files = []
    while trace is not None:
        files.append(Path(trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    # The innermost frame is the alarm's own.
    inner = [file for file in files if file.name != "deadline.py"]
    return bool(inner) and inner[-1].name.startswith("test_")


def _place_of(raised: BaseException) -> str:
    """Where in the test file it happened."""
    trace, place = raised.__traceback__, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename).name
        if file.startswith("test_"):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


class Running:
    """One run of checks: how often to ask, who has answered, and where the answers go."""

    def __init__(
        self, lab_name: str | None, report: int | None, *, wait: float, watch: bool, hold: bool, probes: bool
    ) -> None:
        self._lab_name = lab_name
        self._out = os.fdopen(taken(report), "w", encoding="utf-8", buffering=1) if report is not None else None
        self._watch = watch
        self._hold = hold
        self._wait = wait
        self._wait_until = 0.0
        self._probes = threading.Event()
        if probes:
            self._probes.set()
        self._looked = time.monotonic()
        self._poke = threading.Event()
        self._stopped = threading.Event()
        self._answers: dict[str, tuple[CheckInfo, Verdict]] = {}

    @classmethod
    def of(cls, config: pytest.Config) -> Running:
        """Read the command line."""
        option = config.getoption
        return cls(
            option("--labctl-lab"),
            option("--labctl-report"),
            wait=option("--labctl-wait"),
            watch=option("--labctl-watch"),
            hold=option("--labctl-hold"),
            probes=option("--labctl-probes"),
        )

    @cached_property
    def lab(self) -> Lab:
        """The lab, found once. Raises LabctlError when there is none."""
        from labctl.lab import find_lab, open_context

        return find_lab(open_context(), self._lab_name)

    def say_collected(self, checks: Iterable[CheckInfo]) -> None:
        """Tell which checks there are."""
        self._say(kind="collected", checks=[vars(check) for check in checks])

    def begin(self) -> None:
        """Be ready to ask; where the run is held, only when a line has come. Ends it when none can come any more."""
        if self._hold:
            import docker  # noqa: F401  its import takes most of the time that a first check would wait

            import labctl.lab  # noqa: F401

            if not sys.stdin.readline():
                pytest.exit("nobody wants to know any more", returncode=0)
        self._wait_until = time.monotonic() + self._wait
        if self._watch:
            threading.Thread(target=self._listen, daemon=True).start()
            threading.Thread(target=self._follow_events, daemon=True).start()

    def ask(self, info: CheckInfo, check: Callable[[], object]) -> None:
        """Ask a check until it is done or waiting is over, and tell its last answer."""
        began = time.monotonic()
        told: Verdict | None = None
        self._say(kind="begun", name=info.name)
        while True:
            verdict = self._ask_once(info, check)
            again = self._again(verdict)
            if not again:
                self.finish(info, verdict, seconds=time.monotonic() - began)
                return
            if verdict != told:
                told = verdict
                self._say_verdict("seen", info, verdict, time.monotonic() - began)
            self._pause()
            self._refresh()

    def _ask_once(self, info: CheckInfo, check: Callable[[], object]) -> Verdict:
        if info.probe and not self._probes.is_set():
            # A run without probes leaves them out; a learner who watches is told how to have them.
            message = "labctl tries this one itself, and writes to your app for it: press c when you are ready"
            return Verdict("not-yet" if self._watch else "not-run", message)
        try:
            with deadline(stretched(CHECK_LIMIT)):
                check()
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as raised:  # noqa: BLE001  whatever a check raises is its answer; the two above are not
            return verdict_of(raised, info)
        return DONE

    def _again(self, verdict: Verdict) -> bool:
        if self._stopped.is_set():
            pytest.exit("nobody watches any more", returncode=0)
        if verdict == DONE or verdict.outcome == "not-run":
            return False
        return self._watch or (verdict.outcome == "not-yet" and time.monotonic() < self._wait_until)

    def _pause(self) -> None:
        if not self._watch:
            time.sleep(RETRY_PAUSE)
            return
        time.sleep(SHORTEST_WATCH_PAUSE)
        self._poke.wait(WATCH_PAUSE)
        self._poke.clear()

    def _refresh(self) -> None:
        """Look at the lab's machines again, now and then: while a check waits, nodes go down and come back."""
        if "lab" not in self.__dict__ or time.monotonic() - self._looked < REFRESH_PAUSE:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(LabctlError):
            self.lab.record = self.lab.refresh().record

    def is_hopeless(self, info: CheckInfo) -> bool:
        """Whether a guard has said no, or a check of the same steps."""
        failed = [(other, verdict) for other, verdict in self._answers.values() if verdict.outcome != "done"]
        steps = set(info.steps)
        return any(other.guard or (steps and steps <= set(other.steps)) for other, verdict in failed)

    def all_done(self, steps: Iterable[str]) -> bool:
        """Whether every check of the steps has answered, and passed."""
        mine = [verdict for info, verdict in self._answers.values() if info.is_about(set(steps))]
        return bool(mine) and all(verdict.outcome == "done" for verdict in mine)

    def finish(self, info: CheckInfo, verdict: Verdict, *, seconds: float = 0.0) -> None:
        """Remember a check's answer and tell it."""
        self._answers[info.name] = info, verdict
        self._say_verdict("finished", info, verdict, seconds)

    def close(self) -> None:
        """End the report, and say that it ends in order: what a check kills says nothing any more."""
        if self._out is not None:
            self._say(kind="over")
            self._out.close()
            self._out = None

    def _say_verdict(self, kind: str, info: CheckInfo, verdict: Verdict, seconds: float) -> None:
        self._say(kind=kind, name=info.name, seconds=round(seconds, 3), **vars(verdict))

    def _say(self, **what: Any) -> None:
        if self._out is not None:
            self._out.write(json.dumps(what) + "\n")

    def _listen(self) -> None:
        """A line on stdin asks for the probes and for a look now; its end ends the run."""
        for _line in sys.stdin:
            self._probes.set()
            self._poke.set()
        self._stopped.set()
        self._poke.set()

    def _follow_events(self) -> None:
        """Look at once when something happens in the swarm; where that cannot be followed, the pause has to do."""
        try:
            for _event in self.lab.manager().engine.events({"type": list(EVENT_TYPES)}):
                self._poke.set()
        except LabctlError:
            return
