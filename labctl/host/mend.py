"""Mending what the doctor found, where it can be: each thing asked for, told, and done by a step of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.engine import Engine
from labctl.errors import LabctlError
from labctl.events import Emit, Noted, Steps, Warned
from labctl.host import apt
from labctl.host.advice import fix_line
from labctl.host.daemon import Launch, start_by_hand, start_by_manager
from labctl.host.decide_kernel import FEATURES
from labctl.host.engine_facts import gather_engine
from labctl.host.examine import examine
from labctl.host.facts import MachineFacts
from labctl.host.limits import raise_limits
from labctl.host.machine_facts import gather_machine, which
from labctl.host.report import Report
from labctl.host.shell import HostShell, Shell
from labctl.words import counted

__all__ = ["Action", "mend", "plan"]

Confirm = Callable[[str], bool]
_MODULES = {feature.id: (feature.module,) for feature in FEATURES} | {"ipvs": ("ip_vs", "ip_vs_rr", "xt_ipvs")}
_PASSES = 3  # an engine that answers at last shows what else there is to mend


@dataclass(frozen=True)
class Action:
    """One thing that can be done. `rows` are the ids of the rows that it mends."""

    step: str
    question: str
    rows: frozenset[str]
    do: Callable[[Shell, Steps], None]


def mend(report: Report, *, confirm: Confirm, emit: Emit, nodes: int = 4, engine: Engine | None = None) -> Report:
    """Do what can be done about the report's rows, and examine again.

    `confirm` is asked before each thing; what it declines is left as it is. What fails is told as a
    Warned event and stays in the report that is returned. An engine that runs is never touched.
    """
    machine = gather_machine()
    if report.fixable and not machine.is_root:
        emit(Warned(f"this needs root: {fix_line(machine)} --nodes {nodes}"))
        return report
    seen: set[str] = set()
    for _ in range(_PASSES):
        actions = [action for action in plan(report, machine, nodes) if not action.rows <= seen]
        if not actions:
            break
        for action in actions:
            seen |= action.rows
        _carry_out(actions, confirm, emit)
        machine, report = gather_machine(), examine(nodes, engine=engine)
    return report


def plan(report: Report, machine: MachineFacts, nodes: int) -> list[Action]:
    """Return what can be done about a report, in the order in which it has to be done."""
    ids = {row.id for row in report.fixable}
    actions = []
    packages = [name for id_, name in (("base-image", "debootstrap"), ("docker-cli", "docker-cli")) if id_ in ids]
    if "engine" in ids and machine.dockerd is None:
        actions.append(_install_engine(packages, ids & {"engine", "base-image", "docker-cli"}))
    elif packages:
        actions.append(_install(packages, ids & {"base-image", "docker-cli"}))
    if "engine" in ids and machine.dockerd is not None:
        actions.append(Action("start the engine", "Start the Docker engine?", frozenset({"engine"}), _start))
    modules = [module for id_, names in _MODULES.items() if id_ in ids for module in names]
    if modules:
        actions.append(_load(modules, ids & set(_MODULES)))
    if limits := ids & {"inotify", "neighbours"}:
        actions.append(_raise(nodes, limits))
    return actions


def _carry_out(actions: list[Action], confirm: Confirm, emit: Emit) -> None:
    steps = Steps(emit, len(actions))
    for action in actions:
        if not confirm(action.question):
            steps.emit(Noted(f"left as it is: {action.step}"))
            continue
        try:
            with steps.step(action.step):
                action.do(HostShell(steps.emit), steps)
        except LabctlError as problem:
            hint = f" {problem.hint}" if problem.hint else ""
            steps.emit(Warned(f"could not {action.step}: {problem.message}.{hint}"))


def _install_engine(packages: list[str], rows: set[str]) -> Action:
    def do(shell: Shell, steps: Steps) -> None:
        _update(shell, steps)
        wanted = dict.fromkeys([*apt.engine_packages(shell), *(name for name in packages if name != "docker-cli")])
        apt.install(shell, list(wanted), note=steps.note)
        _start(shell, steps)

    extra = f" and {', '.join(packages)}" if packages else ""
    return Action(
        "install and start the engine",
        f"Install the Docker engine{extra} from this system's packages (apt-get), and start it?",
        frozenset(rows),
        do,
    )


def _install(packages: list[str], rows: set[str]) -> Action:
    def do(shell: Shell, steps: Steps) -> None:
        _update(shell, steps)
        apt.install(shell, packages, note=steps.note)

    names = " and ".join(packages)
    return Action(f"install {names}", f"Install {names} from this system's packages (apt-get)?", frozenset(rows), do)


def _update(shell: Shell, steps: Steps) -> None:
    if missing := apt.update(shell, note=steps.note):
        steps.emit(Warned(f"not all package lists could be fetched: {missing}"))


def _start(shell: Shell, steps: Steps) -> None:
    """Start the engine, unless its package did so already."""
    if gather_engine(None).answers:
        return
    machine = gather_machine()
    if machine.service_manager is not None:
        start_by_manager(machine.service_manager, shell, note=steps.note)
    else:
        start_by_hand(Launch(which("dockerd") or "dockerd"), steps.emit, note=steps.note)


def _load(modules: list[str], rows: set[str]) -> Action:
    def do(shell: Shell, steps: Steps) -> None:
        result = shell.run(["modprobe", "-a", *modules], limit=30, note=steps.note)
        if not result.ok:
            steps.emit(Warned(f"`{result.shown}` exited {result.code}: {result.stdout.strip()}"))

    names = ", ".join(modules)
    return Action("load kernel modules", f"Load the kernel modules {names}?", frozenset(rows), do)


def _raise(nodes: int, rows: set[str]) -> Action:
    def do(_shell: Shell, steps: Steps) -> None:
        raise_limits(nodes, steps.emit)

    question = f"Raise kernel limits for {counted(nodes, 'node')}, until the next boot (sysctl)?"
    return Action("raise kernel limits", question, frozenset(rows), do)
