"""The pytest plugin that an exercise's checks run under: `pytest -p labctl.checks.plugin --labctl-lab NAME`.

Fixtures: `lab`, `node("w1")`, `managers`, `workers`, `swarm`, `answer("q")`, `observer`; `host` is refused.
Marks: `step("id", ...)`, `guard`, `probe`, `observer(port=5000)`.

Each check's answer goes as a line of JSON to the file descriptor `--labctl-report`; the exit code tells nothing more.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labctl.checks import verdicts
from labctl.checks.answers import NOT_ANSWERED, not_yet
from labctl.checks.deadline import deadline
from labctl.checks.rounds import watch
from labctl.checks.running import Running
from labctl.checks.sentences import ENGLISH
from labctl.checks.verdicts import CheckInfo, info_of
from labctl.errors import LabctlError
from labctl.waiting import stretched

if TYPE_CHECKING:
    from testinfra.host import Host

    from labctl.checks.observer import Observer
    from labctl.checks.swarm import Swarm
    from labctl.lab import Lab

__all__ = ["answer", "host", "lab", "managers", "node", "observer", "swarm", "workers"]

RUNNING = pytest.StashKey[Running]()
INFO = pytest.StashKey[CheckInfo]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The runner's words to us.

    The plugin that pytest finds wherever labctl is installed has fixtures and options of these names, which mean
    something else there: with an exercise's checks it stays out.
    """
    pluginmanager.set_blocked("labctl")
    group = parser.getgroup("labctl")
    group.addoption("--labctl-lab", default=None, help="the lab to check")
    group.addoption("--labctl-report", type=int, default=None, help="where the answers go: see handing.py")
    group.addoption("--labctl-steps", default="", help="ids of the steps to check, with commas; all where empty")
    group.addoption("--labctl-nodes", default="", help="the nodes that the exercise asks a lab to have, with commas")
    group.addoption("--labctl-language", default=ENGLISH, help="what the checks speak, where they are translated")
    group.addoption("--labctl-answers", type=Path, default=None, help="a file of JSON: what the learner answered")
    group.addoption("--labctl-wait", type=float, default=0.0, help="seconds to wait for what is not yet so")
    group.addoption("--labctl-hold", action="store_true", help="be ready, and begin when a line comes on stdin")
    group.addoption("--labctl-watch", action="store_true", help="go on until all is done or stdin ends")
    group.addoption("--labctl-probes", action="store_true", help="run probes too: they write something marked")
    group.addoption("--labctl-observe", choices=["no", "keep", "fresh"], default="no", help="start the observers")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Begin the report, before anything of the exercise is imported: the first is the conftest.py beside it."""
    option = early_config.known_args_namespace
    running = early_config.stash[RUNNING] = Running.of(option)
    running.note_interrupts()
    # What lies beside the checks can be imported by them, and is nothing that labctl or pytest imports (`python -P`).
    sys.path += [str(Path(file).resolve().parent) for file in option.file_or_dir]
    beside = Path(option.file_or_dir[0]).with_name("conftest.py") if option.file_or_dir else None
    if beside is None or not beside.is_file():
        return (yield)
    with running.reading(beside):
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", "step(*ids): the steps of the exercise that the check is about")
    config.addinivalue_line("markers", "guard: a failure means that the lab cannot be used for the exercise any more")
    config.addinivalue_line("markers", "probe: the check writes something marked, and runs only when asked")
    config.addinivalue_line("markers", "every(seconds): while a learner works, ask so often: no engine tells of it")
    config.addinivalue_line("markers", "observer(port, path='/'): requests to every node from the start of the step")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import the file of checks, and tell what keeps it from being imported."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    running = collector.config.stash[RUNNING]
    with running.reading(collector.path):
        report = yield
    call: pytest.CallInfo[Any] | None = getattr(report, "call", None)
    if call is not None and call.excinfo is not None:
        running.blame_file(call.excinfo.value, collector.path)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the checks of the steps asked for, guards first; the order of the file is the order of diagnosis."""
    running = config.stash[RUNNING]
    for item in items:
        info = info_of(item)
        item.stash[INFO] = replace(info, title=running.sentences.get(info.title, info.title))
    asked = set(filter(None, config.getoption("--labctl-steps").split(",")))
    chosen = [item for item in items if not asked or item.stash[INFO].is_about(asked)]
    items[:] = sorted(chosen, key=lambda item: not item.stash[INFO].guard)
    running.say_collected([item.stash[INFO] for item in items])


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object | None:
    """Wait for the word where that was asked for, and start the observers of the steps that are checked.

    While watching, the loop is ours.
    """
    how = session.config.getoption("--labctl-observe")
    if session.config.option.collectonly:
        return None
    running = session.config.stash[RUNNING]
    running.begin()
    if how != "no":
        # A lab that is not well says so in the checks themselves.
        with contextlib.suppress(LabctlError):
            for observer in _observers(session.items, running.lab):
                observer.start(fresh=how == "fresh")
    if not running.is_watching:
        return None
    watch(session, running, lambda: _seal(session))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Leave out what follows the first failure: one thing at a time is enough to mend. Fixtures have a limit, too."""
    running = item.config.stash[RUNNING]
    if running.is_hopeless(item.stash[INFO]):
        running.leave_out(item.stash[INFO])
        pytest.skip("another check said no before")
    running.say_begun(item.stash[INFO])
    try:
        with deadline(stretched(verdicts.CHECK_LIMIT)):
            return (yield)
    except (KeyboardInterrupt, pytest.skip.Exception, pytest.exit.Exception) as raised:
        # pytest would end the run here, or leave the check out, and tell nobody of it.
        if running.is_interrupted:
            raise
        running.finish(item.stash[INFO], running.judge(raised, item.stash[INFO]))
    pytest.skip("a fixture said no")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Ask the check, and ask again while waiting may help."""
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    pyfuncitem.config.stash[RUNNING].ask(pyfuncitem.stash[INFO], lambda: pyfuncitem.obj(**arguments))
    return True


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
    """A fixture that cannot be had: the lab is broken, or the exercise at fault."""
    if isinstance(node, pytest.Item) and call.when == "setup" and call.excinfo is not None:
        running, info = node.config.stash[RUNNING], node.stash[INFO]
        running.finish(info, running.judge(call.excinfo.value, info))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Seal the observers of steps that are done."""
    if not session.config.stash[RUNNING].is_watching:
        _seal(session)


def _seal(session: pytest.Session) -> None:
    running = session.config.stash[RUNNING]
    if session.config.getoption("--labctl-observe") == "no":
        return
    done = [item for item in session.items if running.all_done(item.stash[INFO].steps)]
    with contextlib.suppress(LabctlError):
        for observer in _observers(done, running.lab):
            observer.seal()


# -- fixtures


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Lab:
    """The lab: `.name`, `.nodes`, `.node("w1")`, `.select("@worker")`."""
    return request.config.stash[RUNNING].lab


@pytest.fixture(scope="session")
def node(lab: Lab) -> Callable[[str], Host]:
    """A node as testinfra knows hosts: `node("w1").run("uname -r")`, `node("m1").file("/etc/hosts")`."""
    from labctl.checks.host import host_of
    from labctl.checks.nodes import node_named

    known: dict[str, Host] = {}

    def find(name: str) -> Host:
        machine = node_named(lab.nodes, name)
        return known.setdefault(machine.name, host_of(machine))

    return find


@pytest.fixture(scope="session")
def managers(lab: Lab) -> list[Host]:
    """The nodes that were made to be managers."""
    return _hosts(lab, manager=True)


@pytest.fixture(scope="session")
def workers(lab: Lab) -> list[Host]:
    """The nodes that were made to be workers."""
    return _hosts(lab, manager=False)


@pytest.fixture
def swarm(lab: Lab) -> Swarm:
    """The swarm as a manager sees it now; see labctl.checks.swarm."""
    from labctl.checks.swarm import Swarm

    return Swarm(lab)


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """What the learner answered: `answer("leader")`; answers "not yet" for a question that has no answer."""
    file: Path | None = request.config.getoption("--labctl-answers")

    def given(question: str) -> str:
        try:
            # Read each time: a learner answers while the checks watch.
            answers = json.loads(file.read_text(encoding="utf-8")) if file else {}
        except (OSError, ValueError):
            answers = {}
        text = answers.get(question)
        if not isinstance(text, str) or not text.strip():
            not_yet(NOT_ANSWERED, question=question)
        return text.strip()

    return given


@pytest.fixture
def observer(request: pytest.FixtureRequest, lab: Lab) -> Observer:
    """The observer that the check's mark describes."""
    return _observer_of(request.node, lab)


@pytest.fixture
def host() -> None:
    """Refused: testinfra's own would be the learner's machine."""
    raise pytest.UsageError('`host` would be the learner\'s own machine: take node("m1")')


def _hosts(lab: Lab, *, manager: bool) -> list[Host]:
    from labctl.checks.host import host_of

    return [host_of(machine) for machine in lab.nodes if machine.is_manager == manager]


def _observers(items: Sequence[pytest.Item], lab: Lab) -> list[Observer]:
    """The observers that the checks are marked with, one for each step."""
    marked = [item for item in items if item.stash[INFO].observer is not None]
    return list({item.stash[INFO].steps: _observer_of(item, lab) for item in marked}.values())


def _observer_of(item: pytest.Item, lab: Lab) -> Observer:
    from labctl.checks.observer import Observer

    info = item.stash[INFO]
    if info.observer is None:
        raise pytest.UsageError("a check with the fixture `observer` needs @pytest.mark.observer(port=...)")
    port, path = info.observer
    urls = [f"http://{machine.address}:{port}{path}" for machine in lab.nodes]
    # Always on the same node, whichever manager leads: the record is there.
    manager = next((machine for machine in lab.nodes if machine.is_manager and machine.is_running), lab.nodes[0])
    return Observer(manager, "-".join([item.path.stem, *info.steps]), urls)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the report."""
    running = config.stash.get(RUNNING, None)
    if running is not None:
        running.close()
