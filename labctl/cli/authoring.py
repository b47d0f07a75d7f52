"""exercise test, lint, new: the verbs for those who write exercises."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labctl.cli.common import App, confirm, lab_command
from labctl.cli.exercise_lab import begin, complete_exercises, lab_for, path_option, reported
from labctl.words import counted

__all__ = ["lint", "new", "test"]


@click.command("test")
@click.argument("name", metavar="ID", shell_complete=complete_exercises)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML there.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before what the exercise made is taken away.")
@path_option
@lab_command
def test(app: App, name: str, *, junit: Path | None, yes: bool, folders: tuple[Path, ...]) -> None:
    """Try an exercise: untouched its checks must fail, solved they must pass, solved twice too. For authors and CI.

    \b
    labctl exercise test voting-app
    labctl exercise test ./my-exercise
    """
    from labctl.checks.report import joined
    from labctl.exercise import find_exercise
    from labctl.exercise.verify import Verifier

    with reported(junit, name) as told:
        found = find_exercise(name, folders)
        told.suite = found.id
        lab = lab_for(app, found, ask=True)
        confirm(f"This takes away what {found.id} made in lab {lab.name}. Go on?", yes=yes or not sys.stdin.isatty())
        verifier = Verifier(begin(app, lab, found), app.emit)
        told.report = lambda: joined(verifier.reports)
        verifier.verify()
        click.echo(f"{found.id} keeps the rules: {counted(len(found.steps), 'step')}.", err=True)


@click.command("lint")
@click.argument("folder", type=click.Path(path_type=Path))
def lint(folder: Path) -> None:
    """Read an exercise and hold its steps and checks against each other; no lab is needed.

    Its checks are read as text: nothing of the exercise is run.

    \b
    labctl exercise lint ./my-exercise
    """
    from labctl.exercise import read_exercise
    from labctl.exercise.verify import lint as hold_together

    found = read_exercise(folder, folder / "exercise.md")
    hold_together(found)
    click.echo(f"{found.id}: {counted(len(found.steps), 'step')}, nothing to complain of.", err=True)


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make a small exercise to begin with, in FOLDER; its last part is the id.

    \b
    labctl exercise new ./my-exercise
    """
    from labctl.exercise.template import write_template

    for path in write_template(folder):
        click.echo(str(path))
