"""env and config: how a shell, or one command, comes to talk to a node's engine."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.cli.completers import complete_shells
from labctl.cli.shells import SHELLS, detect, shell_named

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["config", "env"]

COMPOSE = "COMPOSE_CONVERT_WINDOWS_PATHS"
# Python's requests, and with it the docker package, lets these win over the CA that a client was given.
CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@click.command("env")
@click.argument("node", required=False, shell_complete=complete_nodes)
@click.option("-u", "--unset", is_flag=True, help="Unset the variables instead of setting them.")
@click.option(
    "--shell",
    metavar="SHELL",
    shell_complete=complete_shells,
    help=f"The shell: {', '.join(SHELLS)} (default: detected).",
)
@click.option("--no-proxy", is_flag=True, help="Also exclude the node from proxies (NO_PROXY).")
@lab_command
def env(app: App, node: str | None, unset: bool, shell: str | None, no_proxy: bool) -> None:
    """Print the variables that make the Docker CLI use a node's engine.

    The default node is the first manager. labctl itself ignores these variables. If REQUESTS_CA_BUNDLE or
    CURL_CA_BUNDLE is set, Python's docker package does not trust the node: unset both for it.

    \b
    eval "$(labctl env)" && docker node ls
    eval "$(labctl env worker1)"
    eval "$(labctl env -u)"
    labctl env --shell powershell | Invoke-Expression
    """
    from labctl.node import DOCKER_VARIABLES

    syntax = shell_named(shell) if shell else detect()
    command = _typed(app, node, unset=unset, shell=shell, no_proxy=no_proxy)
    if unset:
        names = (*DOCKER_VARIABLES, *([COMPOSE] if sys.platform == "win32" else []))
        click.echo(syntax.unsetting((*names, *([_no_proxy_name()] if no_proxy else [])), command), nl=False)
        return
    chosen = _reachable(app, node)
    values = chosen.docker_env
    if sys.platform == "win32":
        values[COMPOSE] = "true"
    if no_proxy:
        values[_no_proxy_name()] = _without_proxy(chosen)
    remark = _other_authority(os.environ) if chosen.endpoint.tls else ""
    click.echo(syntax.setting(values, command, remark), nl=False)


@click.command("config")
@click.argument("node", required=False, shell_complete=complete_nodes)
@lab_command
def config(app: App, node: str | None) -> None:
    """Print the Docker CLI's flags for a node's engine.

    The default node is the first manager.

    \b
    docker $(labctl config worker1) ps
    """
    chosen = _reachable(app, node)
    certs = chosen.endpoint.tls
    if certs is not None:
        click.echo("--tlsverify")
        for flag, file in (("tlscacert", "ca.pem"), ("tlscert", "cert.pem"), ("tlskey", "key.pem")):
            click.echo(f'--{flag}="{certs / file}"')
    click.echo(f"-H={chosen.endpoint.url}")


def _reachable(app: App, name: str | None) -> Node:
    """The node, or the first one, whose engine answers. Raises NodeDown or EngineUnreachable."""
    from labctl.lab.choosing import first_node

    node = first_node(app.lab(), name)
    node.engine.version()
    return node


def _typed(app: App, node: str | None, *, unset: bool, shell: str | None, no_proxy: bool) -> str:
    """The command as it was typed, for the hint; what is given by the environment is left out."""
    words = ["labctl", "env"]
    if app.lab_name and app.lab_name != os.environ.get("LABCTL_LAB"):
        words += ["-l", app.lab_name]
    words += ["-u"] if unset else []
    words += ["--shell", shell] if shell else []
    words += ["--no-proxy"] if no_proxy else []
    words += [node] if node else []
    return shlex.join(words)


def _other_authority(environ: Mapping[str, str]) -> str:
    """Why Python's docker package would not trust the node, where something here tells it to trust another CA."""
    found = [name for name in CA_BUNDLES if environ.get(name)]
    if not found:
        return ""
    what = f"{' and '.join(found)} {'is set: unset it' if len(found) == 1 else 'are set: unset them'}"
    return f"The docker package of Python does not trust the node while {what} for that"


def _no_proxy_name() -> str:
    """The spelling that the user's environment has already."""
    return "no_proxy" if os.environ.get("no_proxy") else "NO_PROXY"


def _without_proxy(node: Node) -> str:
    host = node.endpoint.url.rpartition("//")[2].partition(":")[0]
    listed = [part for part in os.environ.get(_no_proxy_name(), "").split(",") if part]
    return ",".join([*listed, *(address for address in (host, node.address) if address and address not in listed)])
