"""What the verbs on nodes refuse before an engine is asked, and what needs none."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from .conftest import Engine, Labctl


@pytest.mark.parametrize("driver", ["vmwarefusion", "xhyve"])
def test_a_driver_that_labctl_does_not_know_is_refused_in_one_line(labctl: Labctl, driver: str) -> None:
    said = labctl("create", "--driver", driver, f"--{driver}-memory", "2048", f"--{driver}-cpus=2", "myvm1")

    assert said.code == 2
    message, hint = said.err.splitlines()
    assert f"--driver {driver}" in message
    assert "Leave --driver out" in hint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("create",), "no name was given"),
        (("create", "a", "b"), "2 names were given: a b"),
        (("create", "--driver", "dnid", "a"), "did you mean dind"),
        (("create", "--xhyve-memory", "2048", "a"), "No such option '--xhyve-memory'"),
        (("exec", "@worker", "uptime", "now"), "the command stands behind `--`"),
        (("exec", "@worker"), "behind `--`"),
        (("exec", "--", ""), "behind `--`"),
        (("exec", "--", " ", "x"), "behind `--`"),
        (("exec", "--", "-l", "demo", "uptime"), "-l stands behind `--`, where the nodes' own command begins"),
        (("ssh", "worker1", "-l", "demo"), "labctl ssh -l demo worker1"),
        (("ssh", "-l", "", "worker1"), "-l is empty"),
        (("docker",), "what shall docker do"),
        (("ls", "--filter", "colour=red"), "KEY is one of driver"),
        (("ls", "--timeout", "0"), "0 is not in the range"),
        (("env", "--shell", "bsh"), "did you mean bash"),
        (("node", "add", "a", "--count", "2"), "either names or --count"),
        (("node", "add", "--count", "0"), "0 is not in the range"),
        (("node", "add", "--role", "boss"), "is not one of"),
        (("kill",), "Missing argument"),
        (("rm",), "Missing argument"),
        (("restart",), "Missing argument"),
        (("snapshot", "save"), "Missing argument"),
        (("snapshot", "rm"), "Missing argument"),
        (("scp", "one"), "Missing argument"),
        (("completion", "tcsh"), "is not one of"),
        (("completion",), "Choose from: bash, zsh, fish\n"),
        (("map", "--interval", "0"), "is not in the range"),
        (("logs", "--tail", "-1"), "is not in the range"),
    ],
)
@pytest.mark.usefixtures("empty_engine")
def test_what_cannot_be_meant_is_exit_2(labctl: Labctl, arguments: tuple[str, ...], reason: str) -> None:
    said = labctl(*arguments)

    assert said.code == 2
    assert said.out == ("false\n" if arguments[0] == "env" else "")  # what a shell runs fails there, too
    assert reason in said.err


VERBS = [
    ("ip",),
    ("url",),
    ("inspect",),
    ("env",),
    ("config",),
    ("ssh",),
    ("logs",),
    ("map",),
    ("stop",),
    ("start",),
    ("suspend",),
    ("resume",),
    ("snapshot", "ls"),
    ("snapshot", "save", "fresh"),
    ("snapshot", "restore", "fresh"),
    ("snapshot", "rm", "fresh"),
    ("status",),
    ("exec", "--", "true"),
    ("docker", "--", "ps"),
    ("node", "ls"),
    ("node", "add"),
    ("export", "ssh-config"),
]


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
@pytest.mark.usefixtures("empty_engine")
def test_where_there_is_no_lab_every_verb_says_how_to_make_one(labctl: Labctl, arguments: tuple[str, ...]) -> None:
    said = labctl(*arguments)

    assert said.code == 2
    assert "no lab named 'lab'" in said.err
    assert "labctl up" in said.err


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_where_no_engine_answers_every_verb_says_so(labctl: Labctl, arguments: tuple[str, ...]) -> None:
    said = labctl(*arguments)

    assert said.code == 3
    assert "labctl doctor" in said.err


@pytest.mark.usefixtures("empty_engine")
def test_where_there_is_no_lab_the_list_is_empty(labctl: Labctl) -> None:
    said = labctl("ls")

    assert said.code == 0
    assert said.out == "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"
    assert labctl("ls", "-q").out == ""
    assert json.loads(labctl("ls", "-o", "json").out) == []
    assert labctl("ls", "-l", "other").code == 2


def test_a_shell_that_talks_to_no_node_is_told_without_an_engine(
    labctl: Labctl, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    engine({"GET /containers/json": lambda handler: handler.send(200, []), "GET /networks": _nothing})

    said = labctl("active")

    assert (said.code, said.out) == (1, "")
    assert "labctl env" in said.err


def _nothing(handler: object) -> None:
    handler.send(200, [])  # type: ignore[attr-defined]  # a tiny engine's Handler


def test_unset_needs_no_lab_and_no_engine(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("no_proxy", "a,b")

    assert labctl("env", "-u").out.splitlines()[:4] == [
        "unset DOCKER_TLS_VERIFY",
        "unset DOCKER_HOST",
        "unset DOCKER_CERT_PATH",
        "unset DOCKER_MACHINE_NAME",
    ]
    assert "unset no_proxy" in labctl("env", "-u", "--no-proxy").out


def test_version_is_told_without_an_engine(labctl: Labctl) -> None:
    assert labctl("version").out == labctl("--version").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_with_a_word_on_installing_it(labctl: Labctl, shell: str) -> None:
    said = labctl("completion", shell)

    assert said.code == 0
    assert "_LABCTL_COMPLETE" in said.out
    assert said.out.splitlines()[-1].startswith("# To install: labctl completion")
    if shell == "zsh":
        assert said.out.startswith("#compdef labctl"), "zsh only reads a first line"


def test_a_good_lab_yaml_is_told(labctl: Labctl, alone: Path) -> None:
    (alone / "lab.yaml").write_text("name: course\nmanagers: 3\nworkers: 2\n")

    assert labctl("validate").out == "lab.yaml is good: lab course, 3 managers, 2 workers, dind\n"
    assert json.loads(labctl("validate", "-o", "json").out) == {"file": "lab.yaml", "good": True, "problems": []}


def test_a_lab_yaml_may_come_on_stdin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labctl", "validate", "-"]
    good = subprocess.run(command, input="workers: 2\n", capture_output=True, text=True, check=False)
    bad = subprocess.run(command, input="workers: many\n", capture_output=True, text=True, check=False)

    assert good.returncode == 0
    assert bad.returncode == 2
    assert "/dev/stdin:1: workers" in bad.stderr


def test_all_problems_of_a_lab_yaml_are_told_with_their_lines(labctl: Labctl, alone: Path) -> None:
    (alone / "x.yaml").write_text("name: course\nmanagrs: 3\nworkers: many\n")

    said = labctl("validate", "x.yaml")

    assert said.code == 2
    assert "x.yaml:2: managrs: there is no such key; did you mean managers?" in said.err
    assert "x.yaml:3: workers" in said.err
    found = labctl("validate", "x.yaml", "-o", "json")
    assert found.code == 2
    assert len(json.loads(found.out)["problems"]) == 2


def test_the_schema_is_one(labctl: Labctl) -> None:
    import jsonschema

    schema = json.loads(labctl("schema").out)

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load("nodes: [{name: a, role: manager}, {name: b, swarm: bare}]"), schema)


def test_a_report_is_written_where_no_engine_answers(labctl: Labctl, alone: Path) -> None:
    said = labctl("export", "logs", "-o", "report.tar.gz")

    assert said.code == 0
    assert said.out == f"{alone / 'report.tar.gz'}\n"
    assert (alone / "report.tar.gz").stat().st_size > 0


@pytest.mark.usefixtures("empty_engine")
@pytest.mark.parametrize("named", [(), ("-l", "nope")])
def test_a_report_without_a_lab_is_of_this_machine_alone(labctl: Labctl, alone: Path, named: tuple[str, ...]) -> None:
    said = labctl("export", "logs", *named, "-o", "report.tar.gz")

    assert said.code == 0
    assert "The report is of this machine alone." in said.err
    with tarfile.open(alone / "report.tar.gz") as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    assert "lab/problem.txt" in inside and "versions.json" in inside


@pytest.mark.usefixtures("empty_engine")
def test_a_report_is_not_written_where_no_folder_is_or_for_what_is_no_labs_name(labctl: Labctl, alone: Path) -> None:
    assert labctl("export", "logs", "-o", "none/x.tar.gz").code == 2
    assert labctl("export", "logs", "-l", "../x").code == 2
    assert list(alone.iterdir()) == []


@pytest.mark.parametrize("typed", ["0", "eighty", "80:0"])
def test_what_is_no_port_is_told_once(labctl: Labctl, empty_engine: None, typed: str) -> None:
    said = labctl("port", "add", typed, "-l", "blue")

    assert said.code == 2
    assert said.err.count("is no port") == 1
