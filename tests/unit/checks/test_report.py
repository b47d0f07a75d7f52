"""A report comes to the worst that is in it, and shows a learner one thing at a time."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from labctl.checks.junit import junit_xml
from labctl.checks.report import CheckReport, CheckResult, Outcome, joined, told


def result(outcome: Outcome, name: str = "test_a", *, step: str = "deploy", **more: Any) -> CheckResult:
    return CheckResult(step=step, name=name, title=f"{name} holds.", outcome=outcome, **more)


def report(*outcomes: Outcome) -> CheckReport:
    return CheckReport(tuple(result(outcome, f"test_{n}") for n, outcome in enumerate(outcomes)))


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        (("done", "done"), "done"),
        (("done", "not-yet"), "not-yet"),
        (("not-yet", "wrong"), "wrong"),
        (("wrong", "broken", "done"), "broken"),
        (("done", "not-run"), "not-run"),
    ],
)
def test_a_report_comes_to_its_worst(outcomes: tuple[Outcome, ...], whole: Outcome) -> None:
    assert report(*outcomes).outcome == whole
    assert report(*outcomes).is_done is (whole == "done")


def test_a_report_without_checks_is_not_done() -> None:
    assert not report().is_done


def test_only_the_first_failure_is_told() -> None:
    found = CheckReport(
        (
            result("done"),
            result("wrong", "test_b", message="db is on the wrong network", found="frontend", look="docker service ls"),
            result("not-yet", "test_c", message="later"),
        )
    )

    assert told(found) == ["Not right: db is on the wrong network", "  found: frontend", "  look:  docker service ls"]


def test_a_check_that_says_nothing_is_told_by_its_title() -> None:
    assert told(CheckReport((result("not-yet"),))) == ["Not yet: test_a holds."]
    assert told(report("done")) == []


def test_a_step_has_its_own_checks_and_the_guards_that_failed() -> None:
    guard = result("broken", "test_guard", step="", guard=True)
    content = result("done", "test_other_guard", step="", guard=True)
    whole = CheckReport((guard, content, result("done"), result("done", "test_b", step="vote")))

    assert [one.name for one in whole.of_step("deploy").results] == ["test_guard", "test_a"]


def test_of_several_reports_a_check_s_last_answer_counts() -> None:
    before = CheckReport((result("not-yet"), result("done", step="vote")), seconds=1)
    after = CheckReport((result("done"),), seconds=2)

    found = joined([before, after])

    assert [(one.step, one.outcome) for one in found.results] == [("deploy", "done"), ("vote", "done")]
    assert found.seconds == 3


def test_junit_has_a_suite_a_step_and_tells_failures_from_errors() -> None:
    whole = CheckReport(
        (
            result("done", seconds=1.5),
            result("wrong", "test_b", message="no <b>", found="<x>", look="docker ps"),
            result("not-run", "test_c"),
            result("broken", "test_d", step="vote", message="node worker1 is exited"),
        )
    )

    top = Xml.fromstring(junit_xml(whole, suite="voting-app"))

    assert top.attrib | {"time": ""} == {
        "name": "voting-app", "tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "",
    }  # fmt: skip
    assert [suite.get("name") for suite in top] == ["voting-app.deploy", "voting-app.vote"]
    failure = top.find(".//failure")
    assert failure is not None
    assert failure.get("type") == "wrong"
    assert failure.text == "no <b> (found: <x>)\nlook: docker ps"
    assert top.findall(".//error")[0].get("message") == "node worker1 is exited"


def test_a_report_is_json() -> None:
    assert report("done").to_dict()["outcome"] == "done"


def test_junit_is_xml_whatever_others_wrote() -> None:
    said = "a\x00b\x1b[2Jc\ufffe\ud800d\te"

    text = junit_xml(CheckReport((result("wrong", message=said, found=said),)), suite="voting-app")

    failure = Xml.fromstring(text).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "a\ufffdb\ufffd[2Jc\ufffd\ufffdd\te"
    assert text.encode("utf-8")
