"""What pytest calls."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from labctl.pytest_plugin.keeping import GIVEN, folder_of
from labctl.pytest_plugin.needs import MARK, look_at_needs, tell_unmet
from labctl.pytest_plugin.options import add_options, check_ini
from labctl.pytest_plugin.reporting import note_begin, on_report
from labctl.pytest_plugin.session import INTERRUPTED, finish, is_making, tell_kept
from labctl.pytest_plugin.signals import hear_no_more, heed_signals

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", MARK)
    check_ini(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the workers share a lab; be there when one of them leaves it behind."""
    node.workerinput[GIVEN] = str(folder_of(node.config))
    heed_signals(node.config, lambda: is_making(node.config))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what this host cannot do."""
    note_begin(item)
    if item.get_closest_marker("labctl_needs") is not None:
        look_at_needs(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a failure say what there is to know."""
    report = yield
    on_report(item, call, report)
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None]:
    """Remove what is left of the session's labs, after the fixtures and after xdist's workers."""
    # Who cancels a job waits for no reports.
    session.config.stash[INTERRUPTED] = exitstatus == pytest.ExitCode.INTERRUPTED
    yield
    finish(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and what was left up."""
    tell_unmet(terminalreporter)
    tell_kept(terminalreporter.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let signals be what they were."""
    hear_no_more(config)
