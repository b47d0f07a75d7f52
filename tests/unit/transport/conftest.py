"""SSH servers in this process, and ways to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from labctl.pki import make_ssh_key
from labctl.transport.ssh import Ssh
from labctl.transport.ssh_connection import Limits

from .ssh_server import SshServer

__all__ = ["QUICK", "Reach", "Serve", "key_in"]

# For servers that shall not answer; the others may take their time on a busy machine.
QUICK = Limits(connect=2, banner=0.5, auth=5, channel=1, answer=1)
Serve = Callable[..., SshServer]
Reach = Callable[..., Ssh]


def key_in(folder: Path, name: str) -> Path:
    """Make a private key."""
    path = folder / name
    path.write_bytes(make_ssh_key(name).key)
    path.chmod(0o600)
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers with the lab's keys."""
    started: list[SshServer] = []
    host, user = key_in(tmp_path, "host"), key_in(tmp_path, "user")

    def start(**how: Any) -> SshServer:
        keys = {"host_key": paramiko.PKey.from_path(host), "allowed": paramiko.PKey.from_path(user)}
        started.append(SshServer(**{**keys, **how}))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    """Make transports to servers; the host's key is recorded unless `known` is False."""
    made: list[Ssh] = []

    def make(server: SshServer, *, known: bool = True, **how: Any) -> Ssh:
        settings: dict[str, Any] = {
            "node": "w1",
            "user": "vagrant",
            "key": tmp_path / "user",
            "known_hosts": tmp_path / "known_hosts",
            "port": server.port,
        }
        made.append(Ssh("127.0.0.1", **{**settings, **how}))
        if known:
            made[-1].pin()
        return made[-1]

    yield make
    for transport in made:
        transport.close()
