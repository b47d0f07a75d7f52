"""What the tests share: a state folder of their own, and the labs that several tests use together."""

from __future__ import annotations

import os
import secrets
import signal
import tracemalloc  # noqa: F401  # pytest imports it where an object is lost, and two threads at once fail at that
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl import images
from labctl.errors import LabctlError
from labctl.events import Emit, quiet
from labctl.lab import Context, Lab, UpOptions, bring_up, find_lab, open_context
from labctl.spec import read_mapping


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests away from the keys, the progress and the Docker contexts of whoever runs them."""
    folder = tmp_path_factory.mktemp("state")
    before = {name: os.environ.get(name) for name in ("LABCTL_STATE", "DOCKER_CONFIG", "LABCTL_LAB")}
    os.environ["LABCTL_STATE"] = str(folder / "labctl")
    os.environ["DOCKER_CONFIG"] = str(folder / "docker")
    os.environ.pop("LABCTL_LAB", None)
    yield folder
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> None:
    """Let the commands that tests start be interrupted.

    A shell starts what runs in its background with Ctrl-C ignored, nohup with SIGHUP, and every child inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def context() -> Context:
    """This host's engine, with every image on it that a lab needs; tests that use it are marked `lab`.

    The images come first, so that no test's own limit has to cover a build or the filling of the mirror.
    """
    found = open_context()
    images.ensure_node_image(found.engine)
    images.ensure_all(found.engine)
    return found


@pytest.fixture
def lab_name() -> str:
    """A name that no other lab has."""
    return f"t{secrets.token_hex(3)}"


def labs_of(context: Context) -> Iterator[Callable[..., Lab]]:
    """Bring labs up when asked, and take each of them down at the end, whatever happened to it."""
    made: list[str] = []

    def make(emit: Emit = quiet, options: UpOptions | None = None, **wanted: object) -> Lab:
        usual = {} if "nodes" in wanted else {"workers": 1}
        spec = read_mapping({"name": f"t{secrets.token_hex(3)}", **usual, **wanted})
        made.append(spec.name)
        bring_up(Context(context.engine, emit), spec, options)
        return find_lab(context, spec.name)

    yield make
    for name in made:
        try:
            find_lab(context, name).down()
        except LabctlError as problem:
            print(f"lab {name} was gone already: {problem.message}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was run again: a rerun that nobody can explain is a bug that stays."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"run again: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.line(f"--- {title}")
            terminalreporter.line(text)


# Many labs at once make each other slow: a lab goes with the test, the module or the run that needed it.
own_lab = pytest.fixture(labs_of, name="own_lab")
make_lab = pytest.fixture(labs_of, scope="module", name="make_lab")
labs_of_the_run = pytest.fixture(labs_of, scope="session", name="labs_of_the_run")


@pytest.fixture(scope="session")
def shared_lab(labs_of_the_run: Callable[..., Lab]) -> Lab:
    """One manager and two workers for the tests that leave a lab as they found it."""
    return labs_of_the_run(workers=2)
