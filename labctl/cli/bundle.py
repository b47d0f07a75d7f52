"""labctl bundle: all images in one file, for a room without network."""

from __future__ import annotations

from pathlib import Path

import click

from labctl.cli.common import App, lab_command
from labctl.lab.host import Host

__all__ = ["bundle"]


@click.group("bundle")
def bundle() -> None:
    """Save all images to a file, and load them on a machine without network.

    \b
    labctl bundle save images.tar
    labctl bundle load images.tar
    """


@bundle.command("save")
@click.argument("file", type=click.Path(path_type=Path))
@lab_command
def save(app: App, file: Path) -> None:
    """Build missing images, and write all images to FILE.

    \b
    labctl bundle save images.tar
    """
    made = Host().save_bundle(file, on_event=app.emit)
    click.echo(str(file))
    click.echo(f"SHA-256 {made.sha256}: give it to whoever loads the file (`labctl bundle load --sha256`).", err=True)


@bundle.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--sha256", metavar="HEX", help="Refuse the file unless it has this SHA-256, which `bundle save` printed."
)
@lab_command
def load(app: App, file: Path, sha256: str | None) -> None:
    """Load the images in FILE; the mirrors of all labs then serve them.

    Load only bundles that you would trust as root: nodes run what is in them, and a container node can become root
    on this machine. Bundles are not signed; --sha256 verifies that it is the file that was saved.

    \b
    labctl bundle load images.tar
    labctl bundle load images.tar --sha256 "$SUM"
    """
    loaded = Host().load_bundle(file, sha256=sha256, on_event=app.emit)
    click.echo(f"SHA-256 {loaded.sha256}", err=True)
