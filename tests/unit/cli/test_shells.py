"""What each shell is told, letter for letter as docker-machine says it."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.cli import env
from labctl.cli.shells import SHELLS, detect, line_that_fails, shell_named
from labctl.errors import NotFoundError
from tests.guard import HANGING

from .conftest import Labctl

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


REMARK = env._other_authority({"REQUESTS_CA_BUNDLE": "/a.pem", "CURL_CA_BUNDLE": "/b.pem"})


@pytest.mark.parametrize("name", SET)
def test_each_shell_is_told_in_a_comment_what_keeps_python_from_the_node(name: str) -> None:
    shell = shell_named(name)
    *values, first, second = SET[name].splitlines(keepends=True)

    assert shell.setting(VALUES, COMMAND, REMARK) == "".join([*values, f"{shell.comment} {REMARK}\n", first, second])
    assert set(REMARK) <= {*string.ascii_letters, *" _:"}  # nothing that a shell reads as its own


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", 'eval "$(cat said)"'),
        ("bash", "eval $(cat said)"),
        ("dash", 'eval "$(cat said)"'),
        ("zsh", 'eval "$(cat said)"'),
        ("fish", "eval (cat said)"),
        ("fish", "cat said | source"),
        ("tcsh", "eval `cat said`"),
    ],
)
def test_a_shell_that_is_told_so_sets_the_values_all_the_same(shell: str, script: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "said").write_text(shell_named(shell).setting(VALUES, "true", REMARK))

    done = subprocess.run(
        [program, "-c", f"{script} && echo $DOCKER_HOST $DOCKER_MACHINE_NAME"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("tcp://127.0.0.1:2376 myvm1\n", "")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, ""),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "/b.pem"}, "while CURL_CA_BUNDLE is set"),
        (
            {"REQUESTS_CA_BUNDLE": "/a.pem", "CURL_CA_BUNDLE": "/b.pem"},
            "while REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are",
        ),
    ],
)
def test_only_an_authority_that_is_named_keeps_python_from_the_node(environ: dict[str, str], told: str) -> None:
    assert told in env._other_authority(environ)
    assert bool(env._other_authority(environ)) is bool(told)


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


@pytest.mark.parametrize(
    ("words", "environ", "line"),
    [
        (["env"], {"SHELL": "/bin/bash"}, "false"),
        (["env", "--shell", "powershell"], {"SHELL": "/bin/bash"}, 'throw "labctl failed"'),
        (["env", "--shell=emacs", "worker1"], {"SHELL": "/bin/bash"}, '(error "labctl failed")'),
        (["env", "--shell", "nosuch"], {"SHELL": "/bin/bash"}, "false"),
        (["env", "--shell"], {"SHELL": "/bin/bash"}, "false"),
        (["env"], {"SHELL": "/bin/bash", "LABCTL_ENV_SHELL": "cmd"}, "cmd /c exit 1"),
    ],
)
def test_a_shell_is_given_a_line_that_fails_in_it(words: list[str], environ: dict[str, str], line: str) -> None:
    assert line_that_fails(words, environ) == line


@pytest.mark.parametrize("words", ["env -l nosuch", "env --nosuch", "--nosuch env", "env --shell nosuch", "env a b"])
@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", 'eval "$({})" && echo WENT ON'),
        ("bash", "eval $({}) && echo WENT ON"),
        ("dash", 'eval "$({})" && echo WENT ON'),
        ("zsh", 'eval "$({})" && echo WENT ON'),
        ("fish", "eval ({}); and echo WENT ON"),
        ("fish", "{} | source; and echo WENT ON"),
        ("tcsh", "eval `{}` && echo WENT ON"),
    ],
)
def test_what_follows_an_env_that_failed_is_not_run(shell: str, script: str, words: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    environ = {**os.environ, "SHELL": program, "HOME": str(tmp_path)}

    done = subprocess.run(
        [program, "-c", script.format(f"{sys.executable} -m labctl {words}")],
        cwd=Path(__file__).parents[3],
        env=environ,
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
    )

    assert (done.returncode != 0, done.stdout) == (True, "")
    assert "labctl: " in done.stderr


def test_what_the_docker_cli_is_given_by_a_config_that_failed_it_refuses(labctl: Labctl) -> None:
    outcome = labctl("config", "-l", "nosuch")

    assert (outcome.code, outcome.out) == (3, "--labctl-config-failed\n")
    assert "the engine does not answer" in outcome.err


def test_a_terminal_is_shown_the_error_alone(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.cli.streams._Output.isatty", lambda _: True)

    assert labctl("env", "-l", "nosuch").out == ""


def test_other_commands_that_fail_print_nothing(labctl: Labctl) -> None:
    assert labctl("status", "-l", "nosuch").out == ""
    assert labctl("--nosuch", "status").out == ""
