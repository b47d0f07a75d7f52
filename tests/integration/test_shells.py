"""`labctl env` in the shells themselves: what they set leads to the node, and `-u` takes it away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.cli.shells import SHELLS
from labctl.engine import host_endpoint
from labctl.lab import Lab, UpOptions
from tests.integration.verbs import LABCTL, labctl

pytestmark = pytest.mark.lab

NAMES = ("DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and a worker."""
    return make_lab(workers=1, registry=False, options=UpOptions(verify=False))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with a `labctl` in it."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "labctl"
    command.write_text(f"#!{sys.executable}\nfrom labctl.__main__ import main\nmain()\n")
    command.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


# As each shell's users type it: docker-machine's own hint, and the quoted form.
LINES = {
    "bash": ['eval "$(labctl env worker1)"', "eval $(labctl env worker1)", "eval $(labctl env -u)"],
    "zsh": ['eval "$(labctl env worker1)"', "eval $(labctl env worker1)", "eval $(labctl env -u)"],
    "fish": ["eval (labctl env worker1)", "labctl env worker1 | source", "eval (labctl env -u)"],
    "tcsh": ["eval `labctl env worker1`", "eval `labctl env worker1`", "eval `labctl env -u`"],
}


def shell(name: str, script: str, lab: Lab, path: str) -> str:
    """Run a script in a shell that its user works in, and return what it printed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    clean = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [program, *(["-f"] if name in ("tcsh", "zsh") else []), "-c", script],
        env={**clean, "SHELL": program, "PATH": path, "LABCTL_LAB": lab.name, "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("form", [0, 1])
def test_a_shell_talks_to_the_node_and_stops_talking(name: str, form: int, lab: Lab, path: str) -> None:
    line, unset = LINES[name][form], LINES[name][2]
    look = "printenv DOCKER_HOST; printenv DOCKER_MACHINE_NAME; labctl active; labctl ls -q"

    printed = shell(name, f"{line}; {look}; {unset}; env | awk '/^DOCKER_[HTM]/ {{n++}} END {{print n+0}}'", lab, path)

    assert printed.split() == [lab.node("w1").endpoint.url, "worker1", "worker1", "manager1", "worker1", "0"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bash", 'eval "$(cat {})"'),
        ("zsh", 'eval "$(cat {})"'),
        ("fish", "cat {} | source"),
        ("tcsh", "eval `cat {}`"),
    ],
)
def test_a_value_comes_through_as_it_is(name: str, line: str, lab: Lab, path: str, tmp_path: Path) -> None:
    value = '/home/$USER/it\'s `a` "b" !c \\d *?'
    said = tmp_path / "said"
    said.write_text(SHELLS[name].setting({"LABCTL_TEST": value}, "labctl env"))

    assert shell(name, f"{line.format(said)}; printenv LABCTL_TEST", lab, path) == f"{value}\n"


@pytest.mark.skipif(shutil.which("docker") is None, reason="no Docker CLI here")
def test_the_docker_cli_talks_to_the_first_manager(lab: Lab, path: str) -> None:
    printed = shell("bash", 'eval "$(labctl env)" && docker node ls --format "{{.Hostname}}"', lab, path)

    assert printed.split() == ["manager1", "worker1"]


def test_a_shell_that_asks_before_it_runs_comments_takes_it_too(lab: Lab, path: str) -> None:
    """An interactive zsh knows no comments, save in what it evaluates."""
    program = shutil.which("zsh")
    if program is None:
        pytest.skip("no zsh here")
    done = subprocess.run(
        [program, "-f", "-i", "-c", 'eval "$(labctl env worker1)"; printenv DOCKER_MACHINE_NAME'],
        env={**os.environ, "SHELL": program, "PATH": path, "LABCTL_LAB": lab.name},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "worker1\n"


def test_a_nodes_engine_is_never_taken_for_this_hosts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    own = host_endpoint()
    node = lab.node("m1")
    env = {
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_HOST": node.endpoint.url,
        "DOCKER_CERT_PATH": str(node.endpoint.tls),
        "DOCKER_MACHINE_NAME": node.name,
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert host_endpoint() == own
    assert lab.name in labctl("labs", "-o", "json", env=env).out
    assert labctl("status", lab=lab.name, env=env).code == 0


def test_nothing_but_the_lines_is_on_stdout(lab: Lab) -> None:
    said = labctl("-v", "env", "--shell", "bash", lab=lab.name)

    assert [line.partition("=")[0] for line in said.out.splitlines()[:4]] == [f"export {name}" for name in NAMES]
    assert all(line.startswith("#") for line in said.out.splitlines()[4:])


def test_a_proxy_is_kept_away_from_the_node(lab: Lab) -> None:
    said = labctl("env", "--shell", "bash", "--no-proxy", lab=lab.name, env={"NO_PROXY": "example.org", "no_proxy": ""})

    assert f'export NO_PROXY="example.org,127.0.0.1,{lab.node("m1").address}"' in said.out


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_completes_names_of_commands_and_nodes(name: str, lab: Lab, path: str, tmp_path: Path) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    script = tmp_path / "completion"
    script.write_text(subprocess.run([*LABCTL, "completion", name], capture_output=True, text=True, check=True).stdout)
    words = {
        "bash": "source %s; COMP_WORDS=(labctl ssh wor); COMP_CWORD=2; _labctl_completion labctl; echo ${COMPREPLY[@]}",
        "fish": "source %s; complete -C 'labctl ssh wor'",
        "zsh": "autoload -U compinit; compinit -D; source %s; whence -w _labctl_completion",
    }[name]

    printed = shell(name, words % script, lab, path)

    assert printed.split()[-1] in ("worker1", "function")
