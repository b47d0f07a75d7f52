"""A learner and their terminal, on a real lab: ticks, answers, Ctrl-Z and `fg`, other sizes, and others who follow."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.lab import Lab

pytestmark = pytest.mark.lab

TEXT = """---
format: 1
id: files
title: Files
summary: Nothing but files
minutes: 2
lab: {managers: 1, workers: 1}
---

Welcome.

## Make a secret {#secret minutes=1}

Make a secret called `key` of your swarm.

```question id=leader exact=manager1
Which node leads the managers?
```

<details><summary>Solution</summary>

```sh node=m1 solve
echo 1 | docker secret create key -
```

</details>

<details><summary>Debrief</summary>

It is in the managers' log now.

</details>

## Make a file {#file}

Make `/tmp/guide` on worker 1.

```sh node=w1 solve
touch /tmp/guide
```

```sh node=m1 reset fail=ok
docker secret rm key
```

```sh node=w1 reset
rm -f /tmp/guide
```
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m")
CHECKS = '''
import pytest
from labctl.checks import not_yet


@pytest.mark.step("secret")
def test_secret(swarm):
    """There is a secret called key."""
    swarm.secret("key")


@pytest.mark.step("file")
@pytest.mark.every(1)
def test_file(node):
    """There is the file."""
    if not node("w1").file("/tmp/guide").exists:
        not_yet("there is no file", look="ls /tmp/guide")
'''


@pytest.fixture
def files(shared_lab: Lab, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "exercise.md").write_text(TEXT)
    (folder / "test_files.py").write_text(CHECKS)
    yield folder
    labctl("exercise", "reset", str(folder), "--yes", "-l", shared_lab.name)


def labctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labctl", *words], capture_output=True, encoding="utf-8", check=False, timeout=120
    )


class Terminal:
    """A program on a terminal of its own, as a person has it in front of them."""

    def __init__(self, *words: str, columns: int = 100, rows: int = 40) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            time.sleep(0.2)  # until the terminal has its size
            os.execv(sys.executable, [sys.executable, "-m", "labctl", *words])
        self.said = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str, limit: float = 120.0) -> str:
        deadline = time.monotonic() + limit
        while text not in self.said:
            assert time.monotonic() < deadline, self.said[-3000:]
            self._read()
        before, _, self.said = self.said.partition(text)
        return before

    def _read(self) -> None:
        ready, _, _ = select.select([self.fd], [], [], 0.2)
        if ready:
            try:
                self.said += STYLE.sub("", os.read(self.fd, 65536).decode(errors="replace"))
            except OSError as gone:
                raise AssertionError(self.said[-3000:]) from gone

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def kill(self) -> None:
        """End it whatever it is at, if it has not ended."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def end(self) -> int:
        while True:
            try:
                self._read()
            except AssertionError:
                break
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def guided(files: Path, shared_lab: Lab) -> Iterator[Callable[..., Terminal]]:
    begun: list[Terminal] = []

    def begin(**how: int) -> Terminal:
        begun.append(Terminal("exercise", str(files), "-l", shared_lab.name, **how))
        return begun[-1]

    yield begin
    for terminal in begun:
        terminal.kill()


def test_a_tick_comes_and_goes_and_a_step_stays_done(guided: Callable[..., Terminal], shared_lab: Lab) -> None:
    terminal, manager = guided(), shared_lab.nodes[0]
    terminal.until("Not yet: there is no secret key")
    terminal.until("[a] answer")
    terminal.type("amanager1\n")
    terminal.until("You answered: manager1.")

    manager.expect("echo 1 | docker secret create key -")
    terminal.until("It is in the managers' log now.")
    terminal.until("[n] next")
    manager.expect("docker secret rm key")
    terminal.until("it is no longer so")
    terminal.type("n")
    terminal.until("Not yet: there is no file")
    shared_lab.nodes[1].expect("touch /tmp/guide")
    terminal.until("[n] finish")
    terminal.type("l")
    terminal.until("no longer so: there is no secret key")
    terminal.type("n")
    terminal.until("Files: done")
    terminal.until("No longer as it was: Make a secret")

    assert terminal.end() == 0


def test_ctrl_z_and_fg_leave_the_keys_alive(guided: Callable[..., Terminal]) -> None:
    terminal = guided()
    terminal.until("Not yet: there is no secret key")
    raw = termios.tcgetattr(terminal.fd)
    os.kill(terminal.pid, signal.SIGSTOP)
    cooked = termios.tcgetattr(terminal.fd)
    cooked[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(terminal.fd, termios.TCSANOW, cooked)

    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until("Make a secret")

    terminal.type("?")
    terminal.until("reset: says what it takes away")
    assert termios.tcgetattr(terminal.fd)[3] == raw[3]
    terminal.type("q")
    assert terminal.end() == 0


def test_ctrl_c_at_a_question_ends_the_answer_and_not_the_checks(
    guided: Callable[..., Terminal], shared_lab: Lab
) -> None:
    terminal = guided()
    terminal.until("Not yet: there is no secret key")
    terminal.type("\x1bOQ\x1b[B")  # F2, and an arrow: no letters
    terminal.type("a")
    terminal.until("Which node leads the managers?")
    terminal.until("> ")
    terminal.type("\x03")
    terminal.until("[c] check now")

    shared_lab.nodes[0].expect("echo 1 | docker secret create key -")
    terminal.until("the question is not answered yet")
    terminal.type("q")
    terminal.until("Your place is kept")
    assert terminal.end() == 0


def test_a_terminal_that_is_resized_is_drawn_anew(guided: Callable[..., Terminal]) -> None:
    terminal = guided(columns=100)
    terminal.until("Not yet: there is no secret key")

    terminal.resize(40, 40)
    terminal.until("\x1b[2J")
    terminal.until("Not yet: there is no secret key")

    terminal.type("q")
    assert terminal.end() == 0


def test_a_long_text_waits_at_each_screenful(guided: Callable[..., Terminal], files: Path) -> None:
    long = "\n\n".join(f"Line {number}." for number in range(40))
    (files / "exercise.md").write_text(TEXT.replace("Welcome.", long))
    terminal = guided(columns=60, rows=20)

    shown = terminal.until("more: space or Enter")
    assert "Line 0." in shown
    assert "Line 39." not in shown
    terminal.type("q")
    terminal.until("Make a secret called")


def test_events_are_lines_of_json_for_others_who_follow(files: Path, shared_lab: Lab) -> None:
    assert labctl("exercise", str(files), "--plain", "-l", shared_lab.name).returncode == 0
    command = [sys.executable, "-m", "labctl", "exercise", "watch", "-l", shared_lab.name, "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as following:
        assert following.stdout is not None
        events = (json.loads(line) for line in following.stdout)
        assert next(events)["event"] == "step-shown"
        wrong = labctl("exercise", "answer", "worker1", "-l", shared_lab.name)
        assert (wrong.returncode, wrong.stdout) == (1, "✗ Not right.\n")
        right = labctl("exercise", "answer", "leader", "Manager1", "-l", shared_lab.name)
        assert (right.returncode, right.stdout) == (0, "✓ Right.\n")
        shared_lab.nodes[0].expect("echo 1 | docker secret create key -")
        done = next(event for event in events if event["event"] == "step-done")
        assert done["debrief"] == "It is in the managers' log now."
        following.send_signal(signal.SIGINT)
        assert following.wait(60) == 130
