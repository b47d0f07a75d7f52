"""exercise: list, start, check, answer, hint, solve, watch, reset; test, lint and new for authors."""

from __future__ import annotations

import os
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from labctl.cli import authoring
from labctl.cli.common import App, confirm, lab_command, output_option, print_json, table
from labctl.cli.exercise_lab import (
    Reported,
    begin,
    complete_exercises,
    found_exercise,
    ids_like,
    lab_for,
    last_session,
    path_option,
    reported,
    which_option,
)
from labctl.cli.hints import lesson_with_lab
from labctl.cli.learning import answer, lang_option, offer_what_comes_before, watch
from labctl.cli.reports import print_report, print_steps
from labctl.errors import UsageError
from labctl.events import Steps
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.checks.report import CheckReport
    from labctl.exercise.catalogue import Entry
    from labctl.exercise.model import Exercise, Step
    from labctl.exercise.session import Session
    from labctl.lab import Lab

__all__ = ["exercise"]


class ExerciseGroup(click.Group):
    """What is no verb is the id of an exercise to start: `labctl exercise voting-app`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, with `start` in the place of a verb that is not there."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "start", self.commands["start"], args
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs, and the exercises that can be started by their names alone."""
        named = [CompletionItem(name) for name in ids_like(incomplete)]
        return [*super().shell_complete(ctx, incomplete), *named]


@click.group("exercise", cls=ExerciseGroup)
def exercise() -> None:
    """Do an exercise, or list, check and test exercises.

    \b
    labctl exercise list
    labctl exercise voting-app            do it, step by step
    labctl exercise voting-app --auto     let labctl solve and check it
    """


@exercise.command("list")
@path_option
@lang_option
@output_option
@lab_command
def list_(app: App, folders: tuple[Path, ...], output: str) -> None:
    """List the exercises in the recommended order, with your progress.

    \b
    labctl exercise list
    labctl exercise list --path my-exercises
    """
    from labctl.exercise.catalogue import entries, in_order

    rows = [_row(entry) for entry in in_order(entries(folders))]
    _warn_of_empty(app, folders)
    if output == "json":
        print_json(rows)
        return
    for track, inside in groupby(rows, key=lambda row: row["track"]):
        click.echo(f"{str(track).replace('-', ' ').capitalize()}")
        cells = [(r["id"], r["title"], r["level"], f"{r['minutes']} min", _told_done(r)) for r in inside]
        table(("  ID", "TITLE", "LEVEL", "TIME", "DONE"), [(f"  {row[0]}", *row[1:]) for row in cells])
        click.echo()


def _row(entry: Entry) -> dict[str, Any]:
    """What is listed of an exercise; `done` counts the steps that this user has ever done."""
    from labctl.exercise.progress import done_ever

    front = entry.exercise.front if entry.exercise else None
    steps = [step.id for step in entry.exercise.steps] if entry.exercise else []
    done = done_ever(entry.id)
    return {
        "id": entry.id,
        "track": front.track if front else "own",
        "title": front.title if front else entry.problem,
        "summary": front.summary if front else "",
        "level": front.level if front else "broken",
        "minutes": front.minutes if front else 0,
        "needs": list(front.needs) if front else [],
        "steps": len(steps),
        "done": sum(step in done for step in steps),
        "folder": str(entry.folder),
    }


def _told_done(row: dict[str, Any]) -> str:
    return "done" if row["steps"] and row["done"] == row["steps"] else f"{row['done']} of {row['steps']}"


def _warn_of_empty(app: App, folders: tuple[Path, ...]) -> None:
    from labctl.events import Warned
    from labctl.exercise.catalogue import holds_exercises

    for folder in folders:
        if not holds_exercises(folder):
            app.emit(Warned(f"{folder} holds no exercise"))


@exercise.command("start")
@click.argument("name", metavar="ID", shell_complete=complete_exercises)
@click.option("--auto", is_flag=True, help="Run the solution of each step and check it.")
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), help="With --auto, write a JUnit XML report to FILE."
)
@click.option("--plain", is_flag=True, help="Print the step and exit; no keys, no screen.")
@path_option
@lang_option
@output_option
@lab_command
def start(app: App, name: str, folders: tuple[Path, ...], output: str, **how: Any) -> int:
    """Start an exercise, or continue it.

    With --auto, labctl solves what is not done and checks every step. It exits with 1 if a check fails, 3 if the
    lab is broken.

    \b
    labctl exercise voting-app
    labctl exercise voting-app --auto --junit report.xml
    """
    if how["junit"] and not how["auto"]:
        raise UsageError("--junit tells of checks, and only --auto runs them all", hint="Add --auto.")
    if how["auto"]:
        with reported(how["junit"], name) as told:
            found = found_exercise(name, folders, exercise.commands)
            told.suite = found.id
            return _auto(app, lab_for(app, found, ask=False), found, told, output)
    found = found_exercise(name, folders, exercise.commands)
    offer_what_comes_before(found)
    lab = lab_for(app, found, ask=True)
    session = begin(app, lab, found)
    if sys.stdin.isatty() and sys.stdout.isatty() and not how["plain"]:
        from labctl.cli.guide import TerminalScreen
        from labctl.exercise.watch import Watch

        with TerminalScreen(session.stage.lab) as screen:
            code = Watch(session, screen).run()
        if not session.is_finished:
            click.echo(lesson_with_lab(f"Your place is kept: `labctl exercise {name}` goes on."), err=True)
        return code
    session.set_up(session.current)
    _print_step(session, session.current)
    return 0


def _auto(app: App, lab: Lab, found: Exercise, told: Reported, output: str) -> int:
    from labctl.exercise.play import Player

    session = begin(app, lab, found)
    player = Player(session.stage, app.emit, seen=set(session.progress.done))
    told.report = lambda: player.report
    try:
        player.play()
    finally:
        report = player.report
        if report.results:
            session.note_all(report, is_learner=False)
        if output == "json":
            print_json(_as_json(session, player.played, player.seconds, report))
    if output != "json":
        for name, url in session.stage.urls.items():
            click.echo(f"{name:<10} {url}")
        done = len(found.steps)
        click.echo(
            f"{found.id}: {done} of {counted(done, 'step')} done, {counted(len(report.results), 'check')} passed.",
            err=True,
        )
    return 0


def _as_json(session: Session, played: list[str], seconds: dict[str, float], report: CheckReport) -> dict[str, object]:
    return {
        "exercise": session.exercise.id,
        "lab": session.stage.lab.name,
        "outcome": report.outcome,
        "urls": dict(session.stage.urls),
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                "played": step.id in played,
                "took": round(seconds.get(step.id, 0.0), 1),
                **report.of_step(step.id).to_dict(),
            }
            for step in session.exercise.steps
        ],
    }


@exercise.command("check")
@click.argument("step", required=False)
@click.option("--all", "everything", is_flag=True, help="Check every step, not only the current one.")
@which_option
@path_option
@output_option
@lab_command
def check(
    app: App, step: str | None, *, everything: bool, name: str | None, folders: tuple[Path, ...], output: str
) -> int:
    """Check the current step, or STEP (its id or number). Exits with 0 if it is done, 1 if not, 3 if the lab is broken.

    If STEP is the folder of an exercise, it is that exercise's current step.

    \b
    labctl exercise check
    labctl exercise check deploy -o json
    """
    from labctl.exercise.checking import check_all

    if everything and step and not _is_path(step):
        raise UsageError(f"{step} is one step, and --all means every one", hint="Leave one of them out.")
    session, chosen = _session_at(app, step, name, folders)
    if everything:
        report = check_all(session.stage)
        session.note_all(report)
    else:
        report = session.check(chosen)
    if output == "json":
        print_json(_as_json(session, [], {}, report) if everything else {"step": chosen.id, **report.to_dict()})
    elif everything:
        print_steps(session.exercise, report)
    else:
        print_report(report)
    if report.is_done and not everything and chosen == session.current:
        _go_on(session)
    return 0 if report.is_done else 3 if report.outcome == "broken" else 1


def _is_path(word: str) -> bool:
    """Whether a word is plainly a folder's path, and no step."""
    return "/" in word or os.sep in word or word.startswith(".")


def _session_at(app: App, word: str | None, name: str | None, folders: tuple[Path, ...] = ()) -> tuple[Session, Step]:
    """The exercise and the step of it that STEP and -x mean; STEP may be the folder of an exercise, too."""
    from labctl.exercise.catalogue import is_exercise

    if word is None or not _is_path(word):
        try:
            session = last_session(app, name, folders)
            return session, session.exercise.step(word) if word else session.current
        except UsageError:
            if word is None or name is not None or not is_exercise(Path(word)):
                raise
    if name is not None:
        raise UsageError(f"{word} and -x {name}: which of them is meant?")
    session = last_session(app, word, folders)
    return session, session.current


def _go_on(session: Session) -> None:
    following = session.following()
    if following is None or session.is_finished:
        click.echo("All steps are done.", err=True)
        return
    session.go_to(following)
    session.set_up(following)
    how = lesson_with_lab(f"`labctl exercise {session.exercise.id}` shows it.")
    click.echo(f"Step done. Next: {following.title}; {how}", err=True)


def _print_step(session: Session, step: Step) -> None:
    found, number = session.exercise, session.exercise.number(step)
    if number == 1 and found.intro:
        click.echo(f"{lesson_with_lab(session.stage.fill(found.intro))}\n")
    click.echo(f"## {number} of {len(found.steps)}: {step.title}\n")
    click.echo(lesson_with_lab(session.stage.fill(step.text)))
    click.echo(lesson_with_lab("\n`labctl exercise check` checks the step, `hint` and `solve` help."), err=True)


@exercise.command("hint")
@click.argument("step", required=False)
@which_option
@lang_option
@lab_command
def hint(app: App, step: str | None, name: str | None) -> None:
    """Show the next hint for the current step, for STEP, or for the exercise in that folder.

    \b
    labctl exercise hint
    """
    session, chosen = _session_at(app, step, name)
    found = session.next_hint(chosen)
    if found is None:
        how = lesson_with_lab("`labctl exercise solve --show` shows what solves it.")
        click.echo(f"{chosen.title} has no hints; {how}")
        return
    click.echo(lesson_with_lab(f"Hint {found.number} of {found.total}: {found.text}"))


@exercise.command("solve")
@click.argument("step", required=False)
@click.option("--show", is_flag=True, help="Only show the solution.")
@which_option
@lang_option
@lab_command
def solve(app: App, step: str | None, *, show: bool, name: str | None) -> int:
    """Solve the current step, or STEP: show and run each command, then check the step.

    If STEP is the folder of an exercise, it is that exercise's current step.

    \b
    labctl exercise solve
    labctl exercise solve deploy --show
    """
    from labctl.exercise.play import Player

    session, chosen = _session_at(app, step, name)
    if show:
        for fence in chosen.played:
            click.echo(f"# on {fence.node}\n{lesson_with_lab(session.stage.fill(fence.code))}")
        return 0
    player = Player(begin(app, session.stage.lab, session.exercise).stage, app.emit, seen=set(session.progress.done))
    player.solve(chosen)
    session.note(chosen, player.report)
    if chosen == session.current:
        _go_on(session)
    return 0


@exercise.command("reset")
@click.argument("which", metavar="[ID]", required=False, shell_complete=complete_exercises)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@which_option
@path_option
@lab_command
def reset(app: App, which: str | None, *, yes: bool, name: str | None, folders: tuple[Path, ...]) -> None:
    """Remove what the exercise created in the lab, with your steps and answers, and start it again.

    ID is an exercise's name or its folder (default: the last one you started).

    \b
    labctl exercise reset
    labctl exercise reset ./my-exercise
    """
    if which and name and which != name:
        raise UsageError(f"{which} and -x {name}: which of them is meant?")
    session = last_session(app, which or name, folders)
    id_, lab = session.exercise.id, session.stage.lab.name
    confirm(f"Take away all that {id_} made in lab {lab}, and forget your steps and answers there?", yes=yes)
    with Steps(app.emit, total=1).step("Taking away what the exercise made"):
        session.reset()
    click.echo(
        lesson_with_lab(f"What {id_} made in lab {lab} is gone. `labctl exercise {id_}` starts it again."), err=True
    )


for verb in (answer, watch, authoring.test, authoring.lint, authoring.messages, authoring.new, authoring.preview):
    exercise.add_command(verb)
