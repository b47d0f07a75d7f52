"""`labctl logs`: what a node's machine said, its engine first of all."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.cli.streams import readable, write_bytes

__all__ = ["logs"]


@click.command("logs")
@click.argument("node", required=False, shell_complete=complete_nodes)
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Show only the last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Follow the logs until Ctrl-C, or until the node is down.")
@lab_command
def logs(app: App, node: str | None, tail: int | None, follow: bool) -> None:
    """Show the logs of a node: its engine, containerd, the mesh.

    NODE may be stopped (default: the first manager). For the logs of services, use `docker service logs`. On a
    terminal, control characters are escaped; a pipe receives every byte unchanged.

    \b
    labctl logs worker1 --tail 20
    labctl logs -f manager1
    labctl docker -- service logs web
    """
    from labctl.lab.choosing import first_node

    lab = app.lab(others=True)
    chunks = lab.node_logs(first_node(lab, node), tail=tail, follow=follow)
    if sys.stdout.isatty():
        for text in _readable(chunks):
            sys.stdout.write(text)
            sys.stdout.flush()
        return
    for chunk in chunks:
        write_bytes(chunk, sys.stdout)


def _readable(chunks: Iterable[bytes]) -> Iterator[str]:
    """The chunks as text for a terminal; a character or a line's end may stand in two of them."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    held = ""
    for chunk in chunks:
        text = held + decoder.decode(chunk)
        held = "\r" if text.endswith("\r") else ""
        yield readable(text.removesuffix("\r"), sys.stdout)
    yield readable(held + decoder.decode(b"", final=True), sys.stdout)
