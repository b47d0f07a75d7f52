"""What people type on a node that is a container, as on a real machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labctl.assets import asset

STOPS, RESTARTS = "kill -TERM 1", "kill -USR1 1"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a node has a Unix shell")


def typed(name: str, *words: str, user: int = 0) -> subprocess.CompletedProcess[str]:
    """Run dind's `shutdown` under one of its names; what it would kill is only told."""
    script = asset("dind") / "rootfs/usr/local/sbin/shutdown"
    stubs = f'kill() {{ echo "kill $*"; }}; id() {{ echo {user}; }}; . "{script}"'
    return subprocess.run(
        ["/bin/sh", "-c", stubs, f"/usr/local/sbin/{name}", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("shutdown now", STOPS),
        ("shutdown -h now", STOPS),
        ("shutdown -P +1", STOPS),
        ("poweroff", STOPS),
        ("halt -p", STOPS),
        ("reboot", RESTARTS),
        ("reboot -f", RESTARTS),
        ("reboot --poweroff", STOPS),
        ("reboot -p", STOPS),
        ("shutdown -r now", RESTARTS),
        ("shutdown -fr +0", RESTARTS),
        ("shutdown --reboot", RESTARTS),
        ("poweroff --reboot", RESTARTS),
    ],
)
def test_a_node_stops_or_restarts(words: str, told: str) -> None:
    done = typed(*words.split())

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, told)


@pytest.mark.parametrize("words", ["shutdown -c", "shutdown -k now", "shutdown --help", "reboot --help"])
def test_what_only_asks_or_takes_back_stops_nothing(words: str) -> None:
    done = typed(*words.split(), user=1000)

    assert done.returncode == 0
    assert "kill" not in done.stdout
    assert done.stdout + done.stderr


def test_only_root_may() -> None:
    done = typed("shutdown", "-r", "now", user=1000)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "shutdown: only root may do that (sudo shutdown -r now)\n"
