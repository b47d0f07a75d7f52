"""labctl port, ports and open: published ports of the swarm on this host's 127.0.0.1."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import App, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_ports, complete_services
from labctl.errors import NotFoundError, UsageError, raise_all

if TYPE_CHECKING:
    from labctl.edge import Edge
    from labctl.lab import Lab
    from labctl.spec import PortSpec

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
    from labctl.edge import ensure_edges, refuse_taken

    read = [_port(text) for text in ports]
    _refuse_two_at_one(read)
    lab = app.lab()
    with lab.held() as now:
        for wanted in read:  # a slip in the last one shall not leave the first
            refuse_taken(app.context.engine, now.name, wanted)
        for edge in ensure_edges(app.context.engine, now.name, now.nodes, read, app.emit):
            click.echo(edge.url)


@port.command("rm")
@click.argument("ports", nargs=-1, required=True, metavar="[HOST:]PORT[/udp]...", shell_complete=complete_ports)
@lab_command
def rm(app: App, ports: tuple[str, ...]) -> None:
    """Remove port mappings: all mappings of PORT, or only the one from HOST.

    \b
    labctl port rm 8080 53/udp
    labctl port rm 9000:80
    """
    from labctl.edge import remove_edge

    read = [(_port(text), ":" in text) for text in ports]
    missing: list[NotFoundError] = []
    with app.lab().held() as lab:
        for wanted, exact in read:
            try:
                for gone in remove_edge(app.context.engine, lab.name, wanted, exact=exact):
                    click.echo(f"{gone.url} is gone", err=True)
            except NotFoundError as problem:  # it keeps no other from being taken away
                missing.append(problem)
    raise_all(missing)


@port.command("ls")
@output_option
@lab_command
def ls(app: App, output: str) -> None:
    """List the port mappings.

    \b
    labctl port ls -o json
    """
    from labctl.edge import edges
    from labctl.edge.ways import proxy_name
    from labctl.spec import labels

    lab = app.lab(others=True)
    found = edges(app.context.engine, lab.name)
    # Where the proxy's container is gone and its store is not, the ways in it come back with the proxy.
    stores = [str(one["Name"]) for one in app.context.engine.volumes(labels.of_lab(lab.name))] if not found else []
    _warn_of_proxy(app, lab, found, published=proxy_name(lab.name) in stores)
    if output == "json":
        print_json([_edge(each) for each in found])
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
    from labctl.edge import edges, published

    lab = app.lab()
    ways = edges(app.context.engine, lab.name)
    open_ways = [way for way in ways if way.state == "running"]
    found = published(lab.manager().engine)
    _warn_of_proxy(app, lab, ways, published=any(each.mode == "ingress" for each in found))
    listed = [
        {
            "service": each.service,
            "port": each.port,
            "protocol": each.protocol,
            "mode": each.mode,
            "target": each.target,
            "nodes": list(each.nodes),
            "urls": [
                way.url_of(each.target) for way in open_ways if (way.target, way.protocol) == (each.port, each.protocol)
            ],
        }
        for each in found
    ]
    if output == "json":
        print_json(listed)
        return
    urls = [" ".join(map(str, row["urls"])) for row in listed]  # type: ignore[call-overload]  # urls are a list
    rows = [
        [each.service, " ".join(each.places) or f"{each.port}/{each.protocol}", each.mode, url or "-"]
        for each, url in zip(found, urls, strict=True)
    ]
    table(["SERVICE", "PORT", "MODE", "ON THIS HOST"], rows)


def _warn_of_proxy(app: App, lab: Lab, ways: Sequence[Edge], *, published: bool = False) -> None:
    """Say what is wrong with the lab's proxy; `published`: something is, and without a way no proxy may be there."""
    from labctl.edge import proxy_state, proxy_trouble, proxy_warnings
    from labctl.events import Warned

    engine, runs = app.context.engine, any(node.is_running for node in lab.nodes)
    if ways and ways[0].state != "running":
        app.emit(Warned(proxy_trouble(lab.name, ways[0].state)))
        return
    state = proxy_state(engine, lab.name) if ways or published else None
    if state is None and published:
        app.emit(Warned(proxy_trouble(lab.name, "gone")))
    for warning in proxy_warnings(lab.name, state, len(lab.nodes)) if state is not None and runs else ():
        app.emit(Warned(warning))


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


def _refuse_two_at_one(ports: list[PortSpec]) -> None:
    known: dict[tuple[int, str], int] = {}
    for port in ports:
        if known.setdefault((port.host, port.protocol), port.target) != port.target:
            raise UsageError(
                f"127.0.0.1:{port.host} cannot lead to {known[port.host, port.protocol]} and {port.target}"
            )


def _port(text: str) -> PortSpec:
    from labctl.spec import PortSpec

    try:
        return PortSpec.parse(text)
    except ValueError as invalid:
        raise UsageError(str(invalid), hint="`labctl port add 8080`, `18080:8080` or `53/udp`") from None


def _edge(each: Edge) -> dict[str, Any]:
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
