"""exercise answer and watch; which exercise comes next; in which language."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from labctl.cli.common import App, lab_command, output_option
from labctl.cli.exercise_lab import complete_exercises, last_session, path_option, which_option
from labctl.cli.hints import lesson_with_lab
from labctl.cli.reports import print_results
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.exercise.model import Exercise
    from labctl.exercise.telling import RunEvent

__all__ = ["answer", "exercise_to_do", "lang_option", "offer_what_comes_before", "watch"]

F = TypeVar("F", bound=Callable[..., Any])


def _choose(_context: click.Context, _parameter: click.Parameter, code: str | None) -> None:
    from labctl.exercise import language

    if code is not None and not language.CODE.fullmatch(code):
        raise UsageError(f"{code!r} is no language: two letters, as in en or ko")
    language.set_chosen(code)


def _complete_languages(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labctl.assets import asset
    from labctl.exercise.language import languages_of

    folders = [folder for folder in asset("exercises").iterdir() if folder.is_dir()]
    codes = sorted({code for folder in folders for code in languages_of(folder)})
    return [CompletionItem(code) for code in codes if code.startswith(incomplete)]


def lang_option(function: F) -> F:
    """--lang: in which language an exercise is shown."""
    return click.option(
        "--lang",
        envvar="LABCTL_LANG",
        metavar="CODE",
        expose_value=False,
        callback=_choose,
        shell_complete=_complete_languages,
        help="The language to read it in: en, ko. (default: the locale's)",
    )(function)


@click.command("answer")
@click.argument("words", nargs=-1, required=True, metavar="[QUESTION] ANSWER")
@which_option
@path_option
@lab_command
def answer(app: App, words: tuple[str, ...], *, name: str | None, folders: tuple[Path, ...]) -> int:
    """Answer a question of the current step. Exits with 0 if the answer is right, else with 1.

    QUESTION is the question's id. You can omit it if the step has only one question.

    \b
    labctl exercise answer leader manager1
    """
    from labctl.checks.report import SIGNS

    session = last_session(app, name, folders)
    asked = [question.id for question in session.current.questions]
    if not asked:
        raise UsageError(f"the step {session.current.id} asks no question")
    if words[0] in asked and len(words) == 1:
        click.echo(lesson_with_lab(session.stage.fill(session.current.question(words[0]).shown())))
        raise UsageError("an answer is missing", hint=f"`labctl exercise answer {words[0]} ANSWER`")
    if words[0] in asked:
        question, text = words[0], " ".join(words[1:])
    elif len(asked) == 1:
        question, text = asked[0], " ".join(words)
    else:
        raise UsageError(
            f"which question does that answer? The step {session.current.id} asks {', '.join(asked)}",
            hint=f"`labctl exercise answer {asked[0]} ...`",
        )
    worth = session.answer(session.current, question, text)
    if not session.current.question(question).is_judged_here:
        report = session.check(session.current)
        first = report.first
        click.echo(lesson_with_lab(f"{SIGNS[first.outcome]} {first.sentence()}") if first is not None else worth.told)
        return 0 if first is None else 1
    click.echo(worth.told)
    return 0 if worth.is_right else 1


@click.command("watch")
@click.argument("which", metavar="[ID]", required=False, shell_complete=complete_exercises)
@path_option
@lang_option
@output_option
@lab_command
def watch(app: App, which: str | None, *, folders: tuple[Path, ...], output: str) -> int:
    """Follow an exercise that you started: print each change of its checks, until all is done or Ctrl-C.

    With -o json, each event is a line of JSON, for a page or an editor. It does not move your place in the
    exercise: that is for `labctl exercise ID` and its keys.

    \b
    labctl exercise watch
    labctl exercise watch voting-app -o json
    """
    from labctl.exercise.run import Run
    from labctl.exercise.telling import Finished

    run = Run(last_session(app, which, folders))
    following, ending = run.follow(), False
    try:
        run.start()
        for event in following:
            _print_event(event, output)
            if isinstance(event, Finished):
                break
            if not ending and run.session.is_finished and run.is_done and run.session.following() is None:
                ending = True
                run.finish()
    finally:
        run.close()
    return 0


def _print_event(event: RunEvent, output: str) -> None:
    import json

    from labctl.exercise.telling import Checked, Finished, StepDone, StepShown, Trouble, as_json

    if output == "json":
        click.echo(json.dumps(as_json(event), ensure_ascii=False))
        sys.stdout.flush()
        return
    match event:
        case StepShown():
            click.echo(f"{event.number} of {event.total}: {event.title}")
        case Checked():
            print_results(event.results, indent="  ")
            for line in event.failure:
                click.echo(f"  {lesson_with_lab(line)}")
        case StepDone():
            click.echo("  Done.")
        case Trouble():
            click.echo(f"  {event.message}", err=True)
        case Finished():
            click.echo("All steps are done.")
        case _:
            pass
    sys.stdout.flush()


def exercise_to_do(app: App) -> str | None:
    """The exercise that was begun last in the lab and is not finished, else the first that the user has not done.

    The latter is offered and not just begun; None where the user does not want it, or has done them all.
    """
    begun = _begun(app)
    if begun is not None:
        return begun
    from labctl.exercise.catalogue import entries, first_to_do

    entry = first_to_do(entries())
    if entry is None or entry.exercise is None:
        click.echo("You have done every exercise. `labctl exercise list` shows them, `labctl --help` all else.")
        return None
    front = entry.exercise.front
    click.echo(f"{front.title}: {front.summary} (about {front.minutes} minutes).")
    click.echo("`labctl exercise list` shows the others, `labctl --help` all that labctl does.\n")
    return entry.id if click.confirm(f"Begin {entry.id}?", default=True) else None


def _begun(app: App) -> str | None:
    from labctl.errors import LabctlError
    from labctl.exercise.session import Session

    try:
        session: Session = last_session(app, None)
    except LabctlError:
        return None
    return None if session.is_finished else str(session.exercise.folder)


def offer_what_comes_before(found: Exercise) -> None:
    """Say which exercises this one builds on that the user has not done."""
    from labctl.exercise.progress import done_ever

    left = [name for name in found.front.needs if not done_ever(name)]
    if left:
        offers = " and ".join(f"`labctl exercise {name}`" for name in left)
        click.echo(lesson_with_lab(f"{found.id} builds on what you have not done yet: {offers}."), err=True)
