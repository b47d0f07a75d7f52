"""labctl snapshot: keep what a lab of virtual machines is, and go back to it."""

from __future__ import annotations

import time

import click

from labctl.cli.common import App, confirm, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_snapshots

__all__ = ["snapshot"]

name_argument = click.argument("name", shell_complete=complete_snapshots)


@click.group("snapshot")
def snapshot() -> None:
    """Keep what a lab of virtual machines is, and go back to it.

    A snapshot is of all machines at one moment, their memory included. The registry and ways to ports, which are
    containers of this host, are not in it. It goes with the lab.

    \b
    labctl snapshot save fresh
    labctl snapshot restore fresh
    """


@snapshot.command("save")
@click.argument("name")
@lab_command
def save(app: App, name: str) -> None:
    """Keep what the lab is now. Its machines stand still for some seconds.

    \b
    labctl snapshot save before-upgrade
    """
    from labctl.lab import snapshots

    snapshots.save(app.lab(), name)
    click.echo(f"{name}: saved.", err=True)


@snapshot.command("restore")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@name_argument
@lab_command
def restore(app: App, yes: bool, name: str) -> None:
    """Let the lab be what it was, and wait until it serves. What it is now is lost.

    \b
    labctl snapshot restore before-upgrade
    labctl snapshot restore -y fresh
    """
    from labctl.lab import snapshots

    lab = app.lab()
    found = snapshots.find(lab, name)
    confirm(f"Put lab {lab.name} back to what it was at {_when(found.taken)}? What it is now is lost.", yes=yes)
    snapshots.restore(lab, name)
    click.echo(f"{name}: restored.", err=True)


@snapshot.command("ls")
@output_option
@lab_command
def ls(app: App, output: str) -> None:
    """List the lab's snapshots, oldest first.

    \b
    labctl snapshot ls
    labctl snapshot ls -o json
    """
    from labctl.lab import snapshots

    found = snapshots.snapshots_of(app.lab())
    if output == "json":
        print_json([{"name": one.name, "taken": _when(one.taken), "nodes": list(one.nodes)} for one in found])
        return
    table(["SNAPSHOT", "TAKEN", "NODES"], [[one.name, _when(one.taken), ", ".join(one.nodes)] for one in found])


@snapshot.command("rm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_snapshots)
@lab_command
def rm(app: App, names: tuple[str, ...]) -> None:
    """Remove snapshots.

    \b
    labctl snapshot rm before-upgrade
    """
    from labctl.lab import snapshots

    lab = app.lab()
    for name in names:
        snapshots.find(lab, name)
    for name in names:
        snapshots.remove(lab, name)
        click.echo(f"{name}: removed.", err=True)


def _when(taken: float) -> str:
    """This host's time, with its distance from UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(taken))
