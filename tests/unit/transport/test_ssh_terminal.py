"""`labctl ssh` over SSH: at a terminal, and between pipes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl.transport import Terminal
from tests.integration.verbs import terminal

from .conftest import Reach, Serve

CODE = """
import sys
from pathlib import Path
from labctl.transport.ssh import Ssh
port, folder, *command = sys.argv[1:]
folder = Path(folder)
files = {"key": folder / "user", "known_hosts": folder / "known_hosts"}
ssh = Ssh("127.0.0.1", node="w1", user="vagrant", port=int(port), **files)
sys.exit(ssh.interactive(command, user="vagrant"))
"""


class Guest:
    """Commands of a process of their own that runs `Ssh.interactive`."""

    def __init__(self, port: int, folder: Path) -> None:
        self._words = [sys.executable, "-c", CODE, str(port), str(folder)]

    def __call__(self, *command: str) -> list[str]:
        return [*self._words, *command]


@pytest.fixture
def guest(serve: Serve, reach: Reach, tmp_path: Path) -> Guest:
    server = serve()
    reach(server).close()
    return Guest(server.port, tmp_path)


def run(command: Sequence[str], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)


def test_what_is_piped_in_comes_out_as_it_was(guest: Guest) -> None:
    content = os.urandom(3_000_000)

    done = run(guest("cat"), content)

    assert (done.returncode, done.stdout) == (0, content)


def test_both_outputs_and_the_code_come_through(guest: Guest) -> None:
    done = run(guest("/bin/sh", "-c", 'echo "out $1"; echo err >&2; exit 7', "sh", "it's $HOME"))

    assert (done.returncode, done.stdout, done.stderr) == (7, b"out it's $HOME\n", b"err\n")
    assert run(guest("/bin/sh", "-c", "kill -9 $$")).returncode == 137


def test_ctrl_c_ends_the_command_on_the_node_too(guest: Guest, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    process = subprocess.Popen(
        guest("/bin/sh", "-c", f"echo $$ > {noted}; echo begun; exec sleep 300"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(30) != 0
    process.stdout.close()
    wait_gone(int(noted.read_text()))


def test_a_command_whose_reader_has_gone_is_ended(guest: Guest, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    process = subprocess.Popen(
        guest("/bin/sh", "-c", f"echo $$ > {noted}; exec yes"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()

    assert process.wait(30) != 0
    wait_gone(int(noted.read_text()))


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"{pid} is still there")


def test_a_shell_at_a_terminal(guest: Guest) -> None:
    with terminal(guest("/bin/sh"), lines=30, columns=100) as seat:
        seat.wait_for(r"[#$] ")
        assert seat.is_raw()
        seat.type("stty size; echo term=$TERM\n")
        seat.wait_for(r"30 100\s+term=xterm")
        seat.resize(41, 123)
        seat.type("sleep 0.5; stty size\n")
        seat.wait_for(r"41 123")
        seat.type("sleep 300\n")
        time.sleep(0.5)  # for the command to have begun; Ctrl-C then is for it
        seat.type("\x03")
        seat.wait_for(r"\^C")
        seat.type("exit 9\n")
        assert seat.wait() == 9
        assert not seat.is_raw(), "the terminal is as it was"


def test_ctrl_c_at_a_terminal_is_for_the_command_alone(guest: Guest) -> None:
    script = "trap 'echo heard; exit 4' INT; echo ready; while :; do sleep 0.1; done"
    with terminal(guest("/bin/sh", "-c", script)) as seat:
        seat.wait_for("ready")
        seat.type("\x03")
        seat.wait_for("heard")
        assert seat.wait() == 4


def test_a_connection_that_dies_gives_the_terminal_back(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    server = serve()
    reach(server).close()
    with terminal(Guest(server.port, tmp_path)("/bin/sh", "-c", "echo ready; sleep 5")) as seat:
        seat.wait_for("ready")
        assert seat.is_raw()
        server.drop()
        seat.wait_for("the connection was lost")
        assert seat.wait() != 0
        assert not seat.is_raw()


def test_a_terminal_that_a_program_holds(serve: Serve, reach: Reach) -> None:
    ssh = reach(serve())
    with ssh.terminal(["/bin/sh"], user="vagrant", rows=30, columns=100) as seat:
        seat.send(b"stty size; echo term=$TERM\n")
        shown(seat, r"30 100\s+term=")
        seat.resize(41, 123)
        seat.send(b"sleep 0.5; stty size\n")
        shown(seat, r"41 123")
        seat.send(b"exit 9\n")
        while seat.read():
            pass
        assert seat.exit_code() == 9


def test_a_terminal_that_is_closed_ends_its_read_and_its_command(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    seat = reach(serve()).terminal(["/bin/sh", "-c", f"echo $$ > {noted}; echo begun; exec sleep 300"], user="vagrant")
    shown(seat, "begun")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(seat.read)
        seat.close()
        assert reading.result(20) == b""

    wait_gone(int(noted.read_text()))


def shown(seat: Terminal, pattern: str) -> None:
    said = ""
    while not re.search(pattern, said):
        data = seat.read()
        assert data, said
        said += data.decode(errors="replace")
