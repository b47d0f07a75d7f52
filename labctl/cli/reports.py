"""What checks said, as lines: each check with its sign, and what the first failure is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from labctl.cli.hints import lesson_with_lab

if TYPE_CHECKING:
    from labctl.checks.report import CheckReport, CheckResult
    from labctl.exercise.model import Exercise

__all__ = ["print_report", "print_results", "print_steps"]


def print_report(report: CheckReport) -> None:
    """The checks of one step, and what the first failure is."""
    print_results(report.results)
    _print_told(report)


def print_steps(found: Exercise, report: CheckReport) -> None:
    """The checks below the titles of their steps, and what the first failure is."""
    for step in found.steps:
        click.echo(f"{found.number(step)}. {step.title}")
        print_results(report.of_step(step.id).results, indent="   ")
    _print_told(report)


def print_results(results: Iterable[CheckResult], indent: str = "") -> None:
    """Each check with its sign."""
    from labctl.checks.report import SIGNS

    for result in results:
        click.echo(f"{indent}{SIGNS[result.outcome]} {result.title}")


def _print_told(report: CheckReport) -> None:
    from labctl.checks.report import told

    for line in told(report):
        click.echo(lesson_with_lab(line))
