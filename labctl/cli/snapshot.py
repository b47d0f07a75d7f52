"""labctl snapshot: keep what a lab is, and go back to it."""

from __future__ import annotations

import time

import click

from labctl.cli.common import App, confirm, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_snapshots
from labctl.cli.unlock import unlock_option

__all__ = ["snapshot"]

name_argument = click.argument("name", shell_complete=complete_snapshots)


@click.group("snapshot")
def snapshot() -> None:
    """Keep what a lab is, and go back to it.

    A snapshot is of all nodes at one moment, and goes with the lab. Of containers it holds the disks, and what was
    pushed to the lab's registry: what ran is started again when it is restored, and nodes that were removed come
    back. Of virtual machines it holds their memory too, and not the registry. Ways to ports stay as they are.

    \b
    labctl snapshot save fresh
    labctl snapshot restore fresh
    """


@snapshot.command("save")
@click.argument("name")
@lab_command
def save(app: App, name: str) -> None:
    """Keep what the lab is now. It stands still for some seconds.

    No node may be down or have a fault.

    \b
    labctl snapshot save before-upgrade
    """
    from labctl.lab import snapshots

    snapshots.save(app.lab(), name)
    click.echo(f"{name}: saved.", err=True)


@snapshot.command("restore")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@unlock_option
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
    """List the lab's snapshots, oldest first, and how much of this host's disk they take.

    Of virtual machines the provider keeps them, and tells no size.

    \b
    labctl snapshot ls
    labctl snapshot ls -o json
    """
    from labctl.lab import snapshots

    found = snapshots.snapshots_of(app.lab())
    if output == "json":
        print_json(
            [{"name": one.name, "taken": _when(one.taken), "nodes": list(one.nodes), "size": one.size} for one in found]
        )
        return
    table(
        ["SNAPSHOT", "TAKEN", "SIZE", "NODES"],
        [[one.name, _when(one.taken), _size(one.size), ", ".join(one.nodes) or "?"] for one in found],
    )


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
    """This host's time, with its distance from UTC; "?" where it cannot be read."""
    if not taken:
        return "?"
    return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(taken))


def _size(size: int | None) -> str:
    from labctl.images.progress import read_size

    return "-" if size is None else read_size(size)
