"""Tests that fail: labctl's errors in one block, and what there is to know of the test's stacks."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labctl.pytest_plugin.options import report_dir
from labctl.pytest_plugin.session import FAILED, HAPPENED, goes_with_session
from labctl.pytest_plugin.stacks import STACKS, Stack
from labctl.pytest_plugin.telling import in_words

if TYPE_CHECKING:
    from labctl.errors import LabctlError

__all__ = ["BEGAN", "note_begin", "on_report"]

PACKAGE = Path(__file__).resolve().parents[1]
BEGAN = pytest.StashKey[float]()
LEAVES = "But the lab goes with the session: `pytest --labctl-keep` leaves it up."
NOTHING = "nothing found in stack"  # docker's words where a stack has no task
LAST_LINES = 5  # of each service, in pytest's own report
LONGEST = 100  # letters of a folder's name


def note_begin(item: pytest.Item) -> None:
    """Remember when the test began: what happened before is not about it."""
    item.stash[BEGAN] = time.time()


def on_report(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
    """Look at a phase of a test that is over."""
    if not report.failed:
        return
    item.config.stash[FAILED] = True
    used = {"stack", "module_stack", "lab"} & set(getattr(item, "fixturenames", ()))
    standing: list[Stack] = item.config.stash.get(STACKS, [])
    stacks = [*standing] if used else []
    if (problem := _own_error(item.config, call)) is not None and call.excinfo is not None:
        lab = stacks[-1].lab.name if stacks else None
        told = in_words(problem, lab or _lab_of(item), after=LEAVES * goes_with_session(item.config))
        report.longrepr = _block(item.config, call.excinfo, told, problem.message)
    for stack in stacks:
        report.sections += _sections(item, stack)


def _own_error(config: pytest.Config, call: pytest.CallInfo[Any]) -> LabctlError | None:
    """The error, if it is labctl's, and nobody asked for more of it than that."""
    errors = sys.modules.get("labctl.errors")
    if errors is None or call.excinfo is None or config.getoption("fulltrace"):
        return None
    value = call.excinfo.value
    is_ours = isinstance(value, errors.LabctlError) and config.getoption("tbstyle") in ("auto", "short")
    return value if is_ours else None  # type: ignore[return-value]  # as was just asked


def _lab_of(item: pytest.Item) -> str | None:
    lab = getattr(item, "funcargs", {}).get("lab")
    return getattr(lab, "name", None)


def _block(config: pytest.Config, excinfo: pytest.ExceptionInfo[BaseException], text: str, message: str) -> Any:
    """The error as pytest shows one: its words, and where in the test it came up; labctl's inside is left out."""
    place = _place(config, excinfo)
    shown = f"{text}\n\n{place[0]}:{place[1]}: {place[2]}" if place else text
    told = pytest.ExceptionInfo.from_exc_info(
        (pytest.fail.Exception, pytest.fail.Exception(shown, pytrace=False), excinfo.tb)
    )
    block = told.getrepr(style="value", chain=False)
    if block.reprcrash is not None:  # what the summary's line says
        block.reprcrash.message = message.partition("\n")[0]
        if place:
            block.reprcrash.path, block.reprcrash.lineno = place[0], place[1]
    return block


def _place(config: pytest.Config, excinfo: pytest.ExceptionInfo[BaseException]) -> tuple[str, int, str] | None:
    """The last line that is the test's own, before labctl was called."""
    found = None
    for entry in excinfo.traceback:
        path = Path(str(entry.path))
        if path.is_relative_to(PACKAGE):
            break
        if not {"_pytest", "pluggy"} & set(path.parts):
            found = (
                os.path.relpath(path, config.invocation_params.dir),
                entry.lineno + 1,
                _statement(entry),
            )
    return found


def _statement(entry: Any) -> str:
    """The line that was run; empty where the file is no Python: a document whose code blocks a test runs."""
    try:
        return str(entry.statement).strip().partition("\n")[0]
    except (SyntaxError, ValueError, IndexError):
        return ""


def _sections(item: pytest.Item, stack: Stack) -> list[tuple[str, str]]:
    """What a stack is like, for pytest's report; all of it goes to files where a folder was named."""
    folder = report_dir(item.config)
    lines = [f"warning: {text}" for text in stack.warnings]
    lines += [_asked(stack, "stack", "ps", "--format", "table {{.Name}}\t{{.Node}}\t{{.CurrentState}}\t{{.Error}}")]
    logs = _logs(stack, None if folder else LAST_LINES)
    if folder is not None:
        place = folder / _folder_name(item.nodeid)
        try:
            lines.append(f"all of it is in {_written(item, stack, place, logs)}")
        except OSError as problem:
            lines.append(f"it cannot be written to {place}: {problem}")
    tails = {name: text.splitlines()[-LAST_LINES:] for name, text in logs.items()}
    lines += [f"{name} said:\n" + "\n".join(tail) for name, tail in tails.items() if tail]
    text = "\n".join(line.rstrip() for line in lines if line.strip() and not line.startswith(NOTHING))
    return [(f"labctl: stack {stack.name} on lab {stack.lab.name}", text or "The swarm has nothing of this stack.")]


def _written(item: pytest.Item, stack: Stack, place: Path, logs: dict[str, str]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    texts = {f"{stack.name}-tasks.txt": _asked(stack, "stack", "ps", "--no-trunc")}
    texts |= {f"{name}.log": said for name, said in logs.items()}
    if happened := item.config.stash.get(HAPPENED, None):
        texts["events.txt"] = happened.since(item.stash.get(BEGAN, 0.0))
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8", errors="replace")
    return place


def _logs(stack: Stack, tail: int | None) -> dict[str, str]:
    """What each service of the stack has said, by its name; what cannot be had says why."""
    from labctl import LabctlError

    try:
        names = [service.name for service in stack.lab.swarm(limit=5.0).services(stack=stack.name)]
    except LabctlError:
        return {}
    found = {}
    for name in names:
        try:
            found[name] = stack.lab.service_logs(name, tail=tail)
        except LabctlError as problem:
            found[name] = f"{problem.message}\n"
    return found


def _asked(stack: Stack, *words: str) -> str:
    """What the manager's own docker says of a stack."""
    from labctl import LabctlError

    try:
        result = stack.lab.manager(limit=5.0).run(["docker", *words, stack.name], limit=20.0)
    except LabctlError as problem:
        return problem.message
    return result.stdout if result.ok else result.stderr


def _folder_name(nodeid: str) -> str:
    """A test's id as a folder; one that is cut has a digest, so that no two are one."""
    name = re.sub(r"[^\w.-]+", "-", nodeid).strip("-.")
    if len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{hashlib.sha256(nodeid.encode()).hexdigest()[:8]}"
