"""What the plugin does with one check: ask it, have judged what it raised, ask again where that may help, report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from labctl.checks import verdicts
from labctl.checks.deadline import deadline
from labctl.checks.handing import taken
from labctl.checks.rounds import Alarm
from labctl.checks.sentences import Sentences, translated
from labctl.checks.tracing import unwrapped
from labctl.checks.verdicts import Around, CheckInfo, Verdict, fault_of_file, verdict_of
from labctl.errors import EngineUnreachable, LabctlError
from labctl.waiting import stretched

if TYPE_CHECKING:
    from labctl.lab import Lab

__all__ = ["Running"]

RETRY_PAUSE = 0.3  # seconds between two tries while waiting
REFRESH_PAUSE = 1.5  # seconds between two looks at which machines run
ENGINE_LIMIT = 20.0  # seconds that an engine which somebody restarts may be silent before a check that waits says so

DONE = Verdict("done")
NOT_RUN = Verdict("not-run")
PRESS_C = Verdict("not-yet", "labctl tries this one itself, and writes to your app for it: press c when you are ready")


class Running:
    """One run of checks: how often to ask, who has answered, and where the answers go."""

    def __init__(
        self,
        lab_name: str | None,
        report: int | None,
        *,
        wait: float,
        watch: bool,
        hold: bool,
        probes: bool,
        nodes: str,
        sentences: Sentences,
    ) -> None:
        self._lab_name = lab_name
        self._nodes = frozenset(filter(None, nodes.split(",")))
        self.sentences = sentences
        self._out = os.fdopen(taken(report), "w", encoding="utf-8", buffering=1) if report is not None else None
        self._watch = watch
        self._hold = hold
        self._wait = wait
        self._wait_until = 0.0
        self._silent_since: float | None = None  # when an engine first gave a waiting check no answer
        self._with_probes = probes
        self._probes = threading.Event()  # somebody has asked for them
        if probes:
            self._probes.set()
        self._looked = time.monotonic()
        self._answers: dict[str, tuple[CheckInfo, Verdict]] = {}
        self._told: dict[str, Verdict] = {}
        self._probed: dict[str, Verdict] = {}  # what probes said when they were last asked for
        self.alarm = Alarm()
        self.is_interrupted = False
        self._is_faulty = False

    @classmethod
    def of(cls, option: Namespace) -> Running:
        """Take the options of the command line."""
        return cls(
            option.labctl_lab,
            option.labctl_report,
            wait=option.labctl_wait,
            watch=option.labctl_watch,
            hold=option.labctl_hold,
            probes=option.labctl_probes,
            nodes=option.labctl_nodes,
            sentences=translated(Path(option.file_or_dir[0]).parent, option.labctl_language)
            if option.file_or_dir
            else {},
        )

    @cached_property
    def lab(self) -> Lab:
        """The lab, found once. Raises LabctlError when there is none."""
        from labctl.lab import find_lab, open_context

        return find_lab(open_context(), self._lab_name)

    def note_interrupts(self) -> None:
        """Tell Ctrl-C from a check that raises KeyboardInterrupt itself."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def reading(self, file: Path) -> Iterator[None]:
        """Import a file of the exercise in the block, within a limit; what comes out of it is the exercise's fault."""
        self._say(kind="reading", file=file.name)
        try:
            with deadline(stretched(verdicts.READ_LIMIT)):
                yield
        except BaseException as raised:
            self.blame_file(raised, file)
            raise
        self._say(kind="read")

    def blame_file(self, raised: BaseException, file: Path) -> None:
        """Tell, once, that a file of the exercise cannot be imported."""
        if not self.is_interrupted and not self._is_faulty:
            self._is_faulty = True
            message, lint = fault_of_file(raised, file.name, str(file.parent))
            self._say(kind="fault", message=message, lint=lint)

    def judge(self, raised: BaseException, info: CheckInfo) -> Verdict:
        """What an exception out of a check means, in the lab if it was asked for."""
        return verdict_of(raised, info, Around(self.__dict__.get("lab"), self._nodes, self.sentences))

    def say_begun(self, info: CheckInfo) -> None:
        """Tell that a check, or what it needs, begins: of what ends the process then, it is the culprit."""
        self._say(kind="begun", name=info.name)

    def say_collected(self, checks: Iterable[CheckInfo]) -> None:
        """Tell which checks there are."""
        self._say(kind="collected", checks=[vars(check) for check in checks])

    def begin(self) -> None:
        """Be ready to ask; where the run is held, only when a line has come. Ends it when none can come any more."""
        if self._hold:
            import labctl.lab  # noqa: F401  its import takes most of the time that a first check would wait

            if not sys.stdin.readline():
                pytest.exit("nobody wants to know any more", returncode=0)
        self._wait_until = time.monotonic() + self._wait
        if self._watch:
            threading.Thread(target=self._listen, daemon=True).start()
            self.alarm.follow(lambda: self.lab)

    @property
    def is_watching(self) -> bool:
        """Whether it asks again and again until nobody wants to know any more."""
        return self._watch

    def new_round(self) -> None:
        """Forget the answers of the round before; what was told of them is remembered.

        A learner who asks for the probes asks for one round: one who asks during a round asks for the next.
        """
        self._with_probes = self._probes.is_set()
        self._probes.clear()
        self._answers.clear()
        self._refresh()

    def ask(self, info: CheckInfo, check: Callable[[], object]) -> None:
        """Ask a check until it is done or waiting is over, and tell its last answer; once, while watching."""
        began = time.monotonic()
        self._silent_since = None
        told: Verdict | None = None
        self.say_begun(info)
        while True:
            verdict = self._ask_once(info, check)
            if not self._again(verdict):
                self.finish(info, verdict, seconds=time.monotonic() - began)
                return
            if verdict != told:
                told = verdict
                self._say_verdict("seen", info, verdict, time.monotonic() - began)
            time.sleep(RETRY_PAUSE)
            self._refresh()

    def _ask_once(self, info: CheckInfo, check: Callable[[], object]) -> Verdict:
        if info.probe and not self._with_probes:
            # A run without probes leaves them out; a learner who watches is told how to have them.
            offer = replace(PRESS_C, message=self.sentences.get(PRESS_C.message, PRESS_C.message))
            return self._probed.get(info.name, offer) if self._watch else replace(offer, outcome="not-run")
        try:
            with deadline(stretched(verdicts.CHECK_LIMIT)):
                returned = check()
        except BaseException as raised:
            if self.is_interrupted:
                raise
            verdict = self.judge(raised, info)  # whatever a check raises is its answer
            self._note_silence(raised)
        else:
            self._silent_since = None
            verdict = DONE if returned is None else verdicts.returned(returned, info)
        if info.probe:
            self._probed[info.name] = verdict
        return verdict

    def _note_silence(self, raised: BaseException) -> None:
        is_silent = isinstance(unwrapped(raised), EngineUnreachable)
        self._silent_since = (self._silent_since or time.monotonic()) if is_silent else None

    def _again(self, verdict: Verdict) -> bool:
        if self._watch or (now := time.monotonic()) >= self._wait_until:
            return False
        # An engine that was just restarted is silent for some seconds: that is no broken lab yet.
        is_starting = self._silent_since is not None and now < self._silent_since + stretched(ENGINE_LIMIT)
        return verdict.outcome == "not-yet" or (verdict.outcome == "broken" and is_starting)

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

    @property
    def is_done(self) -> bool:
        """Whether every check that was asked is content."""
        return bool(self._answers) and all(verdict.outcome == "done" for _, verdict in self._answers.values())

    def finish(self, info: CheckInfo, verdict: Verdict, *, seconds: float = 0.0) -> None:
        """Remember a check's answer and tell it, unless it is the one that was told last."""
        self._answers[info.name] = info, verdict
        self._tell(info, verdict, seconds)

    def leave_out(self, info: CheckInfo) -> None:
        """A check that follows the first failure is not asked: what was told of it before may be so no more."""
        if self._watch:
            self._probed.pop(info.name, None)
            self._tell(info, NOT_RUN, 0.0)

    def _tell(self, info: CheckInfo, verdict: Verdict, seconds: float) -> None:
        if self._told.get(info.name) == verdict:
            self._say(kind="same")
            return
        self._told[info.name] = verdict
        self._say_verdict("finished", info, verdict, seconds)

    @property
    def shortest_pause(self) -> float | None:
        """How soon the first check that is not content wants to be asked again, where no engine would tell."""
        wanted = [info.every for info, verdict in self._answers.values() if verdict.outcome != "done"]
        return min(filter(None, wanted), default=None)

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
            self.alarm.ring()
        self.alarm.end()
