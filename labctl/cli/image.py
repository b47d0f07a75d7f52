"""labctl image: build, list, push, pull, load and prune images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import App, complete_nodes, confirm, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_images
from labctl.errors import UsageError
from labctl.lab.host import Host
from labctl.spec.choices import PROVIDERS
from labctl.words import some

if TYPE_CHECKING:
    from labctl.registry import StoredImage

__all__ = ["image"]


@click.group("image")
def image() -> None:
    """Build, push, list and pull images.

    \b
    labctl image ls
    labctl image build --all
    labctl image push friendlyhello
    """


@image.command("build")
@click.argument("names", nargs=-1, metavar="[NAME...|PATH]")
@click.option("--all", "everything", is_flag=True, help="Build the node image and all of labctl's images.")
@click.option("-t", "--tag", metavar="NAME", help="Name of the image that PATH is built as.")
@click.option("-f", "--file", "dockerfile", type=click.Path(path_type=Path), help="Dockerfile (default: PATH's).")
@click.option(
    "--network",
    type=click.Choice(["bridge", "host", "none"]),
    help="Network of PATH's build: the engine's bridge, this host's own, or none (default: bridge).",
)
@click.option("--vm", is_flag=True, help="Build the box that virtual machines are copied from.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Provider of the box (default: libvirt).")
@lab_command
def build(
    app: App,
    names: tuple[str, ...],
    *,
    everything: bool,
    tag: str | None,
    dockerfile: Path | None,
    network: str | None,
    vm: bool,
    provider: str | None,
) -> None:
    """Build images. Existing ones are kept. The mirror of every lab serves labctl's own images.

    An image that you build from a folder stays on this host's engine. `labctl image push` copies it to a lab's
    registry.

    \b
    labctl image build nginx postgres      labctl's own, by any of their names
    labctl image build --all               all that you need offline
    labctl image build ./web -t web:1      a folder of your own, on this host's engine
    labctl image build --vm                the box for `labctl up --backend vagrant`
    """
    if network is not None and (tag is None or vm):
        raise UsageError("`--network` is for a folder of your own", hint="labctl image build ./web -t web:1")
    if vm:
        if names or everything or tag is not None:
            raise UsageError(
                "`--vm` builds the box and nothing else", hint="Build the images with a command of their own."
            )
        click.echo(Host().build_box(provider or PROVIDERS[0], on_event=app.emit))
    elif provider is not None:
        raise UsageError("`--provider` needs `--vm`", hint="labctl image build --vm --provider virtualbox")
    elif tag is not None:
        _build_folder(app, names, tag, dockerfile, network or "bridge")
    elif everything or names:
        _build_ours(app, names, everything=everything)
    else:
        raise UsageError("nothing to build", hint="Give names, `--all`, or a folder with `-t NAME`.")


@image.command("ls")
@output_option
@lab_command
def ls(app: App, output: str) -> None:
    """List labctl's images, which of them are stand-ins, and the content of the lab's registry.

    \b
    labctl image ls
    labctl image ls -o json
    """
    from dataclasses import asdict

    host = Host()
    images = host.images()
    pushed = [_stored(each) for each in _catalog(app)]
    if output == "json":
        print_json({"hub": host.hub(), "images": [asdict(each) for each in images], "registry": pushed})
        return
    rows = [
        [each.name, each.kind, each.state, _size(each.size), some([one.name for one in each.names])] for each in images
    ]
    rows += [
        [
            each["repository"],
            "pushed (stand-in)" if each["standin"] else "pushed",
            "served",
            _size(each["size"]),
            each["name"],
        ]
        for each in pushed
    ]
    table(["IMAGE", "KIND", "STATE", "SIZE", "NAMES"], rows)


@image.command("push")
@click.argument("name")
@click.option("--as", "as_name", metavar="NAME", help="Name in the lab's registry (default: its own).")
@lab_command
def push(app: App, name: str, as_name: str | None) -> None:
    """Push an image from this host's engine to the lab's registry, and print its name there.

    \b
    docker build -t web:1 .
    labctl image push web:1
    """
    click.echo(app.lab().push(name, as_name))


@image.command("pull")
@click.argument("name", shell_complete=complete_images)
@click.option("--nodes", default="@all", show_default=True, shell_complete=complete_nodes, help="Nodes to take.")
@lab_command
def pull(app: App, name: str, nodes: str) -> None:
    """Pull an image on all nodes, so that a service that needs it starts at once.

    \b
    labctl image pull nginx:latest
    """
    app.lab().pull(name, nodes)


@image.command("load")
@click.argument("name")
@click.option("--nodes", default="@all", show_default=True, shell_complete=complete_nodes, help="Nodes to take.")
@lab_command
def load(app: App, name: str, nodes: str) -> None:
    """Copy an image of this host's engine straight to nodes, without a registry.

    \b
    labctl image load web:1
    """
    app.lab().load(name, nodes)


@image.command("prune")
@click.option(
    "--all", "everything", is_flag=True, help="Remove everything that labctl built or cached, not only what is old."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output_option
@lab_command
def prune(app: App, everything: bool, yes: bool, output: str) -> None:
    """Remove what older versions left: images, boxes, and the mirror's content. What is in use stays.

    \b
    labctl image prune
    labctl image prune --all --yes
    """
    if everything:
        confirm("Remove all that labctl built? It takes minutes to build again.", yes=yes)
    pruned = Host().prune(everything=everything, on_event=app.emit)
    if output == "json":
        print_json({"removed": pruned.removed, "in_use": pruned.in_use})
    else:
        for name in pruned.removed:
            click.echo(name)


def _build_folder(app: App, names: tuple[str, ...], tag: str, dockerfile: Path | None, network: str) -> None:
    from labctl.lab.images import build as build_folder

    if len(names) != 1:
        raise UsageError("`-t NAME` takes one folder", hint="labctl image build ./web -t web:1")
    click.echo(build_folder(app.context, Path(names[0]), tag, dockerfile=dockerfile, network=network))


def _build_ours(app: App, names: tuple[str, ...], *, everything: bool) -> None:
    from labctl.images import read_catalogue

    own = read_catalogue().images
    folder = next((name for name in names if name not in own and Path(name).is_dir()), None)
    if folder is not None:
        hint = f"labctl image build {folder} -t NAME"
        raise UsageError(f"{folder} is a folder, and its image has no name", hint=hint)
    for built in Host().build_images(None if everything else names, on_event=app.emit).values():
        click.echo(built)


def _catalog(app: App) -> list[StoredImage]:
    """What the lab's registry holds; nothing where there is no lab, or it has none that answers."""
    from labctl.errors import LabctlError

    try:
        return app.lab().stored_images()
    except LabctlError:
        return []


def _stored(each: StoredImage) -> dict[str, Any]:
    return {
        "name": each.name,
        "repository": each.repository,
        "tag": each.tag,
        "digest": each.digest,
        "size": each.size,
        "standin": each.standin,
    }


def _size(count: int) -> str:
    from labctl.images.progress import read_size

    return read_size(count) if count else "-"
