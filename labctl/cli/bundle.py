"""labctl bundle: all images in one file, for a room without network."""

from __future__ import annotations

from pathlib import Path

import click

from labctl.cli.common import App, lab_command
from labctl.words import counted

__all__ = ["bundle"]


@click.group("bundle")
def bundle() -> None:
    """Carry all images to a room without network.

    \b
    labctl bundle save images.tar
    labctl bundle load images.tar
    """


@bundle.command("save")
@click.argument("file", type=click.Path(path_type=Path))
@lab_command
def save(app: App, file: Path) -> None:
    """Write all images to FILE, building first what is missing.

    \b
    labctl bundle save images.tar
    """
    from labctl.bundle import save as save_bundle
    from labctl.events import Steps
    from labctl.images.progress import read_size

    steps = Steps(app.emit, total=1)
    with steps.step(f"Saving {file}"):
        made = save_bundle(file, app.context.engine, steps.emit, steps.note)
        steps.note(f"{counted(len(made.images), 'image')}, {read_size(made.size)}")
    click.echo(str(file))


@bundle.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@lab_command
def load(app: App, file: Path) -> None:
    """Load the images of FILE, and let the mirrors of all labs serve them.

    \b
    labctl bundle load images.tar
    """
    from labctl.bundle import load as load_bundle
    from labctl.events import Steps

    steps = Steps(app.emit, total=1)
    with steps.step(f"Loading {file}"):
        loaded = load_bundle(file, app.context.engine, steps.emit, steps.note)
        steps.note(f"{counted(len(loaded.images), 'image')}, made {loaded.created} by labctl {loaded.version}")
