"""docker-machine's verbs on nodes: list, inspect, stop, start, restart, kill, remove. `create` is in create.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from labctl import __version__
from labctl.cli.common import App, complete_nodes, confirm, lab_command, output_option, print_json
from labctl.cli.create import create
from labctl.cli.unlock import unlock_option
from labctl.errors import NotFoundError, NotYetError

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.node import Node

__all__ = ["active", "create", "inspect", "ip", "kill", "ls", "restart", "rm", "start", "stop", "url", "version"]

COLUMNS = (
    "table {{ .Name }}\t{{ .Active }}\t{{ .DriverName }}\t{{ .State }}\t{{ .URL }}\t{{ .Swarm }}"
    "\t{{ .DockerVersion }}\t{{ .Error }}"
)
names_argument = click.argument("nodes", nargs=-1, shell_complete=complete_nodes)
some_names_argument = click.argument("nodes", nargs=-1, required=True, shell_complete=complete_nodes)
name_argument = click.argument("node", required=False, shell_complete=complete_nodes)


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print names only.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Filter by driver, swarm, state, name or label."
)
@click.option(
    "-f", "--format", "template", metavar="TEMPLATE", help="A Go template; start it with `table ` for headings."
)
@click.option(
    "-t",
    "--timeout",
    type=click.IntRange(1, 600),
    default=10,
    show_default=True,
    help="Timeout for each engine, in seconds.",
)
@output_option
@lab_command
def ls(app: App, *, quiet: bool, filters: tuple[str, ...], template: str | None, timeout: int, output: str) -> None:
    """List the nodes, in docker-machine's columns.

    SWARM shows the lab's name if the node is in a swarm. A node that does not answer in time has the state Timeout.

    \b
    labctl ls
    labctl ls -q --filter state=Running --filter name=^worker
    labctl ls --format 'table {{.Name}}\\t{{.URL}}'
    """
    from labctl.cli.template import as_table
    from labctl.lab.listing import list_machines, parse_filters

    wanted = parse_filters(filters)
    lab = _lab_or_none(app)
    machines = list_machines(lab, wanted, ask=not quiet, limit=timeout) if lab else []
    if output == "json":
        print_json([machine.fields() for machine in machines])
    elif quiet:
        click.echo("".join(f"{machine.name}\n" for machine in machines), nl=False)
    else:
        click.echo(as_table(template or COLUMNS, [machine.fields() for machine in machines]), nl=False)


def _lab_or_none(app: App) -> Lab | None:
    """No lab at all is an empty list; a lab that was named and is not there is a mistake."""
    try:
        return app.lab(others=True)
    except NotFoundError:
        if app.lab_name is not None:
            raise
        click.echo("There is no lab yet: `labctl up` makes one, `labctl create NAME` a machine.", err=True)
        return None


@click.command("ip")
@names_argument
@lab_command
def ip(app: App, nodes: tuple[str, ...]) -> None:
    """Print a node's address in the lab's network. It never changes.

    \b
    labctl ip manager1
    docker swarm join --token ... "$(labctl ip manager1):2377"
    """
    from labctl.lab.choosing import first_node, named_nodes

    lab = app.lab(others=True)
    for node in named_nodes(lab, nodes) if nodes else [first_node(lab, None)]:
        click.echo(node.address)


@click.command("url")
@name_argument
@lab_command
def url(app: App, node: str | None) -> None:
    """Print the address of a node's engine on this host.

    \b
    labctl url worker1
    """
    from labctl.lab.choosing import first_node

    click.echo(first_node(app.lab(others=True), node).url)


@click.command("inspect")
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="A Go template: {{.Driver.IPAddress}}.")
@names_argument
@lab_command
def inspect(app: App, template: str | None, nodes: tuple[str, ...]) -> None:
    """Print everything known about a node, as JSON.

    \b
    labctl inspect worker1
    labctl inspect -f '{{.Driver.IPAddress}}' worker1
    labctl inspect -f '{{prettyjson .HostOptions}}' worker1
    """
    from labctl.cli.template import render
    from labctl.lab.choosing import first_node, named_nodes
    from labctl.lab.listing import inspect as inspect_node

    lab = app.lab(others=True)
    for node in named_nodes(lab, nodes) if nodes else [first_node(lab, None)]:
        click.echo(render(template or "{{prettyjson .}}", inspect_node(lab, node)))


@click.command("active")
@lab_command
def active(app: App) -> None:
    """Print the node that the shell's Docker CLI uses. Exits with 1 if there is none.

    \b
    eval "$(labctl env worker1)" && labctl active
    """
    from labctl.lab import find_lab, lab_names
    from labctl.lab.listing import is_active

    names = [app.lab_name] if app.lab_name else lab_names(app.context)
    for name in names if os.environ.get("DOCKER_HOST") else ():
        for node in find_lab(app.context, name).nodes:
            if is_active(node):
                click.echo(node.name)
                return
    raise NotYetError("this shell talks to no node of a lab", hint='`eval "$(labctl env NODE)"` lets it.')


@click.command("version")
@name_argument
@lab_command
def version(app: App, node: str | None) -> None:
    """Print the version of labctl, or of a node's engine.

    \b
    labctl version
    labctl version worker1
    """
    if node is None:
        click.echo(f"labctl version {__version__}")
    else:
        click.echo(app.lab().node(node).engine.version()["Version"])


@click.command("stop")
@names_argument
@lab_command
def stop(app: App, nodes: tuple[str, ...]) -> None:
    """Stop the lab or the named nodes. Their disks are kept.

    \b
    labctl stop
    labctl stop worker1 worker2
    labctl stop @worker
    """
    from labctl.lab.choosing import named_nodes

    lab = app.lab()
    chosen = named_nodes(lab, nodes)
    if up := _that_are_up(lab, chosen):
        lab.stop(up if chosen else None)
        _say("stopped", lab, up if chosen else chosen)


@click.command("start")
@unlock_option
@names_argument
@lab_command
def start(app: App, nodes: tuple[str, ...]) -> None:
    """Start the lab or the named nodes, and wait until they are ready. Addresses stay the same.

    Then it tests the lab and your services, and repairs what it can, the mildest way first. It
    warns you of what does not work, with what to do.

    \b
    labctl start
    labctl start worker1
    """
    lab = app.lab()
    if down := lab.start(nodes or None):
        _say("started", lab, down if nodes else [])
    else:
        click.echo(f"{', '.join(nodes) or f'Lab {lab.name}'}: ran already, and serves.", err=True)


@click.command("restart")
@unlock_option
@some_names_argument
@lab_command
def restart(app: App, nodes: tuple[str, ...]) -> None:
    """Stop nodes and start them again.

    \b
    labctl restart worker1
    labctl restart @all
    """
    lab = app.lab()
    _say("restarted", lab, lab.restart(nodes))


@click.command("kill")
@some_names_argument
@lab_command
def kill(app: App, nodes: tuple[str, ...]) -> None:
    """Kill nodes, as a power cut does.

    \b
    labctl kill worker1
    labctl start worker1
    """
    from labctl.lab.choosing import named_nodes

    lab = app.lab()
    if up := _that_are_up(lab, named_nodes(lab, nodes)):
        lab.kill(up)
        _say("killed", lab, up)


@click.command("rm")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-f", "--force", is_flag=True, help="Do not ask, and remove nodes even if they cannot leave the swarm.")
@some_names_argument
@lab_command
def rm(app: App, yes: bool, force: bool, nodes: tuple[str, ...]) -> None:
    """Remove nodes and their disks. If these are all nodes, it removes the lab, too.

    \b
    labctl rm worker3
    labctl rm -y $(labctl ls -q)
    """
    remove(app.lab(), nodes, yes=yes or force, force=force)


def remove(lab: Lab, nodes: Sequence[str], *, yes: bool, force: bool) -> None:
    """Ask, and remove the nodes that names and filters mean, those whose machines are gone too; all is the whole lab.

    Raises UsageError where nobody can be asked.
    """
    from labctl.lab.choosing import named_or_gone

    chosen, gone = named_or_gone(lab, nodes)
    names = [*(node.name for node in chosen), *gone]
    everything = bool(chosen) and len(chosen) == len(lab.nodes)
    what = f"{', '.join(names)} with {'its disk' if len(names) == 1 else 'their disks'}"
    confirm(f"Remove {what}{f', and with that lab {lab.name}' if everything else ''}?", yes=yes)
    if everything:
        lab.down(only=names)
        click.echo(f"Lab {lab.name} is gone.", err=True)
        return
    lab.remove_nodes([*chosen, *gone], force=force)
    click.echo(f"{', '.join(names)}: removed.", err=True)


def _that_are_up(lab: Lab, chosen: Sequence[Node]) -> list[Node]:
    """Those of the chosen nodes (of all where none is) that can be brought down; says so where there are none."""
    from labctl.lab.choosing import is_up

    up = [node for node in chosen or lab.nodes if is_up(node)]
    if not up:
        names = ", ".join(node.name for node in chosen) or f"lab {lab.name}"
        click.echo(f"Nothing to do: {names}: down already.", err=True)
    return up


def _say(done: str, lab: Lab, nodes: list[Node]) -> None:
    names = ", ".join(node.name for node in nodes) if nodes else f"Lab {lab.name}"
    click.echo(f"{names}: {done}.", err=True)
