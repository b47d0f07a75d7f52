"""The options of the command line and of the ini file, and what they come to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["add_options", "check_ini", "is_kept", "is_own", "is_strict", "named_lab", "report_dir", "skips_engineless"]

CHOICES = {"workers": ("shared", "own"), "needs": ("skip", "fail")}  # the first is what is meant where nothing is said


def add_options(parser: pytest.Parser) -> None:
    """Declare them."""
    group = parser.getgroup("labctl", "labs of Docker Swarm (labctl)")
    add = group.addoption
    add(
        "--labctl-lab",
        metavar="NAME",
        help="Test on the lab NAME, which is up, and leave it up. Default: LABCTL_LAB's.",
    )
    add("--labctl-keep", action="store_true", help="Leave the session's lab up at the end, and say its name.")
    add("--labctl-report-dir", metavar="DIR", help="Where tasks, events and logs of tests that fail are written.")
    add("--labctl-workers", choices=CHOICES["workers"], help="With xdist: one lab for all workers, or one each.")
    add("--labctl-needs", choices=CHOICES["needs"], help="What becomes of tests that need what this host lacks.")
    add("--labctl-skip-without-engine", action="store_true", help="Skip instead of failing where no engine answers.")
    parser.addini("labctl_report_dir", "as --labctl-report-dir; relative to the ini file")
    parser.addini("labctl_workers", "as --labctl-workers: shared or own")
    parser.addini("labctl_needs", "as --labctl-needs: skip or fail")


def check_ini(config: pytest.Config) -> None:
    """Raise UsageError for a word that means nothing, and for reports that could not be written at the end."""
    for name, words in CHOICES.items():
        said = config.getini(f"labctl_{name}")
        if said and said not in words:
            raise pytest.UsageError(f"labctl_{name} = {said}: there is {' and '.join(words)}")
    folder = report_dir(config)
    there = next((place for place in (folder, *folder.parents) if place.exists()), None) if folder else None
    if there is not None and not (there.is_dir() and os.access(there, os.W_OK)):
        why = "it cannot be written to" if there.is_dir() else f"{there} is no folder"
        raise pytest.UsageError(f"--labctl-report-dir: no reports can be written to {folder}: {why}")


def named_lab(config: pytest.Config) -> tuple[str, str] | None:
    """The lab that is up and shall be used, and what named it; None where the session makes its own.

    An empty --labctl-lab asks for one of the session's own where LABCTL_LAB is set.
    """
    said = config.getoption("--labctl-lab")
    if said is not None:
        return (said, "--labctl-lab") if said else None
    variable = os.environ.get("LABCTL_LAB")
    return (variable, "LABCTL_LAB") if variable else None


def report_dir(config: pytest.Config) -> Path | None:
    """Where reports go; None for nowhere."""
    said = config.getoption("--labctl-report-dir")
    if said:
        return Path(config.invocation_params.dir, said)
    ini = config.getini("labctl_report_dir")
    return (config.inipath.parent if config.inipath else config.rootpath) / ini if ini else None


def is_own(config: pytest.Config) -> bool:
    """Whether each worker has a lab of its own."""
    return _chosen(config, "workers") == "own"


def is_strict(config: pytest.Config) -> bool:
    """Whether a test fails that needs what this host lacks."""
    return _chosen(config, "needs") == "fail"


def is_kept(config: pytest.Config) -> bool:
    """Whether the session's lab stays."""
    return bool(config.getoption("--labctl-keep"))


def skips_engineless(config: pytest.Config) -> bool:
    """Whether tests are skipped where no engine answers."""
    return bool(config.getoption("--labctl-skip-without-engine"))


def _chosen(config: pytest.Config, name: str) -> str:
    return str(config.getoption(f"--labctl-{name}") or config.getini(f"labctl_{name}") or CHOICES[name][0])
