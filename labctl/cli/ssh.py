"""ssh and scp: a shell on a node, a command there, files there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["scp", "ssh"]


@click.command("ssh", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[[USER@]NODE [COMMAND]...]", shell_complete=complete_nodes
)
@lab_command
def ssh(app: App, words: tuple[str, ...]) -> int:
    """Open a shell on a node, or run a command there.

    Everything after NODE goes to the node's shell unchanged, flags included (default node: the first manager).
    labctl exits with the command's exit code. You log in as the user docker, who can use the engine and sudo
    without a password; root@NODE logs in as root.

    \b
    labctl ssh worker1
    labctl ssh root@worker1
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
    user, node = _user_and_node(app, name)
    app.emit(CommandShown(node.name, " ".join(command) or "bash -l"))
    # As a login by SSH would, it begins at home.
    script = f"cd; {' '.join(command)}" if command else "cd; exec bash -l"
    return node.interactive(["/bin/bash", "-c", script], user=user)


def _user_and_node(app: App, name: str | None) -> tuple[str, Node]:
    """Whom `[USER@]NODE` means. Raises NotFoundError for an unknown node, UsageError for a user that it has not."""
    from labctl.lab.choosing import first_node
    from labctl.node import LOGIN_USER

    user, _, rest = (name or "").rpartition("@")
    if not user:
        return LOGIN_USER, first_node(app.lab(), name)
    from labctl.lab.copying import check_user  # with it comes all that copies files

    check_user(user)
    node = first_node(app.lab(), rest)
    if user not in ("root", LOGIN_USER) and not node.run(["id", "-u", "--", user]).ok:
        raise UsageError(
            f"{node.name} has no user {user}", hint=f"Without one you come in as {LOGIN_USER}; root is there too."
        )
    return user, node


@click.command("scp")
@click.option("-r", "--recursive", is_flag=True, help="Copy folders recursively.")
@click.option("-d", "--delta", is_flag=True, help="Skip files that exist already.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print what was copied.")
@click.argument("source", metavar="[[USER@]NODE:]PATH")
@click.argument("target", metavar="[[USER@]NODE:]PATH")
@lab_command
def scp(app: App, *, recursive: bool, delta: bool, quiet: bool, source: str, target: str) -> None:
    """Copy files to a node, from a node, or between two nodes.

    A relative path on a node starts in the home of the user docker, as for `labctl ssh`, or of the user that you
    name. Without a user, absolute paths are read and written as root. Links are copied as the files that they point
    to; broken links are skipped and listed. Modes are kept, except for setuid, setgid and sticky bits. Nothing that
    a node sends is written outside the target.

    \b
    labctl scp docker-compose.yml myvm1:~
    labctl scp worker1:/etc/docker/daemon.json .
    labctl scp -r site/ docker@worker1:site
    labctl scp worker1:data.txt worker2:/tmp/
    """
    there = app.lab().copy(source, target, recursive=recursive, delta=delta)
    if not quiet:
        click.echo(f"{source} -> {there}", err=True)
