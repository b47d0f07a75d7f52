"""The command `labctl`: finds the command's module when it is asked for, and turns errors into words and exit codes.

Exit codes: 0 good; 1 not there yet; 2 usage or a bad spec; 3 the lab or the host is broken; 130 interrupted;
143 and 129 ended by SIGTERM and by SIGHUP.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from labctl import __version__
from labctl.cli.commands import COMMANDS, SECTIONS
from labctl.cli.common import PROGRESS, App, complete_labs, is_ambient, owes_json, print_json
from labctl.cli.hints import named_lab, with_lab
from labctl.cli.signals import Ended, watch_signals
from labctl.cli.streams import safe_streams, typed
from labctl.errors import LabctlError, OutputFailed

__all__ = ["cli", "main"]

FOR_SHELLS = ("env", "config")  # `eval "$(labctl env)"`, `docker $(labctl config) ps`
# As click says it: a word that may be the name of a lab.
EXTRA = re.compile(r"unexpected extra argument \(([a-z][a-z0-9-]*)\)")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# pydantic looks through every installed package for plugins when it is imported; labctl uses none, and a
# command that only lists something would wait for that longer than for its answer.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

SETTINGS = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LABCTL", "max_content_width": 100}


class LazyGroup(click.Group):
    """Imports a command's module only when the command is used or its own help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, line = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"labctl.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        command.short_help = line
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, without importing one of them."""
        named = ((name, line) for name, (_, _, line) in COMMANDS.items() if name.startswith(incomplete))
        found = [CompletionItem(name, help=line) for name, line in named]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, and the nearest command is offered for one that is not there."""
        import difflib

        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, list(COMMANDS), n=1)
            told = f"did you mean `labctl {near[0]}`?" if near else "`labctl --help` lists what there is"
            ctx.fail(f"there is no command {name!r}: {told}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing one of them."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][2]) for name in names])


@click.group(cls=LazyGroup, context_settings=SETTINGS, invoke_without_command=True)
@click.version_option(__version__, "-V", "--version", prog_name="labctl", message="%(prog)s version %(version)s")
@click.option(
    "-l",
    "--lab",
    "lab_name",
    envvar="LABCTL_LAB",
    metavar="NAME",
    shell_complete=complete_labs,
    help="The lab to use.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show each command as a person would type it.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default="auto",
    show_default=True,
    help="How to show progress on stderr. You can put it after the command, too. Warnings are always shown.",
)
@click.pass_context
def cli(ctx: click.Context, lab_name: str | None, verbose: bool, progress: str) -> None:
    """Run a real multi-node Docker Swarm on this machine, with exercises that check your work.

    \b
    labctl up --nodes 4          one manager and three workers, as containers
    labctl exercise voting-app   a guided tutorial on it
    labctl down                  remove everything

    Without a command, it continues your last exercise, or offers the first one.
    """
    ctx.obj = App(lab_name, verbose, progress, lab_is_ambient=is_ambient("lab_name"))
    if ctx.invoked_subcommand is None:
        _go_on_learning(ctx)


def _go_on_learning(ctx: click.Context) -> None:
    """What `labctl` alone does: on a terminal the exercise that was begun last, or the first; else its help."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(ctx.get_help())
        ctx.exit(2)
    from labctl.cli.exercise import start
    from labctl.cli.learning import exercise_to_do

    name = exercise_to_do(ctx.obj)
    if name is not None:
        ctx.exit(ctx.invoke(start, name=name, folders=(), output="table", auto=False, junit=None, plain=False))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code. The only place where an error becomes words."""
    watch_signals()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    with safe_streams():
        contexts: list[click.Context] = []
        code = _run(arguments, contexts)
        if code:
            _stop_reader(contexts[0].invoked_subcommand if contexts else None, arguments)
        return code


def _stop_reader(command: str | None, arguments: list[str]) -> None:
    """What `env` and `config` print is run by a shell; without a word of it, what follows would be for the host."""
    if command is None:  # the command's own options were not reached
        command = next((word for word in arguments if word in FOR_SHELLS), "")
    if command not in FOR_SHELLS or sys.stdout.isatty():
        return
    from labctl.cli.shells import line_that_fails

    with contextlib.suppress(OSError, ValueError):
        click.echo(line_that_fails(arguments) if command == "env" else "--labctl-config-failed")


def _run(arguments: list[str], contexts: list[click.Context]) -> int:
    """Run a command and tell what went wrong; its context is added to `contexts`, for what comes after it."""
    if "_LABCTL_COMPLETE" in os.environ:
        cli.main(arguments, prog_name="labctl")
    context: click.Context | None = None
    try:
        # Not click's own main(), which makes an error of a closed pipe and leaves no word in it to us.
        with cli.make_context("labctl", list(arguments)) as context:
            contexts.append(context)
            result = cli.invoke(context)
    except LabctlError as error:
        return _tell(error, named_lab(context), as_json=owes_json(context))
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return _tell_usage(error)
    except (KeyboardInterrupt, EOFError, click.Abort) as end:
        return _tell_end(end)
    except OSError as problem:
        return _tell_system(problem, named_lab(context))
    except Exception as bug:  # noqa: BLE001  the boundary: whatever is left is a bug, and is told as one
        return _tell_bug(bug, named_lab(context))
    return result if isinstance(result, int) else 0


def _tell_system(problem: OSError, lab: str | None) -> int:
    """Tell apart an output that takes no more, a disk that is full, and what is a bug of ours."""
    if isinstance(problem, (BrokenPipeError, OutputFailed)):
        # Nothing shall try to write the rest when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(problem, BrokenPipeError):
            return 0  # the reader of a pipe has seen enough (`labctl ls | head -1`)
        with contextlib.suppress(OSError):  # it may be stderr itself
            click.echo(f"labctl: the output cannot be written: {problem.strerror}", err=True)
        return 3
    if problem.errno not in FULL:
        return _tell_own_folder(problem) or _tell_bug(problem, lab)
    click.echo(f"labctl: {_full_disk(problem)}: {problem.strerror}", err=True)
    click.echo("  -> Free some space on that disk, and run the command again.", err=True)
    return 3


def _tell_own_folder(problem: OSError) -> int:
    """Tell of a file or folder in labctl's own folder that the user may not read or write; 0 where it is none."""
    from labctl.state import state_dir

    try:
        folder = state_dir()
    except LabctlError:
        return 0
    if not isinstance(problem.filename, (str, bytes)) or folder not in Path(os.fsdecode(problem.filename)).parents:
        return 0
    click.echo(f"labctl: {os.fsdecode(problem.filename)}: {problem.strerror}", err=True)
    click.echo(
        f"  -> labctl keeps its files in {folder}: see that you may read and write there, "
        "or let LABCTL_STATE name another folder.",
        err=True,
    )
    return 3


def _full_disk(problem: OSError) -> str:
    """What could not be written, by its path where the system says it: else it is most likely the state folder."""
    if problem.filename:
        return f"{os.fsdecode(problem.filename)} cannot be written"
    from labctl.state import state_dir

    try:
        return f"a file cannot be written, most likely in labctl's folder {state_dir()}"
    except (LabctlError, OSError):
        return "a file cannot be written"


def _tell_usage(error: click.ClickException) -> int:
    """Tell of a word that a command does not know, in labctl's form instead of click's three lines."""
    said = " ".join(error.format_message().split())  # click lists the words that an argument may be in a line each
    click.echo(f"labctl: {typed(said)}", err=True)
    context = getattr(error, "ctx", None)
    if context is not None:
        named = EXTRA.search(said)
        if named and any("--lab" in option.opts for option in context.command.params):
            click.echo(f"  -> `{context.command_path} -l {named[1]}` if that is the name of a lab.", err=True)
        click.echo(f"  -> `{context.command_path} --help` shows what it takes.", err=True)
    return 2


def _tell(error: LabctlError, lab: str | None, *, as_json: bool) -> int:
    """Tell an error on stderr, and on stdout as JSON too where that was asked for and is still owed."""
    message, hint = (typed(with_lab(text, lab)) for text in (error.message, error.hint or ""))
    click.echo(f"labctl: {message}", err=True)
    if hint:
        click.echo(f"  -> {hint}", err=True)
    if as_json:
        try:
            print_json({"error": message, "hint": hint, "exit_code": error.exit_code})
        except OSError as problem:
            return _tell_system(problem, lab) or error.exit_code
    return error.exit_code


def _tell_end(end: BaseException) -> int:
    """Tell who ended the command; a question that was being asked makes click's Abort of a signal, too."""
    by = end if isinstance(end, Ended) else end.__context__
    click.echo(str(by) if isinstance(by, Ended) else "interrupted", err=True)
    return by.exit_code if isinstance(by, Ended) else 130


def _tell_bug(bug: Exception, lab: str | None) -> int:
    import traceback

    if os.environ.get("LABCTL_DEBUG"):
        traceback.print_exception(bug)
    place = _keep_trace("".join(traceback.format_exception(bug)))
    click.echo(f"labctl: this is a bug in labctl: {type(bug).__name__}: {bug}", err=True)
    click.echo(f"  -> {place}{with_lab('`labctl export logs`', lab)} collects what a report needs.", err=True)
    return 3


def _keep_trace(text: str) -> str:
    from labctl.state import state_dir, write_private

    try:
        path = state_dir() / "last-bug.txt"
        write_private(path, text.encode())
    except (LabctlError, OSError):
        return ""
    return f"The details are in {path}; "


def command_tree() -> dict[str, Any]:
    """Every command with its parameters, for the generated reference."""
    context = click.Context(cli, info_name="labctl")
    return cli.to_info_dict(context)
