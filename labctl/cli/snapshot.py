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
    """Save the state of a lab, and return to it.

    A snapshot holds all nodes at one moment. It is removed with the lab. For containers it holds their disks and
    the content of the lab's registry; restoring it starts again what ran, and brings back nodes that were removed.
    For virtual machines it holds their memory, too, but not the registry. Port mappings stay as they are.

    \b
    labctl snapshot save fresh
    labctl snapshot restore fresh
    """


@snapshot.command("save")
@click.argument("name")
@lab_command
def save(app: App, name: str) -> None:
    """Save the lab's current state. The lab is suspended for some seconds.

    All nodes must be up and free of faults.

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
    """Return the lab to a snapshot, and wait until it is ready. Its current state is lost.

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
    """List the lab's snapshots, oldest first, with their size on this host's disk.

    Snapshots of virtual machines are kept by the provider, which reports no size.

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
