"""A report as JUnit XML, which CI systems read: a test suite a step, a test case a check."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from labctl.checks.report import CheckReport, CheckResult

__all__ = ["junit_xml"]

# What XML 1.0 forbids, also as a reference: what others wrote (a page's body, a service's log) may hold it.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: CheckReport, *, suite: str) -> str:
    """Return the report as an XML document; `suite` is the name of the whole."""
    steps = list(dict.fromkeys(result.step for result in report.results))
    top = Xml.Element("testsuites", _counts(report), name=suite)
    for step in steps:
        mine = CheckReport(tuple(result for result in report.results if result.step == step))
        group = Xml.SubElement(top, "testsuite", _counts(mine), name=f"{suite}.{step}" if step else suite)
        for result in mine.results:
            _case(group, result, suite)
    for element in top.iter():
        _clean(element)
    Xml.indent(top)
    return Xml.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _clean(element: Xml.Element) -> None:
    """Put a sign in the place of every character that is none in XML."""
    element.text = element.text and FORBIDDEN.sub("\ufffd", element.text)
    for key, value in element.attrib.items():
        element.set(key, FORBIDDEN.sub("\ufffd", value))


def _case(group: Xml.Element, result: CheckResult, suite: str) -> None:
    case = Xml.SubElement(
        group,
        "testcase",
        classname=f"{suite}.{result.step}".rstrip("."),
        name=result.title or result.name,
        time=f"{result.seconds:.3f}",
    )
    if result.is_done:
        return
    kind = {"broken": "error", "not-run": "skipped"}.get(result.outcome, "failure")
    told = Xml.SubElement(case, kind, message=result.message or result.title)
    if kind != "skipped":
        told.set("type", result.outcome)
        told.text = "\n".join(filter(None, [result.sentence(), result.look and f"look: {result.look}"]))


def _counts(report: CheckReport) -> dict[str, str]:
    outcomes = [result.outcome for result in report.results]
    return {
        "tests": str(len(outcomes)),
        "failures": str(sum(outcome in ("wrong", "not-yet") for outcome in outcomes)),
        "errors": str(outcomes.count("broken")),
        "skipped": str(outcomes.count("not-run")),
        "time": f"{sum(result.seconds for result in report.results):.3f}",
    }
