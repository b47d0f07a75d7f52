"""What the exercise verbs share: which exercise is meant, on which lab, and that lab made ready."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, confirm
from labctl.errors import HostError, LabctlError, NotFoundError, SeveralErrors, UsageError
from labctl.files import is_special, written_whole

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.checks.report import CheckReport
    from labctl.exercise.model import Exercise
    from labctl.exercise.session import Session
    from labctl.lab import Lab

__all__ = [
    "Reported",
    "begin",
    "complete_exercises",
    "found_exercise",
    "ids_like",
    "lab_for",
    "last_session",
    "path_option",
    "reported",
    "which_option",
]


def complete_exercises(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of exercises, for the shell."""
    return ids_like(incomplete)


def ids_like(incomplete: str) -> list[str]:
    """The exercises whose ids begin like that."""
    from labctl.exercise.catalogue import entries

    return [entry.id for entry in entries() if entry.id.startswith(incomplete)]


path_option = click.option(
    "--path",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder with an exercise or several, in addition to labctl's own.",
)
which_option = click.option(
    "-x",
    "--exercise",
    "name",
    metavar="ID",
    shell_complete=complete_exercises,
    help="The exercise's name or folder (default: the last one you started).",
)


def found_exercise(name: str, folders: tuple[Path, ...], verbs: Iterable[str] = ()) -> Exercise:
    """The exercise of that name; a verb that was mistyped gets the nearest verb."""
    import difflib

    from labctl.exercise import find_exercise

    try:
        return find_exercise(name, folders)
    except NotFoundError as missing:
        near = difflib.get_close_matches(name, list(verbs), n=1)
        if near and missing.nearest is None:
            raise UsageError(f"no exercise and no verb named {name!r}: did you mean `{near[0]}`?") from None
        raise


def lab_for(app: App, found: Exercise, *, ask: bool) -> Lab:
    """The lab, if it is fit for the exercise; on a terminal one is offered where it is not. Raises UsageError."""
    from labctl.exercise.stage import lacking, lacks_registry, suggested_up, way_to_fit

    lab: Lab | None = None
    try:
        lab = app.lab()
        missing = lacking(lab, found)
    except NotFoundError as nothing:
        missing = _no_lab(app, nothing)
    if lab is not None and not missing:
        return lab
    # Nodes that were named one by one, a swarm of the other kind and a lab to make anew are not labctl's to decide on.
    can_be_made = lab is None or not (
        lacks_registry(lab, found) or lab.spec.nodes or lab.spec.swarm != found.front.lab.swarm
    )
    if not (ask and can_be_made and sys.stdin.isatty()):
        raise UsageError(missing, hint=f"{way_to_fit(lab, found, app.lab_name)} makes what it needs.")
    said = missing if missing.startswith(found.id) else f"{missing[0].upper()}{missing[1:]}"
    # Nothing is taken away by it: Enter says yes, as to the question whether to begin.
    confirm(f"{said}.\nMake it now, with `{suggested_up(found, app.lab_name)}`?", yes=False, default=True)
    return _made(app, lab, found)


def _no_lab(app: App, nothing: NotFoundError) -> str:
    """That there is no such lab; a lab with nearly that name is told, and is no reason not to make this one."""
    if app.lab_name is None:
        return "there is no lab yet"
    near = f" (there is {nothing.nearest})" if nothing.nearest is not None else ""
    return f"there is no lab named {app.lab_name}{near}"


def _made(app: App, lab: Lab | None, found: Exercise) -> Lab:
    from labctl.lab.up import grow
    from labctl.spec import LabSpec, read_mapping

    needs = found.front.lab
    name = lab.name if lab is not None else app.lab_name or "lab"

    def large_enough(record: LabRecord | None) -> LabSpec:
        spec = record.spec if record is not None else None
        spec = spec or read_mapping({"name": name, "swarm": needs.swarm, "managers": 1, "workers": 0})
        size = {"managers": needs.managers, "workers": needs.workers + needs.spare}
        return replace(spec, **{key: max(count, getattr(spec, key)) for key, count in size.items()})

    grow(app.context, name, large_enough)
    return app.lab()


def begin(app: App, lab: Lab, found: Exercise) -> Session:
    """Make the lab ready for the exercise, as a step of its own."""
    from labctl.events import Steps, Warned
    from labctl.exercise.session import Session

    steps = Steps(app.emit, total=1)
    with steps.step("Making the lab ready"):
        session = Session.begin(lab, found, steps.emit, steps.note)
        steps.note("")
    if found.stale:
        app.emit(Warned(f"the translation lags behind: this is the English text ({found.stale})"))
    return session


@dataclass
class Reported:
    """What a JUnit file is to tell: the name of the whole, and what is known when it is written."""

    suite: str
    report: Callable[[], CheckReport] | None = None


@contextlib.contextmanager
def reported(path: Path | None, name: str) -> Iterator[Reported]:
    """Write a JUnit file when the block ends, however it ends: for CI, what was not tested is not clean.

    What ended the block stands there as an error, unless a check that failed tells of it. Raises UsageError when the
    file cannot be written, before anything is played; where it turns out at the end, that is told behind what the
    block has to say.
    """
    told = Reported(name)
    if path is None:
        yield told
        return
    _check_junit(path)
    try:
        yield told
    except BaseException as end:
        try:
            _write_junit(path, told, end)
        except HostError as problem:
            if isinstance(end, LabctlError):
                raise SeveralErrors([end, problem]) from end
            click.echo(f"labctl: {problem.message}", err=True)
        raise
    _write_junit(path, told, None)


def _check_junit(path: Path) -> None:
    folder = path.absolute().parent
    if path.is_dir():
        problem = "Is a directory"
    elif is_special(path):
        problem = "Is a pipe, a socket or a device"
    elif not folder.is_dir():
        problem = "No such file or directory"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        problem = "Permission denied"
    else:
        return
    raise UsageError(f"cannot write {path}: {problem}", hint="--junit takes a file's path.")


def _write_junit(path: Path, told: Reported, end: BaseException | None) -> None:
    from labctl.checks.junit import junit_xml
    from labctl.checks.report import CheckReport, CheckResult

    report = told.report() if told.report is not None else CheckReport(())
    is_told = isinstance(end, LabctlError) and report.first is not None
    if not is_told and (end is not None or not report.results):
        why = _reason(end) if end is not None else "no check was run"
        error = CheckResult("", "the-test", "The exercise can be tested", "broken", why)
        report = replace(report, results=(*report.results, error))
    try:
        with written_whole(path) as file:
            file.write(junit_xml(report, suite=told.suite).encode())
    except OSError as problem:
        raise HostError(f"cannot write {path}: {problem.strerror}") from problem


def _reason(end: BaseException) -> str:
    """Why the block ended, in words; a question that was being asked makes click's Abort of a signal, too."""
    by = end.__context__ if isinstance(end, click.Abort) and isinstance(end.__context__, KeyboardInterrupt) else end
    if isinstance(by, KeyboardInterrupt | click.Abort):
        return str(by) or "interrupted"
    return by.message if isinstance(by, LabctlError) else f"{type(by).__name__}: {by}"


def last_session(app: App, name: str | None, folders: tuple[Path, ...] = ()) -> Session:
    """The exercise of that name, or the last one begun, on its lab. Raises UsageError when none was begun."""
    from labctl.exercise import read_exercise
    from labctl.exercise.progress import last_begun
    from labctl.exercise.session import Session

    try:
        lab = app.lab()
    except NotFoundError as nothing:
        which = f" -l {app.lab_name}" if app.lab_name else ""
        told = f"{_no_lab(app, nothing)}, so no exercise was begun in it"
        begin_one = f"labctl exercise {name}{which}" if name else f"labctl exercise voting-app{which}"
        raise UsageError(told, hint=f"`{begin_one}` begins one there, and offers to make the lab.") from None
    folder = last_begun(lab.name)
    if name is not None:
        found = _named(lab.name, name, folders)
    elif folder is not None and folder.is_dir():
        found = read_exercise(folder)
    else:
        raise UsageError("no exercise was begun in this lab", hint="`labctl exercise list` shows what there is.")
    return Session.resume(lab, found, app.emit)


def _named(lab: str, name: str, folders: tuple[Path, ...]) -> Exercise:
    """The exercise of that name; one that is known nowhere else is read from where it was begun in the lab."""
    from labctl.exercise import read_exercise
    from labctl.exercise.catalogue import is_exercise
    from labctl.exercise.progress import begun_in

    try:
        return found_exercise(name, folders)
    except NotFoundError:
        begun = begun_in(lab, name)
        if begun is None:
            raise
        if not is_exercise(begun):
            gone = f"the exercise {name} was begun from {begun}, and is not there any more"
            raise UsageError(gone, hint="-x FOLDER says where it is now.") from None
        return read_exercise(begun)
