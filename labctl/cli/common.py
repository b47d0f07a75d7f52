"""What the commands share: which lab, how loud, which output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from labctl.cli.hints import named_lab, note_lab
from labctl.cli.unlock import given_key
from labctl.errors import DeclinedError, UsageError

if TYPE_CHECKING:
    from labctl.events import Emit
    from labctl.lab import Context, Lab

__all__ = [
    "PROGRESS",
    "App",
    "complete_labs",
    "complete_nodes",
    "confirm",
    "file_or_stdin",
    "is_ambient",
    "lab_command",
    "output_option",
    "owes_json",
    "print_json",
    "table",
]

PROGRESS = ("auto", "plain", "json", "none")
OWES_JSON = "labctl.owes_json"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class App:
    """What a command is given: the lab's name, if one was said, and how much shall be told.

    `lab_is_ambient` says that the name is the environment's: what is typed is stronger.
    """

    lab_name: str | None = None
    verbose: bool = False
    progress: str = "auto"
    transport: str | None = None
    lab_is_ambient: bool = False

    @cached_property
    def emit(self) -> Emit:
        """Who hears of events: a live line on a terminal, plain lines elsewhere; always on stderr."""
        from labctl.cli.render import renderer

        # Events come from other threads too, which know nothing of click's context.
        return renderer(self.progress, verbose=self.verbose, lab=named_lab(click.get_current_context(silent=True)))

    @cached_property
    def context(self) -> Context:
        """This host's engine."""
        from labctl.lab import open_context

        if self.transport:
            # For what is started from here too: an exercise's checks, and its own calls of labctl.
            os.environ["LABCTL_TRANSPORT"] = self.transport
        context = open_context(self.emit, self.transport)
        context.unlock_key = given_key()
        return context

    def lab(self, *, others: bool = False, verb: str = "") -> Lab:
        """The lab that is meant. Raises NotFoundError or UsageError, also for somebody else's unless `others`.

        Verbs that only look, and need no keys, take `others`.
        """
        from labctl.lab import find_lab
        from labctl.owner import refuse_others

        found = find_lab(self.context, self.lab_name)
        if not others:
            refuse_others(found.name, found.record.owner, verb=verb)
        return found


def lab_command(function: F) -> F:
    """Give a command `-l/--lab`, `--transport`, `-v` and `--progress`, and hand it an App as its first argument."""

    @click.option(
        "-l",
        "--lab",
        "lab_name",
        envvar="LABCTL_LAB",
        metavar="NAME",
        shell_complete=complete_labs,
        help="The lab (default: lab, or the only one).",
    )
    @click.option(
        "--transport",
        type=click.Choice(["exec", "ssh"]),
        envvar="LABCTL_TRANSPORT",
        help="How to reach container nodes: the engine's exec, or SSH (default: exec).",
    )
    @click.option("-v", "--verbose", is_flag=True, help="Show each command as a person would type it.")
    # Told in the help of labctl itself, where it may stand too.
    @click.option("--progress", type=click.Choice(PROGRESS), hidden=True)
    def wrapped(
        *args: Any, lab_name: str | None, transport: str | None, verbose: bool, progress: str | None, **kwargs: Any
    ) -> Any:
        above = click.get_current_context().find_object(App) or App()
        name, ambient = _lab_meant(above, lab_name)
        loud, way = verbose or above.verbose, transport or above.transport
        return function(App(name, loud, progress or above.progress, way, ambient), *args, **kwargs)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    # click keeps the options of decorators below this one on the function.
    params = getattr(function, "__click_params__", [])
    wrapped.__click_params__ = [*params, *getattr(wrapped, "__click_params__", [])]  # type: ignore[attr-defined]  # click's own protocol
    return cast(F, wrapped)


def _lab_meant(above: App, lab_name: str | None) -> tuple[str | None, bool]:
    """The lab that is named before or behind the command, and whether the environment named it."""
    name, ambient = lab_name, is_ambient("lab_name")
    if lab_name is None or (ambient and above.lab_name is not None):
        name, ambient = above.lab_name, above.lab_is_ambient
    if name == "":
        raise UsageError("-l is empty", hint="Is a variable of your shell not set? `labctl labs` lists the labs.")
    if name is not None and not ambient:
        note_lab(name)
    return name, ambient


def is_ambient(parameter: str) -> bool:
    """Whether what an option of this command says was not typed, but is in the environment."""
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.ENVIRONMENT


def output_option(function: F) -> F:
    """Give a command `-o/--output table|json`. One that fails before it has printed JSON prints its error as JSON."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        callback=_note_output,
        help="A table for people, or JSON.",
    )(function)


def _note_output(context: click.Context, _param: click.Parameter, value: str) -> str:
    if value == "json":
        context.find_root().meta[OWES_JSON] = True
    return value


def owes_json(context: click.Context | None) -> bool:
    """Whether the command was asked for JSON and has printed none: whoever reads it waits for some."""
    return context is not None and bool(context.find_root().meta.get(OWES_JSON))


def file_or_stdin(file: Path) -> Path:
    """Return the file that is meant: `-` is what comes on stdin."""
    return Path("/dev/stdin") if str(file) == "-" else file


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.find_root().meta[OWES_JSON] = False
    click.echo(json.dumps(value, indent=2, default=str))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns on stdout, without frames: what stands there can be cut by `awk`."""
    widths = [max(_width(str(row[i])) for row in [headings, *rows]) for i in range(len(headings))]
    for row in [headings, *rows]:
        cells = (str(cell) + " " * (width - _width(str(cell))) for cell, width in zip(row, widths, strict=True))
        click.echo("   ".join(cells).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal a text takes: a Korean letter takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def confirm(question: str, *, yes: bool, default: bool = False) -> None:
    """Ask on a terminal; `yes` answers ahead, `default` is what Enter says.

    Raises DeclinedError for a no, UsageError where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is here to answer", hint="`--yes` answers ahead.")
    if not click.confirm(question, default=default, err=True):
        raise DeclinedError("nothing was changed")


def complete_labs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of labs, for the shell; silent when no engine answers."""
    from labctl.errors import LabctlError
    from labctl.lab import lab_names

    try:
        return [name for name in lab_names(App(progress="none").context) if name.startswith(incomplete)]
    except LabctlError:
        return []


def complete_nodes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the lab's nodes, for the shell; silent when there is none."""
    from labctl.errors import LabctlError

    try:
        lab = App(ctx.params.get("lab_name"), progress="none").lab()
    except LabctlError:
        return []
    return [node.name for node in lab.nodes if node.name.startswith(incomplete)]
