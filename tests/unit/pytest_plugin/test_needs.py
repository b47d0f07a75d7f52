"""Tests that not every host can run: left out with the reason, never in silence."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from .conftest import Session

# What a host has is said here: the rows of `labctl doctor` have tests of their own.
CONFTEST = """
import pytest
from types import SimpleNamespace
from labctl.host.report import Report, Row, Verdict
from labctl.pytest_plugin import needs

ROWS = [Row("netem", "delay", Verdict.UNAVAILABLE, "no netem in this kernel"), Row("xfrm", "", Verdict.GOOD, "there"),
        Row("ipvs", "", Verdict.MADE_UP_FOR, "labctl's mesh serves instead")]
ENGINE = SimpleNamespace(answers=True, info={"NCPU": 2})
FACTS = SimpleNamespace(engine=ENGINE, same_kernel=True, machine=SimpleNamespace(memory_free=3 << 30, cpus=2))
needs._host = lambda config: (FACTS, Report(ROWS))
needs._without_vagrant = lambda: "vagrant (it is not installed)"
"""


HAS = ["'xfrm'", "cpus=2", "memory='3g'", "'xfrm', cpus=1.5, memory='512m'"]
LACKS = {
    "'netem'": "netem (no netem in this kernel)",
    "'xfrm', 'ipvs'": "ipvs (labctl's mesh serves instead)",
    "'vagrant'": "vagrant (it is not installed)",
    "cpus=4": "cpus=4 (there are 2)",
    "memory='4g'": "memory=4g (3.0 GiB are free)",
    "'netem', cpus=3": "netem (no netem in this kernel); cpus=3 (there are 2)",
}
WRONG = {
    "'netme'": "labctl_needs: nobody knows 'netme'; there is: ipvs, netem, vagrant, xfrm",
    "disk='1g'": "labctl_needs takes cpus= and memory=, and no disk=",
    "cpus='2'": "labctl_needs: cpus='2': a number is wanted",
    "memory=4": "labctl_needs: memory=4: a size is wanted, as in",
    "memory='much'": "labctl_needs: memory: 'much' is no size: 512m, 2g",
}


def run(session: Session, marks: Iterable[str], *words: str) -> tuple[int, str]:
    tests = (f"@pytest.mark.labctl_needs({mark})\ndef test_{n}(lab): pass\n" for n, mark in enumerate(marks))
    session.write("conftest.py", CONFTEST)
    session.write("test_it.py", "".join(tests))
    return session.run("--strict-markers", *words)


def test_what_the_host_has_lets_a_test_run(session: Session) -> None:
    code, said = run(session, HAS)

    assert code == 0 and f"{len(HAS)} passed" in said, said


def test_what_it_lacks_skips_a_test_and_is_told_at_the_end(session: Session) -> None:
    code, said = run(session, LACKS, "-q")

    assert (code, session.journal) == (0, [])
    for told in LACKS.values():
        assert f"labctl: 1 test was skipped: this host lacks {told}\n" in said


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_project_may_have_such_a_test_fail(session: Session, how: str) -> None:
    if how == "ini":
        (session.folder / "pytest.ini").write_text("[pytest]\nlabctl_needs = fail\n")

    code, said = run(session, ["'netem'"], *(["--labctl-needs=fail"] if how == "option" else []))

    assert (code, session.journal) == (1, [])
    assert "labctl: this host lacks netem (no netem in this kernel)" in said


def test_a_need_that_nobody_knows_is_an_error(session: Session) -> None:
    code, said = run(session, WRONG)

    assert (code, session.journal) == (1, [])
    for told in WRONG.values():
        assert f"labctl: {told}" in said
    assert "During handling" not in said


def test_the_mark_reads_what_doctor_finds_on_this_host(session: Session) -> None:
    session.write("test_it.py", "@pytest.mark.labctl_needs('python', cpus=100_000)\ndef test_it(lab): pass\n")

    code, said = session.run()

    assert code in (0, 1), said  # without an engine nobody knows how many there are, and the test runs
    assert "this host lacks cpus=100000" in said or "1 passed" in said
