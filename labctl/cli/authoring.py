"""exercise test, lint, preview, messages, new: the verbs for those who write exercises."""

from __future__ import annotations

import time
from pathlib import Path

import click

from labctl.cli.common import App, confirm, lab_command
from labctl.cli.exercise_lab import begin, complete_exercises, lab_for, path_option, reported
from labctl.cli.learning import lang_option
from labctl.errors import NotFoundError, SpecError
from labctl.words import counted

__all__ = ["lint", "messages", "new", "preview", "test"]

LOOK = 0.3  # seconds between two looks whether an author has saved a file


@click.command("test")
@click.argument("name", metavar="ID", shell_complete=complete_exercises)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write a JUnit XML report to FILE.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before removing what the exercise created.")
@path_option
@lab_command
def test(app: App, name: str, *, junit: Path | None, yes: bool, folders: tuple[Path, ...]) -> None:
    """Test an exercise: its checks must fail before it is solved, and pass after it is solved once and twice.

    For authors and CI.

    \b
    labctl exercise test voting-app
    labctl exercise test ./my-exercise --yes --junit result.xml
    """
    from labctl.checks.report import joined
    from labctl.exercise import find_exercise
    from labctl.exercise.verify import Verifier

    with reported(junit, name) as told:
        found = find_exercise(name, folders)
        told.suite = found.id
        lab = lab_for(app, found, ask=True)
        confirm(f"This takes away what {found.id} made in lab {lab.name}. Go on?", yes=yes)
        verifier = Verifier(begin(app, lab, found), app.emit)
        told.report = lambda: joined(verifier.reports)
        verifier.verify()
        click.echo(f"{found.id} keeps the rules: {counted(len(found.steps), 'step')}.", err=True)


@click.command("lint")
@click.argument("folder", type=click.Path(path_type=Path))
def lint(folder: Path) -> None:
    """Check that an exercise is complete and consistent. Needs no lab.

    It reads the checks as text and runs nothing.

    \b
    labctl exercise lint ./my-exercise
    """
    from labctl.exercise.reading import read_original
    from labctl.exercise.verify import lint as hold_together

    found = read_original(folder)
    hold_together(found)
    click.echo(f"{found.id}: {counted(len(found.steps), 'step')}, nothing to complain of.", err=True)


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Create a small exercise to start from in FOLDER, whose last part becomes the id.

    \b
    labctl exercise new ./my-exercise
    """
    from labctl.exercise.template import write_template

    for path in write_template(folder):
        click.echo(str(path))


@click.command("messages")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--lang", "language", metavar="CODE", required=True, help="The language, as in exercise.CODE.md.")
def messages(folder: Path, *, language: str) -> None:
    """Write or update exercise.CODE.po, which holds every sentence of the checks for translation.

    It keeps existing translations, reads the checks as text and runs nothing.

    \b
    labctl exercise messages ./my-exercise --lang ko
    """
    from labctl.exercise.reading import read_original
    from labctl.exercise.sentences import update_catalog

    file, left = update_catalog(read_original(folder), language)
    click.echo(f"{file}: {counted(left, 'sentence')} to translate." if left else f"{file}: nothing to translate.")


@click.command("preview")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("step", required=False)
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever a file changes, until Ctrl-C.")
@lang_option
def preview(folder: Path, step: str | None, *, watch: bool) -> None:
    """Show the exercise in FOLDER, or one STEP of it, as a learner sees it. Needs no lab.

    Below each step it shows what learners do not see at first: checks, hints, the solution, hidden blocks. The
    exercise's problems come last.

    \b
    labctl exercise preview ./my-exercise
    labctl exercise preview ./my-exercise 2 --watch --lang ko
    """
    from labctl.exercise.preview import stamp

    seen = stamp(folder)
    is_well = _previewed(folder, step)
    while watch:
        time.sleep(LOOK)
        if seen != (now := stamp(folder)):
            seen = now
            click.clear()
            _previewed(folder, step)
    if not is_well:
        click.get_current_context().exit(1)


def _previewed(folder: Path, step: str | None) -> bool:
    """Show it, as far as it can be read; whether nothing is wrong with it."""
    from labctl.cli.guide import show_text
    from labctl.exercise import read_exercise
    from labctl.exercise.preview import preview as pages
    from labctl.exercise.preview import problems_of

    problems = problems_of(folder)
    try:
        exercise = read_exercise(folder)
        chosen = exercise.step(step) if step else None
        for page in pages(exercise, chosen):
            show_text(page)
    except SpecError as unreadable:
        problems = problems or unreadable.message.splitlines()
    except NotFoundError as missing:
        problems = [missing.message]
    for problem in problems:
        click.echo(problem, err=True)
    return not problems
