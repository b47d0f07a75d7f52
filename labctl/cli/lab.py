"""up, down, status, verify, labs: the lab as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import (
    App,
    complete_labs,
    complete_nodes,
    confirm,
    lab_command,
    output_option,
    print_json,
    table,
)
from labctl.cli.flags import spec_and_reader
from labctl.cli.hints import named_lab, note_lab, with_lab
from labctl.cli.unlock import unlock_option
from labctl.errors import NotFoundError, UsageError
from labctl.spec.choices import PROVIDERS
from labctl.words import counted, in_ranges, some

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.lab import LabStatus

__all__ = ["down", "labs", "status", "up", "verify_"]


@click.command("up")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-f", "--file", "also_file", type=click.Path(path_type=Path, allow_dash=True), help="Same as FILE.")
@click.option("--name", metavar="NAME", help="The lab's name.", shell_complete=complete_labs)
@click.option("--nodes", type=int, metavar="N", help="Number of nodes: one manager and N-1 workers.")
@click.option("--managers", type=int, metavar="N", help="Number of managers, 1 to 7.")
@click.option("--workers", type=int, metavar="N", help="Number of workers, instead of --nodes.")
@click.option(
    "--backend", type=click.Choice(["dind", "vagrant"]), help="Containers (dind) or virtual machines (vagrant)."
)
@click.option("--provider", type=click.Choice(PROVIDERS), help="What runs the virtual machines.")
@click.option("--box", metavar="NAME", help="A Vagrant box with Debian (default: labctl's own box).")
@click.option("--cpus", type=float, metavar="N", help="Number of CPUs of each node.")
@click.option("--memory", metavar="SIZE", help="Memory limit of each node: 512m, 2g.")
@click.option("--subnet", metavar="CIDR", help="The nodes' subnet (default: a free one).")
@click.option("--port", "ports", multiple=True, metavar="[HOST:]PORT", help="A published port to map to 127.0.0.1.")
@click.option("--image", "images", multiple=True, metavar="NAME", help="An image to pull on every node.")
@click.option("--label", "labels", multiple=True, metavar="FILTER:KEY=VALUE", help="A node label: @worker:ssd=true.")
@click.option("--engine-opt", multiple=True, metavar="KEY=VALUE", help="A daemon.json option for every engine.")
@click.option("--no-swarm", is_flag=True, default=None, help="Create bare engines; you run init and join.")
@click.option("--no-registry", is_flag=True, default=None, help="Create no registry and no mirror.")
@click.option("--bare-names", is_flag=True, default=None, help="Name the containers worker1 instead of lab-worker1.")
@click.option(
    "--privileged-tasks",
    is_flag=True,
    default=None,
    help="Allow privileged containers in the nodes: they can use every device of this host.",
)
@click.option("--retain", is_flag=True, help="Keep what was created if something fails.")
@click.option("--no-verify", is_flag=True, help="Do not test the lab at the end.")
@unlock_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@output_option
@lab_command
def up(app: App, file: Path | None, also_file: Path | None, output: str, **flags: Any) -> None:
    """Create a lab, or change the existing one to match.

    Without FILE, it reads lab.yaml in this folder, if there is one; - reads stdin. Flags override the file. If the
    lab exists, it adds what is missing and starts what is down; nothing else changes.

    \b
    labctl up --nodes 4                        one manager, three workers
    labctl up --managers 3 --workers 2 --port 8080
    labctl up --backend vagrant --memory 2g --cpus 2
    labctl up --backend vagrant --box debian/bookworm64
    labctl up lab.yaml --dry-run
    """
    from labctl.lab import UpOptions, checked_plan, status_of
    from labctl.lab.up import grow

    if file is not None and also_file is not None:
        raise UsageError(f"{file} and {also_file}: a lab is described in one file")
    spec, spec_of = spec_and_reader(app, file or also_file, flags)
    if flags["name"]:
        note_lab(spec.name)
    if flags["dry_run"]:
        plan = checked_plan(app.context, spec)
        if output == "json":
            print_json({"changes": plan.changes, "plan": plan.lines()})
        else:
            click.echo("\n".join(plan.lines()))
        return
    record = grow(app.context, spec.name, spec_of, UpOptions(retain=flags["retain"], verify=not flags["no_verify"]))
    if output == "json":
        print_json(_as_json(status_of(app.context, record)))
    elif app.progress in ("auto", "plain"):
        _say_what_next(record)


def _say_what_next(record: LabRecord) -> None:
    """Commands that work on this very lab: a node that is there, and an exercise that it is large enough for."""
    which = "" if record.name == "lab" else f" -l {record.name}"
    nodes = [node for node in record.nodes if node.is_running]
    managers = [node.name for node in nodes if node.is_manager]
    formed = record.spec is not None and record.spec.swarm == "formed"
    # What voting-app asks for, counted here: to read the exercise would cost each `up` a tenth of a second.
    fits = formed and record.spec is not None and record.spec.registry and len(nodes) - len(managers) >= 2
    lesson = f"labctl exercise {'voting-app' if fits else 'list'}{which}"
    node = (managers or [node.name for node in nodes])[0]
    click.echo(f"Lab {record.name} is up. What next:", err=True)
    click.echo(f'  eval "$(labctl env{which})" && docker {"node ls" if formed else "info"}', err=True)
    click.echo(f"  labctl ssh{which} {node}       labctl map{which}       {lesson}", err=True)


@click.command("down")
@click.option("--all", "everything", is_flag=True, help="Remove all of your labs.")
@click.option("--others", is_flag=True, help="Remove labs of other users, too. Asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@lab_command
def down(app: App, everything: bool, others: bool, yes: bool) -> None:
    """Remove the lab: its nodes, volumes, networks, contexts and keys. Nothing is left.

    \b
    labctl down
    labctl down -l workshop
    labctl down --all
    """
    names = _to_remove(app, others=others, yes=yes) if everything else [app.lab_name]
    for name in names:
        one = App(name, app.verbose, app.progress)
        try:
            lab = one.lab(others=others, verb="down")
            if not (everything or lab.record.owner.is_you):
                confirm(f"Remove lab {lab.name}, which belongs to {lab.record.owner}?", yes=yes)
        except NotFoundError as missing:
            from labctl.lab import all_labs, forget_gone

            forget_gone(app.context, name or "lab")
            click.echo(f"There is no lab {name or 'lab'}: nothing to remove.", err=True)
            if missing.nearest:
                yours = [lab.name for lab in all_labs(app.context) if lab.record.owner.may_be_you]
                click.echo(f"  -> Did you mean {missing.nearest}? There is: {some(yours, 12)}.", err=True)
            continue
        removed = lab.down(others=others)
        click.echo(f"Lab {lab.name} is gone: {counted(len(removed), 'thing')} removed.", err=True)


def _to_remove(app: App, *, others: bool, yes: bool) -> list[str]:
    """All labs, those of others only when that was asked for and answered; says which stay."""
    from labctl.lab import all_labs

    records = [lab.record for lab in all_labs(app.context)]
    theirs = [f"{record.name} ({record.owner})" for record in records if not record.owner.is_you]
    if theirs and others:
        confirm(f"Remove labs that are not yours too: {', '.join(theirs)}?", yes=yes)
    elif theirs:
        click.echo(
            f"Not yours, and left: {', '.join(theirs)}. `labctl down --all --others` removes them too.", err=True
        )
    return [record.name for record in records if others or record.owner.is_you]


@click.command("status")
@click.argument("node", required=False, shell_complete=complete_nodes)
@output_option
@lab_command
def status(app: App, node: str | None, output: str) -> int:
    """Show the lab and its problems. Exits with 3 if there is one.

    With NODE, it prints that node's state as docker-machine does: Running, Stopped, Paused, ...

    \b
    labctl status
    labctl status -o json
    labctl status worker1
    """
    from labctl.lab import status_of
    from labctl.lab.listing import machine_word

    if node is not None:
        word = machine_word(app.lab(others=True).node(node).state)
        if output == "json":
            print_json({"node": node, "state": word})
        else:
            click.echo(word)
        return 0
    found = status_of(app.context, app.lab(others=True).record)
    if output == "json":
        print_json(_as_json(found))
    else:
        _print_status(found)
    return 0 if found.is_good else 3


def _as_json(found: LabStatus) -> dict[str, object]:
    lab = named_lab(click.get_current_context())
    told = {key: [with_lab(one, lab) for one in getattr(found, key)] for key in ("problems", "warnings")}
    return {**found.to_dict(), **told}


def _print_status(found: LabStatus) -> None:
    headings = ("NODE", "ROLE", "STATE", "SWARM", "AVAILABILITY", "MANAGER", "ADDRESS", "ENGINE")
    rows = [
        (n.name, n.role, n.state, n.swarm or "-", n.availability or "-", n.manager or "-", n.address, n.engine or "-")
        for n in found.nodes
    ]
    whose = "" if found.yours else f", of {found.owner or 'somebody else'}"
    click.echo(f"Lab {found.name} ({found.backend}, {found.subnet}{whose})")
    table(headings, rows)
    services = "" if found.services is None else f"; {counted(found.services, 'service')}"
    click.echo(f"swarm      {found.swarm}{services}")
    click.echo(f"mesh       {found.mesh}")
    click.echo(f"registry   {found.registry}")
    click.echo(f"mirror     {found.mirror}")
    if found.privileged_tasks:
        click.echo("devices    nodes may use every device of this host (privileged_tasks)")
    for port in in_ranges(found.ports):
        click.echo(f"port       {port}")
    for warning in (with_lab(one, named_lab(click.get_current_context())) for one in found.warnings):
        click.echo(f"warning    {warning}")
    for problem in (with_lab(one, named_lab(click.get_current_context())) for one in found.problems):
        click.echo(f"problem    {problem}")


@click.command("verify")
@lab_command
def verify_(app: App) -> None:
    """Test the lab: the routing mesh on every node, the overlay between all nodes, the registry, your services.

    If the lab has encrypted networks, it tests them, too, with a packet from every node to every node. Of your
    services, it tests the names, as tasks ask for them on every node, and connects to the published TCP ports on every
    node that should answer. It names what does not work, with the service, the node and what to do. A service that has
    not converged is no failure: it is listed.

    \b
    labctl verify
    """
    app.lab().verify()


@click.command("labs")
@output_option
@lab_command
def labs(app: App, output: str) -> None:
    """List all labs on this machine.

    \b
    labctl labs
    """
    from labctl.lab import all_labs

    records = [lab.record for lab in all_labs(app.context)]
    rows = [
        {
            "name": record.name,
            "backend": record.spec.backend if record.spec else "dind",
            "nodes": len(record.nodes),
            "running": sum(node.is_running for node in record.nodes),
            "subnet": record.subnet or "",
            "owner": str(record.owner),
        }
        for record in records
    ]
    if output == "json":
        owners = [record.owner for record in records]
        print_json([row | {"owner": who.login, "yours": who.is_you} for row, who in zip(rows, owners, strict=True)])
    else:
        headings = ("NAME", "BACKEND", "NODES", "RUNNING", "SUBNET", "OWNER")
        table(headings, [tuple(str(value) for value in row.values()) for row in rows])
