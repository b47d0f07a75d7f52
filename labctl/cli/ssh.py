"""ssh and scp: a shell on a node, a command there, files there and back."""

from __future__ import annotations

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.cli.nodes import first_node
from labctl.errors import UsageError

__all__ = ["scp", "ssh"]


@click.command("ssh", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NODE [COMMAND]...]", shell_complete=complete_nodes)
@lab_command
def ssh(app: App, words: tuple[str, ...]) -> int:
    """A shell on a node, or one command there.

    What follows NODE goes to the node's shell as it stands, flags too; its exit code is ours. NODE is the first
    manager where it is not said.

    \b
    labctl ssh worker1
    labctl ssh manager1 docker node ls
    labctl ssh myvm1 "docker swarm init --advertise-addr $(labctl ip myvm1)"
    labctl ssh worker1 cat /etc/hostname | wc -c
    """
    from labctl.events import CommandShown

    name, command = (words[0] if words else None), words[1:]
    if command[:1] == ("--",):
        command = command[1:]
    if command and command[0].startswith("-"):
        raise UsageError(
            f"{command[0]} stands behind {name}, where {name}'s own command begins",
            hint=f"labctl's own flags come before the node: labctl ssh {' '.join(command)} {name}",
        )
    node = first_node(app.lab(), name)
    app.emit(CommandShown(node.name, " ".join(command) or "bash -l"))
    # As a login by SSH would, it begins at home.
    script = f"cd; {' '.join(command)}" if command else "cd; exec bash -l"
    return node.interactive(["/bin/bash", "-c", script])


@click.command("scp")
@click.option("-r", "--recursive", is_flag=True, help="Copy folders with all that is in them.")
@click.option("-d", "--delta", is_flag=True, help="Leave out what is there already.")
@click.option("-q", "--quiet", is_flag=True, help="Do not say what was copied.")
@click.argument("source", metavar="[[USER@]NODE:]PATH")
@click.argument("target", metavar="[[USER@]NODE:]PATH")
@lab_command
def scp(app: App, *, recursive: bool, delta: bool, quiet: bool, source: str, target: str) -> None:
    """Copy files to a node, from one, or between two.

    A path on a node is from its user's home: where no user is said, that of the one whom `labctl ssh` comes in as
    (root in a container, vagrant on a virtual machine). A path from the root is root's to read and write. Links are
    copied as what they lead to; one that leads nowhere is left out, and told. Modes are kept, but for setuid and the
    like. Nothing that a node sends is written outside of the target.

    \b
    labctl scp docker-compose.yml myvm1:~
    labctl scp worker1:/etc/docker/daemon.json .
    labctl scp -r site/ docker@worker1:site
    labctl scp worker1:data.txt worker2:/tmp/
    """
    from labctl.events import Warned
    from labctl.lab.copying import copy, place

    def warn(text: str) -> None:
        app.emit(Warned(text))

    lab = app.lab()
    there = copy(place(lab, source), place(lab, target), recursive=recursive, delta=delta, warn=warn)
    if not quiet:
        click.echo(f"{source} -> {there}", err=True)
