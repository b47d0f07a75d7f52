"""`labctl doctor`: what this machine can give a lab, row by row, and `--fix`, which mends what it can."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, output_option, print_json
from labctl.errors import UsageError
from labctl.lab.host import Host
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.host import Report, Row
    from labctl.lab.host import Kind

__all__ = ["doctor"]

MARKS = {
    "good": ("✓", "green"),
    "made-up-for": ("~", "yellow"),
    "unavailable": ("-", "yellow"),
    "mend": ("✗", "red"),
}


@click.command("doctor")
@click.option(
    "-n",
    "--nodes",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    metavar="N",
    help="The number of nodes to check for.",
)
@click.option(
    "--backend",
    type=click.Choice(["dind", "vagrant"]),
    default="dind",
    show_default=True,
    help="The kind of nodes to check for.",
)
@click.option("--fix", is_flag=True, help="Fix what can be fixed, as root. Asks before each change.")
@click.option("-y", "--yes", is_flag=True, help="Answer yes to every question of --fix.")
@output_option
@click.pass_context
def doctor(ctx: click.Context, *, nodes: int, backend: Kind, fix: bool, yes: bool, output: str) -> None:
    """Check whether this machine can run a lab, and what to fix.

    Each row is good (✓), replaced by labctl (~), not available but optional (-), or must be fixed (✗), with the
    command that fixes it. Exits with 0 if a lab can run here, with 3 if something must be fixed first.

    \b
    labctl doctor                     can a lab of four nodes run here?
    labctl doctor --nodes 60 --fix    fix what prevents sixty
    labctl doctor --backend vagrant   can it use virtual machines?
    labctl doctor --output json       for scripts
    """
    asked = f"--nodes {nodes}{' --backend vagrant' if backend == 'vagrant' else ''}"
    report = Host().check(nodes, backend=backend)
    if fix:
        report = _fixed(ctx, report, nodes, backend, yes=yes)
    if output == "json":
        print_json({"nodes": nodes, **report.to_dict()})
    elif sys.stdout.isatty():
        _draw(report, asked)
    else:
        _print(report, asked)
    click.echo(_summary(report, nodes, asked), err=True)
    ctx.exit(0 if report.good else 3)


def _fixed(ctx: click.Context, report: Report, nodes: int, backend: Kind, *, yes: bool) -> Report:
    from labctl.cli.render import renderer

    if report.fixable and not yes and not sys.stdin.isatty():
        titles = ", ".join(row.title for row in report.fixable)
        raise UsageError(f"--fix would see to: {titles}; nobody is here to be asked", hint="`--yes` answers ahead.")
    app = ctx.find_object(App) or App()
    # Whoever lets their machine be changed is shown each command.
    emit = renderer(app.progress, verbose=True)
    confirm = (lambda _question: True) if yes else (lambda question: click.confirm(question, err=True))
    return Host().fix(nodes, backend=backend, found=report, confirm=confirm, on_event=emit)


def _draw(report: Report, asked: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from labctl.cli.console import console

    table = Table.grid(padding=(0, 2))
    for row in report:
        mark, style = MARKS[row.verdict]
        told = Text(row.found)
        if line := _fix_of(row, asked):
            told.append(f"\n→ {line}", style="bold" if row.verdict == "mend" else "dim")
        table.add_row(Text(mark, style=style), Text(row.title), told)
    console().print(table)


def _print(report: Report, asked: str) -> None:
    """Plain lines: verdict, title, what was found; the fix on a line of its own below."""
    width = max(len(row.title) for row in report)
    for row in report:
        click.echo(f"{row.verdict:<12} {row.title:<{width}}  {row.found}")
        if line := _fix_of(row, asked):
            click.echo(f"{'':<12} {'':<{width}}  -> {line}")


def _fix_of(row: Row, asked: str) -> str:
    if row.fix is None:
        return ""
    can_itself = row.fixable and "doctor --fix" not in row.fix
    return f"{row.fix}   (or `labctl doctor {asked} --fix`)" if can_itself else row.fix


def _summary(report: Report, nodes: int, asked: str) -> str:
    many = counted(nodes, "node")
    if report.good:
        return f"A lab of {many} can run here."
    bad = ", ".join(row.title for row in report.to_mend)
    can = [row for row in report.to_mend if row.fixable]
    how = f" `labctl doctor {asked} --fix` sees to {'it' if len(can) == len(report.to_mend) else 'some'}."
    return f"A lab of {many} cannot run here yet: {bad}.{how if can else ''}"
