"""Commands on a real lab with closed streams, and on a terminal without UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labctl.lab import Lab

pytestmark = pytest.mark.lab

ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def call(lab: Lab, words: list[str], redirection: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run labctl on the lab in a shell that closes what `redirection` says."""
    command = [sys.executable, "-m", "labctl", "-l", lab.name, *words]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ssh", "w1", "exit 7"], 7),
        (["exec", "--", "true"], 0),
        (["docker", "--", "node", "ls"], 0),
        (["scp", "/etc/hostname", "w1:/tmp/"], 0),
        (["map"], 0),
        (["status"], 0),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_the_exit_code_is_that_of_the_work(shared_lab: Lab, words: list[str], code: int, redirection: str) -> None:
    done = call(shared_lab, words, redirection)

    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("words", [["map"], ["status"], ["ls"], ["verify"]], ids=lambda words: words[0])
def test_without_utf_8_the_same_is_told_in_ascii(shared_lab: Lab, words: list[str]) -> None:
    done = call(shared_lab, words, **ASCII)

    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert b"?" not in done.stdout
