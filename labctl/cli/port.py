"""labctl port, ports and open: published ports of the swarm on this host's 127.0.0.1."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import App, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_ports, complete_services
from labctl.errors import raise_all

if TYPE_CHECKING:
    from labctl.edge import ForwardedPort, PublishedPort

__all__ = ["open_", "port", "ports"]


@click.group("port")
def port() -> None:
    """Map published ports of the swarm to 127.0.0.1 of this host.

    \b
    labctl port add 8080
    labctl port ls
    labctl port rm 8080
    """


@port.command("add")
@click.argument("ports", nargs=-1, required=True, metavar="[HOST:]PORT[/udp]...")
@lab_command
def add(app: App, ports: tuple[str, ...]) -> None:
    """Map ports on 127.0.0.1 to ports that the swarm publishes or will publish. Nodes are not changed.

    \b
    labctl port add 8080             127.0.0.1:8080 maps to the swarm's port 8080
    labctl port add 9000:80 53/udp
    """
    from labctl.lab.ports import check_ports

    read = check_ports(ports)  # what is no port is told before a lab is looked for
    for way in app.lab().add_ports(*read):
        click.echo(way.url)


@port.command("rm")
@click.argument("ports", nargs=-1, required=True, metavar="[HOST:]PORT[/udp]...", shell_complete=complete_ports)
@lab_command
def rm(app: App, ports: tuple[str, ...]) -> None:
    """Remove port mappings: all mappings of PORT, or only the one from HOST.

    \b
    labctl port rm 8080 53/udp
    labctl port rm 9000:80
    """
    from labctl.lab.ports import remove_ports

    gone, missing = remove_ports(app.lab(), ports)
    for way in gone:
        click.echo(f"{way.url} is gone", err=True)
    raise_all(missing)


@port.command("ls")
@output_option
@lab_command
def ls(app: App, output: str) -> None:
    """List the port mappings.

    \b
    labctl port ls -o json
    """
    found = app.lab(others=True).forwarded_ports()
    if output == "json":
        print_json([_forwarded(each) for each in found])
        return
    rows = [[f"{each.target}/{each.protocol}", each.url, each.state] for each in found]
    table(["PORT", "ON THIS HOST", "STATE"], rows)


@click.command("ports")
@output_option
@lab_command
def ports(app: App, output: str) -> None:
    """List the published ports, and their addresses on this host.

    A port in host mode is open only on nodes that run a task; `labctl port add` maps it to this host.

    \b
    labctl ports
    labctl ports -o json
    """
    found = app.lab().ports()
    if output == "json":
        print_json([_published(each) for each in found])
        return
    rows = [
        [each.service, " ".join(each.places) or f"{each.port}/{each.protocol}", each.mode, " ".join(each.urls) or "-"]
        for each in found
    ]
    table(["SERVICE", "PORT", "MODE", "ON THIS HOST"], rows)


@click.command("open")
@click.argument("service", shell_complete=complete_services)
@click.option("--print", "print_only", is_flag=True, help="Do not open a browser; print the address.")
@lab_command
def open_(app: App, service: str, print_only: bool) -> None:
    """Open a service's published port in the browser. You can omit the stack's name from SERVICE.

    If the port's number belongs to a protocol other than HTTP (databases, mail, ...), it only prints the address.

    If the port is not mapped to this host yet, it waits some seconds; it maps a port in host mode itself. The
    mapping ends when the service is removed or no longer publishes the port. `labctl port add` creates a permanent
    one.

    \b
    labctl open vote
    labctl open --print voting_result
    """
    urls = app.lab().urls(service)
    for url in urls:
        click.echo(url)
    if not print_only and sys.stdout.isatty():
        import webbrowser

        if page := next((url for url in urls if url.startswith("http")), None):
            webbrowser.open(page)


def _published(each: PublishedPort) -> dict[str, Any]:
    return {
        "service": each.service,
        "port": each.port,
        "protocol": each.protocol,
        "mode": each.mode,
        "target": each.target,
        "nodes": list(each.nodes),
        "urls": list(each.urls),
    }


def _forwarded(each: ForwardedPort) -> dict[str, Any]:
    return {
        "port": each.target,
        "protocol": each.protocol,
        "host_port": each.host_port,
        "url": each.url,
        "moved": each.moved,
        "state": each.state,
        "pinned": each.pinned,
        "container": each.container,
    }
