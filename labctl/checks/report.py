"""What came of checks, as values: one CheckResult a check, one CheckReport a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["SIGNS", "CheckReport", "CheckResult", "Outcome", "joined", "told"]

Outcome = Literal["done", "not-yet", "wrong", "broken", "not-run"]
# What a whole run comes to when its checks differ: the first of these that occurs.
WORST_FIRST: tuple[Outcome, ...] = ("broken", "wrong", "not-yet", "not-run")

SIGNS: Mapping[Outcome, str] = {"done": "✓", "not-yet": "○", "not-run": "○", "wrong": "✗", "broken": "!"}


@dataclass(frozen=True)
class CheckResult:
    """One check's answer.

    done     the goal is reached
    not-yet  it may still come by itself, or has not been begun
    wrong    something must be done otherwise
    broken   the lab, or the check itself, is at fault, not the learner
    not-run  another check of its step, or a guard, said no before it

    `title` is what a learner sees ticked, `found` the value seen, `look` a command that shows it; `observed` tells
    that an observer must run from the start of its step. Of a broken one `at_fault` tells that the exercise is it.
    """

    step: str
    name: str
    title: str
    outcome: Outcome
    message: str = ""
    found: str = ""
    look: str = ""
    seconds: float = 0.0
    guard: bool = False
    probe: bool = False
    observed: bool = False
    at_fault: bool = False
    hint: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> CheckResult:
        """Read what the plugin wrote."""
        known = {key: raw[key] for key in cls.__dataclass_fields__ if key in raw}
        assert known.get("outcome") in get_args(Outcome), known
        return cls(**known)

    @property
    def is_done(self) -> bool:
        """Whether it passed."""
        return self.outcome == "done"

    def sentence(self) -> str:
        """What is wrong and what was found, in one line."""
        text = self.message or self.title
        return f"{text} (found: {self.found})" if self.found else text


@dataclass(frozen=True)
class CheckReport:
    """A run's results, in the order of the test file."""

    results: tuple[CheckResult, ...]
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """What the run comes to as a whole."""
        seen = {result.outcome for result in self.results}
        return next((outcome for outcome in WORST_FIRST if outcome in seen), "done")

    @property
    def is_done(self) -> bool:
        """Whether there were checks, and all passed."""
        return bool(self.results) and self.outcome == "done"

    @property
    def first(self) -> CheckResult | None:
        """The first check that did not pass: the only one that a learner is shown."""
        return next((result for result in self.results if result.outcome not in ("done", "not-run")), None)

    def of_step(self, step: str) -> CheckReport:
        """The part of the report that is about one step; guards are in it when they failed."""
        mine = (result for result in self.results if result.step == step or (result.guard and not result.is_done))
        return CheckReport(tuple(mine), self.seconds)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON can carry it."""
        return {
            "outcome": self.outcome,
            "seconds": round(self.seconds, 3),
            "checks": [asdict(result) for result in self.results],
        }


def told(report: CheckReport) -> list[str]:
    """The first failure as lines for a learner: what is wrong, what was found, what to look at."""
    first = report.first
    if first is None:
        return []
    head = {"not-yet": "Not yet", "wrong": "Not right", "broken": "The lab is broken"}[first.outcome]
    if first.at_fault:
        head = "The exercise is at fault"
    lines = [f"{head}: {first.message or first.title}"]
    if first.found:
        lines.append(f"  found: {first.found}")
    if first.look:
        lines.append(f"  look:  {first.look}")
    return lines


def joined(reports: Iterable[CheckReport]) -> CheckReport:
    """Several reports as one; of a check that is in more than one, the last counts."""
    latest: dict[tuple[str, str], CheckResult] = {}
    seconds = 0.0
    for report in reports:
        seconds += report.seconds
        for result in report.results:
            latest[result.step, result.name] = result
    return CheckReport(tuple(latest.values()), seconds)
