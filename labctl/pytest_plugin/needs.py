"""`@pytest.mark.labctl_needs("netem", cpus=2, memory="4g")`: tests that not every host can run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from labctl.pytest_plugin.options import is_strict
from labctl.pytest_plugin.telling import is_worker, say

if TYPE_CHECKING:
    from labctl.host.facts import Facts
    from labctl.host.report import Report

__all__ = ["MARK", "look_at_needs", "tell_unmet"]

MARK = (
    "labctl_needs(*features, cpus=None, memory=None): skip the test where the host lacks one of these: ids of "
    "`labctl doctor -o json` that are good there (netem, xfrm, ipvs, hub, ...), `vagrant`; so many processors; so much "
    'free memory ("4g")'
)
LACKS = "labctl: this host lacks "
HOST = pytest.StashKey["tuple[Facts, Report]"]()
VAGRANT = pytest.StashKey[str]()


def look_at_needs(item: pytest.Item) -> None:
    """Skip the test, or fail it, when this host lacks what its marks say."""
    lacking = [text for mark in item.iter_markers("labctl_needs") for text in _lacking(item.config, mark)]
    if not lacking:
        return
    told = LACKS + "; ".join(lacking)
    if is_strict(item.config):
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


def _lacking(config: pytest.Config, mark: pytest.Mark) -> list[str]:
    """What the host lacks of one mark, each with what was found. Fails the test for what nobody can look at."""
    wanted = dict(mark.kwargs)
    cpus, memory = wanted.pop("cpus", None), wanted.pop("memory", None)
    if wanted:
        _refuse(f"labctl_needs takes cpus= and memory=, and no {', '.join(wanted)}=")
    facts, report = _host(config)
    found = [text for feature in mark.args if (text := _feature(config, report, feature))]
    if not facts.engine.answers:  # how large it is nobody knows; the lab tells that there is none
        return found
    return [*found, *_size(facts, cpus, memory)]


def _feature(config: pytest.Config, report: Report, feature: Any) -> str:
    from labctl.host import Verdict

    if feature == "vagrant":
        if VAGRANT not in config.stash:
            config.stash[VAGRANT] = _without_vagrant()
        return config.stash[VAGRANT]
    row = next((row for row in report if row.id == feature), None)
    if row is None:
        known = ", ".join(sorted([*(row.id for row in report), "vagrant"]))
        _refuse(f"labctl_needs: nobody knows {feature!r}; there is: {known}")
    return "" if row.verdict is Verdict.GOOD else f"{feature} ({row.found})"


def _size(facts: Facts, cpus: Any, memory: Any) -> list[str]:
    from labctl.host.decide_resources import cpus_of, memory_free
    from labctl.spec.rules import size_in_bytes

    lacking = []
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int | float)):
        _refuse(f"labctl_needs: cpus={cpus!r}: a number is wanted")
    if memory is not None and not isinstance(memory, str):
        _refuse(f'labctl_needs: memory={memory!r}: a size is wanted, as in "4g"')
    if cpus is not None and cpus_of(facts) < cpus:
        lacking.append(f"cpus={cpus} (there are {cpus_of(facts)})")
    if memory is not None:
        try:
            wanted = size_in_bytes(memory)
        except ValueError as problem:
            raise pytest.fail.Exception(f"labctl: labctl_needs: memory: {problem}", pytrace=False) from None
        free = memory_free(facts)
        if free is not None and free < wanted:
            lacking.append(f"memory={memory} ({free / 2**30:.1f} GiB are free)")
    return lacking


def _host(config: pytest.Config) -> tuple[Facts, Report]:
    """This host, looked at once."""
    if HOST not in config.stash:
        from labctl.host.examine import decide
        from labctl.host.gather import gather

        facts = gather(1)
        config.stash[HOST] = facts, decide(facts)
    return config.stash[HOST]


def _without_vagrant() -> str:
    from labctl.host import examine_virtual

    report = examine_virtual(1)
    bad = next(iter(report.to_mend), None)
    return f"vagrant ({bad.title}: {bad.found})" if bad else ""


def _refuse(text: str) -> NoReturn:
    pytest.fail(f"labctl: {text}", pytrace=False)


def tell_unmet(reporter: pytest.TerminalReporter) -> None:
    """Say in the summary what was left out for this host's sake: it is no success."""
    if is_worker(reporter.config):  # the controller hears of all, and says it once
        return
    reasons: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        reason = reason.removeprefix("Skipped: ")
        if reason.startswith("labctl: "):
            reasons[reason.removeprefix("labctl: ").splitlines()[0]] += 1
    for reason, count in reasons.items():
        tests = "1 test was" if count == 1 else f"{count} tests were"
        say(reporter.config, f"{tests} skipped: {reason}", always=True)
