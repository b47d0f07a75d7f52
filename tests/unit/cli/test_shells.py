"""What each shell is told, letter for letter as docker-machine says it."""

from __future__ import annotations

import pytest

from labctl.cli.shells import SHELLS, detect, shell_named
from labctl.errors import NotFoundError

VALUES = {"DOCKER_HOST": "tcp://127.0.0.1:2376", "DOCKER_MACHINE_NAME": "myvm1"}
COMMAND = "labctl env myvm1"
SET = {
    "bash": (
        'export DOCKER_HOST="tcp://127.0.0.1:2376"\n'
        'export DOCKER_MACHINE_NAME="myvm1"\n'
        "# Run this command to configure your shell: \n"
        "# eval $(labctl env myvm1)\n"
    ),
    "fish": (
        'set -gx DOCKER_HOST "tcp://127.0.0.1:2376";\n'
        'set -gx DOCKER_MACHINE_NAME "myvm1";\n'
        "# Run this command to configure your shell: \n"
        "# eval (labctl env myvm1)\n"
    ),
    "tcsh": (
        'setenv DOCKER_HOST "tcp://127.0.0.1:2376";\n'
        'setenv DOCKER_MACHINE_NAME "myvm1";\n'
        ": Run this command to configure your shell: \n"
        ": eval `labctl env myvm1`\n"
    ),
    "powershell": (
        '$Env:DOCKER_HOST = "tcp://127.0.0.1:2376"\n'
        '$Env:DOCKER_MACHINE_NAME = "myvm1"\n'
        "# Run this command to configure your shell: \n"
        "# & labctl env myvm1 | Invoke-Expression\n"
    ),
    "cmd": (
        "SET DOCKER_HOST=tcp://127.0.0.1:2376\n"
        "SET DOCKER_MACHINE_NAME=myvm1\n"
        "REM Run this command to configure your shell: \n"
        "REM \t@FOR /f \"tokens=*\" %i IN ('labctl env myvm1') DO @%i\n"
    ),
    "emacs": (
        '(setenv "DOCKER_HOST" "tcp://127.0.0.1:2376")\n'
        '(setenv "DOCKER_MACHINE_NAME" "myvm1")\n'
        ";; Run this command to configure your shell: \n"
        ';; (with-temp-buffer (shell-command "labctl env myvm1" (current-buffer)) (eval-buffer))\n'
    ),
}
UNSET = {
    "bash": "unset DOCKER_HOST",
    "fish": "set -e DOCKER_HOST;",
    "tcsh": "unsetenv DOCKER_HOST;",
    "powershell": "Remove-Item Env:\\\\DOCKER_HOST",
    "cmd": "SET DOCKER_HOST=",
    "emacs": '(setenv "DOCKER_HOST" nil)',
}


@pytest.mark.parametrize("name", SET)
def test_each_shell_is_told_in_its_own_words(name: str) -> None:
    assert shell_named(name).setting(VALUES, COMMAND) == SET[name]


@pytest.mark.parametrize("name", UNSET)
def test_each_shell_forgets_in_its_own_words(name: str) -> None:
    lines = shell_named(name).unsetting(("DOCKER_HOST",), "labctl env -u").splitlines()

    assert lines[0] == UNSET[name]
    assert "labctl env -u" in lines[-1]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bash", 'export P="/a \\"b\\" \\$c\\`d"'),
        ("fish", 'set -gx P "/a \\"b\\" \\$c`d";'),
        ("tcsh", 'setenv P "/a "\\""b"\\"" "\\$"c"\\`"d";'),
        ("powershell", '$Env:P = "/a `"b`" `$c``d"'),
    ],
)
def test_what_a_shell_would_read_as_its_own_is_quoted(name: str, line: str) -> None:
    assert shell_named(name).setting({"P": '/a "b" $c`d'}, "x").splitlines()[0] == line


@pytest.mark.parametrize(("name", "same"), [("zsh", "bash"), ("sh", "bash"), ("ksh", "bash"), ("pwsh", "powershell")])
def test_some_shells_read_what_another_does(name: str, same: str) -> None:
    assert shell_named(name) is SHELLS[same]


def test_an_unknown_shell_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean bash"):
        shell_named("bsh")


@pytest.mark.parametrize(
    ("environ", "platform", "parent", "expected"),
    [
        ({"SHELL": "/usr/bin/fish"}, "linux", None, "fish"),
        ({"SHELL": "/bin/zsh"}, "darwin", None, "bash"),
        ({"SHELL": "/usr/bin/tcsh"}, "linux", None, "tcsh"),
        ({"SHELL": "/bin/nologin"}, "linux", None, "bash"),
        ({"SHELL": "C:\\Program Files\\Git\\bin\\bash.exe"}, "win32", None, "bash"),
        ({}, "linux", "", "bash"),
        ({}, "win32", "powershell.exe", "powershell"),
        ({}, "win32", "pwsh.exe", "powershell"),
        ({}, "win32", "cmd.exe", "cmd"),
        ({}, "win32", "", "cmd"),
        ({"SHELL": "/bin/bash", "__fish_bin_dir": "/usr/bin"}, "linux", None, "fish"),
    ],
)
def test_the_shell_is_found_out(environ: dict[str, str], platform: str, parent: str | None, expected: str) -> None:
    assert detect(environ, platform, parent) is SHELLS[expected]
