"""`labctl docker`: the Docker CLI of this machine, led to the lab."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.errors import HostError, UsageError

if TYPE_CHECKING:
    from labctl.backend import LabRecord

__all__ = ["docker"]


@click.command("docker", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--node", metavar="NODE", shell_complete=complete_nodes, help="The node whose engine to use (default: a manager)."
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="-- ARGUMENT...")
@lab_command
def docker(app: App, node: str | None, words: tuple[str, ...]) -> None:
    """Run the Docker CLI on the lab: on the first manager that works, or on --node.

    \b
    labctl docker -- service ls
    labctl docker -- stack deploy -c stack.yml web
    labctl docker --node worker1 -- ps
    """
    from labctl.engine.errors import PRIVILEGED_HINT
    from labctl.events import CommandShown, Noted

    if not words:
        raise UsageError("what shall docker do?", hint="labctl docker -- service ls")
    program = shutil.which("docker")
    if program is None:
        raise HostError(
            "there is no docker command on this machine",
            hint="Install Docker's CLI (Debian: `apt-get install docker-cli`), or `labctl ssh manager1 docker ...`.",
        )
    lab = app.lab()
    led = lab.docker_env(node)
    if "--privileged" in words and not words[0].startswith("exec") and _has_no_devices(lab.record):
        app.emit(Noted(PRIVILEGED_HINT))
    app.emit(CommandShown("host", f"docker -H {led['DOCKER_HOST']} --tlsverify {shlex.join(words)}"))
    # A context would be taken before DOCKER_HOST by some versions.
    kept = {key: value for key, value in os.environ.items() if key != "DOCKER_CONTEXT"}
    os.execve(program, ["docker", *words], kept | led)


def _has_no_devices(record: LabRecord) -> bool:
    """Whether the lab's nodes can give a privileged container no device."""
    return record.spec is not None and record.spec.backend == "dind" and not record.spec.privileged_tasks
