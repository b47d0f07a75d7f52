"""labctl registry: the lab's registry and its mirror of Docker Hub."""

from __future__ import annotations

import click

from labctl.cli.common import App, lab_command, output_option, print_json, table

__all__ = ["registry"]


@click.group("registry")
def registry() -> None:
    """Show the lab's registry and its mirror of Docker Hub.

    \b
    labctl registry status
    labctl registry catalog
    """


@registry.command("status")
@output_option
@lab_command
def status(app: App, output: str) -> None:
    """Show the registry's state, and what serves Docker Hub's names.

    \b
    labctl registry status
    """
    from dataclasses import asdict

    found = app.lab().registry()
    if output == "json":
        print_json({**asdict(found), "url": found.url})
        return
    mirror = f"the originals, from {found.upstream}" if found.upstream else "stand-ins"
    rows = [[found.container, found.state, "registry:5000", f"127.0.0.1:{found.host_port}", mirror]]
    table(["REGISTRY", "STATE", "IN THE LAB", "ON THIS HOST", "DOCKER HUB'S NAMES"], rows)


@registry.command("url")
@lab_command
def url(app: App) -> None:
    """Print the registry's address on this host.

    \b
    curl "$(labctl registry url)/v2/_catalog"
    """
    click.echo(app.lab().registry().url)


@registry.command("catalog")
@output_option
@lab_command
def catalog_(app: App, output: str) -> None:
    """List the images in the registry.

    \b
    labctl registry catalog
    """
    from dataclasses import asdict

    from labctl.images.progress import read_size

    stored = app.lab().stored_images()
    if output == "json":
        print_json([{**asdict(each), "name": each.name} for each in stored])
        return
    rows = [
        [each.name, each.digest.removeprefix("sha256:")[:12], read_size(each.size), each.standin or "-"]
        for each in stored
    ]
    table(["NAME", "DIGEST", "SIZE", "STANDS IN FOR"], rows)
