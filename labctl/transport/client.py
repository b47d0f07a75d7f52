"""A terminal on a node by somebody else's client: OpenSSH's or Docker's own.

Windows' console gives Python neither raw mode nor word of a changed size; both clients have their own ways there, and
Windows comes with the one. LABCTL_TERMINAL=client has it so on other systems too: that is how this is tried.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from labctl.errors import HostError

if TYPE_CHECKING:
    from labctl.engine import Endpoint
    from labctl.transport.ssh_connection import Login

__all__ = ["docker_words", "hand_over", "is_clients", "ssh_words"]

HOW = "LABCTL_TERMINAL"
GET = {"ssh": "OpenSSH's client is an optional feature of Windows, and Debian's openssh-client."}
DOCKER = "https://docs.docker.com/get-started/get-docker/ has Docker's."


def is_clients() -> bool:
    """Whether a terminal is left to a client."""
    return sys.platform == "win32" or os.environ.get(HOW) == "client"


def ssh_words(login: Login, text: str) -> list[str]:
    """OpenSSH's command line for a command with a terminal: the lab's own key and host keys, and nobody else's."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": f"{login.limits.connect:g}",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _file(login.known_hosts.as_posix()),
        "GlobalKnownHostsFile": "none",
        **({"HostKeyAlias": login.alias} if login.alias else {}),
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    key = login.key.as_posix().replace("%", "%%")
    return ["ssh", "-F", "none", "-t", *given, "-i", key, "-p", str(login.port), f"{login.user}@{login.address}", text]


def docker_words(
    endpoint: Endpoint, container: str, command: Sequence[str], *, user: str
) -> tuple[list[str], Mapping[str, str]]:
    """Docker's command line for a command with a terminal, and the environment that points it at the engine."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    ours["DOCKER_HOST"] = endpoint.url
    if endpoint.tls is not None:
        ours |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(endpoint.tls)}
    given = {"TERM": os.environ.get("TERM", "xterm"), "USER": user, "LOGNAME": user}
    variables = [word for key, value in given.items() for word in ("-e", f"{key}={value}")]
    # Without it Ctrl-P, which a shell's history is walked by, waits for the key after it.
    detach = ["--detach-keys", "ctrl-^,ctrl-^"]
    return ["docker", "exec", "-it", *detach, "-u", user, *variables, container, *command], ours


def hand_over(words: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Give our terminal to a client until its end, and return its exit code. Raises HostError when it is not there."""
    import shutil
    import subprocess

    program = shutil.which(words[0])
    if program is None:
        hint = GET.get(words[0], DOCKER)
        raise HostError(f"a terminal on a node needs the program {words[0]}, which is not installed here", hint=hint)
    return subprocess.call([program, *words[1:]], env=environment)


def _file(path: str) -> str:
    """A path as an option's value: quoted, for it may have spaces, and without tokens."""
    return f'"{path.replace("%", "%%")}"'
