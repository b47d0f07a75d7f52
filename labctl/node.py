"""A node: something with a name, a role and an address that commands run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from labctl.concurrent import Stop
from labctl.engine import Endpoint, Engine
from labctl.engine.errors import PRIVILEGED_HINT, wants_devices
from labctl.errors import CommandFailed, NodeDown
from labctl.events import CommandShown, Emit, quiet
from labctl.transport import Result, Terminal, Transport
from labctl.transport.base import COLUMNS, ROWS, TERM, as_argv

if TYPE_CHECKING:
    from labctl.spec import Role

__all__ = ["DOCKER_VARIABLES", "ENVIRONMENT_FILE", "LOGIN_USER", "Node"]

# Who a person is on a node, as on docker-machine's: one who may use the engine, and sudo without a password.
LOGIN_USER = "docker"
# What a container node is told when it is made, KEY=value lines that its first process reads.
ENVIRONMENT_FILE = "/etc/labctl/environment"
# What leads the Docker CLI to an engine, in docker-machine's order.
DOCKER_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")
LOGIN_SHELL = ("/bin/bash", "-c", "cd; exec bash -l")  # as a login by SSH would, it begins at home


@dataclass
class Node:
    """One node of a lab. `state` is running, exited, paused or created, as it was when it was looked up.

    `endpoint` is where this host reaches its engine; `address` is what the other nodes call it by. `moved_to` is the
    address that somebody has given its machine instead, "" where it has none in the lab's network, None as it shall be.
    `run_id` tells this run of its machine, or its rest since, from all others, and `began` is when that run began, in
    seconds since 1970; `Backend.look` finds them, "" and None where it cannot tell.
    `show` hears each command as a person would type it, for `-v`.
    """

    lab: str
    name: str
    role: Role
    address: str
    state: str
    endpoint: Endpoint
    transport: Transport
    machine: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    moved_to: str | None = None
    run_id: str = field(default="", compare=False)
    began: float | None = field(default=None, compare=False)
    show: Emit = quiet
    open_engine: Callable[[Endpoint, str], Engine] = field(
        default=lambda endpoint, where: Engine(endpoint, where=where), repr=False
    )

    @property
    def is_running(self) -> bool:
        """Whether the node's machine runs."""
        return self.state == "running"

    @property
    def is_manager(self) -> bool:
        """Whether it was made to be a manager; promotion and demotion happen in the swarm."""
        return self.role == "manager"

    @property
    def url(self) -> str:
        """Where this host reaches its engine. Raises NodeDown when the node does not run."""
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        return self.endpoint.url

    @property
    def docker_env(self) -> dict[str, str]:
        """The variables that lead the Docker CLI to its engine. Raises NodeDown when the node does not run."""
        certs = self.endpoint.tls
        values = ("1", self.url, str(certs) if certs else "", self.name)
        return dict(zip(DOCKER_VARIABLES, values, strict=True))

    @cached_property
    def engine(self) -> Engine:
        """The node's own engine. Raises NodeDown when the node does not run."""
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        return self.open_engine(self.endpoint, f"the engine of {self.name}")

    def run(
        self,
        command: str | Sequence[str],
        *,
        limit: float = 60.0,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        hide: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Result:
        """Run a command and return how it ended, whatever the exit code; see Transport.run. Raises NodeDown."""
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        as_argv(command)  # refuses an empty list, whatever the way to the node
        result = self.transport.run(command, limit=limit, stdin=stdin, env=env, hide=hide, stop=stop)
        self.show(CommandShown(self.name, result.shown))
        return result

    def expect(
        self,
        command: str | Sequence[str],
        *,
        limit: float = 60.0,
        stdin: bytes | None = None,
        hide: Sequence[str] = (),
        hint: str | None = None,
    ) -> Result:
        """Run a command that must end with 0. Raises CommandFailed with its words otherwise."""
        result = self.run(command, limit=limit, stdin=stdin, hide=hide)
        if not result.ok:
            devices = PRIVILEGED_HINT if wants_devices(result.stderr) else None
            raise CommandFailed(self.name, result, hint=hint or devices)
        return result

    def stream(self, command: str | Sequence[str], *, stdin: Iterable[bytes] = ()) -> Iterator[bytes]:
        """Run a command on bytes (text goes to the shell) and yield those that it writes.

        Raises NodeDown, and CommandFailed at its end.
        """
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        return self.transport.stream(as_argv(command), stdin=stdin)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file on the node. Raises UsageError where a folder is at the path."""
        self.transport.put(content, path, mode=mode)

    def get(self, path: str) -> bytes:
        """Read a file of the node."""
        return self.transport.get(path)

    def interactive(self, command: Sequence[str], *, user: str = LOGIN_USER) -> int:
        """Give the terminal to a command of one of the node's users, and return its exit code."""
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        return self.transport.interactive(as_argv(command), user=user)

    def terminal(
        self,
        command: str | Sequence[str] = LOGIN_SHELL,
        *,
        user: str = LOGIN_USER,
        term: str = TERM,
        rows: int = ROWS,
        columns: int = COLUMNS,
    ) -> Terminal:
        """Run a command of one of the node's users, a login shell where none is said, with a terminal that you hold.

        Text goes to the shell. The terminal takes and gives bytes, has a size, and is closed by you: see Terminal.
        Raises NodeDown.
        """
        if not self.is_running:
            raise NodeDown(self.name, self.state)
        return self.transport.terminal(as_argv(command), user=user, term=term, rows=rows, columns=columns)
