"""stack: which files and which name are meant, and what is said of a file that only a newer CLI takes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from labctl.cli import stack as cli
from labctl.cli.stack_rows import print_rows, task_fields
from labctl.errors import UsageError
from labctl.lab.stacklists import StackTask
from labctl.swarm.refusal import FileRefused

from .conftest import Labctl

A, B, NONE = Path("a.yml"), Path("b.yml"), ()


@pytest.mark.parametrize(
    ("file", "name", "files", "meant"),
    [
        (A, "web", NONE, ((A,), "web")),
        (Path("web"), None, (A, B), ((A, B), "web")),
    ],
)
def test_a_stack_is_named_with_labctls_words_or_with_dockers(
    file: Path, name: str | None, files: tuple[Path, ...], meant: object
) -> None:
    assert cli._meant(file, name, files) == meant


@pytest.mark.parametrize(
    ("file", "name", "files"), [(None, None, NONE), (A, None, NONE), (None, None, (A,)), (A, "b", (B,))]
)
def test_other_words_are_refused_with_an_example(file: Path | None, name: str | None, files: tuple[Path, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        cli._meant(file, name, files)

    assert "labctl stack deploy" in str(caught.value.hint)


def test_stdin_is_no_one_of_several_files() -> None:
    with pytest.raises(UsageError, match="cannot be one of several"):
        cli._checked([A, Path("-")])


@pytest.mark.parametrize(("code", "is_told"), [(0, True), (1, False)])
def test_a_file_that_this_machines_cli_parses_is_told_with_the_command_to_try(
    monkeypatch: pytest.MonkeyPatch, code: int, is_told: bool
) -> None:
    tried: list[Any] = []

    def run(words: list[str], **_more: Any) -> subprocess.CompletedProcess[str]:
        tried.append(words)
        return subprocess.CompletedProcess(words, code)

    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")
    monkeypatch.setattr("subprocess.run", run)

    hint = str(cli._with_own_cli(FileRefused("no", cli="The docker command of manager1 (26.1.5)"), [A, B], "web").hint)

    assert tried == [["/usr/bin/docker", "stack", "config", "-c", "a.yml", "-c", "b.yml"]]
    assert hint.startswith("The docker command of manager1 (26.1.5) said so.")
    told = " This machine's own accepts its syntax: `labctl docker -- stack deploy -c a.yml -c b.yml web`."
    assert hint.endswith(told) is is_told


# -- docker's own words


@pytest.mark.parametrize(
    ("words", "detach", "prune"),
    [
        (["a.yml", "web"], False, False),
        (["-d", "a.yml", "web"], True, False),
        (["--detach", "a.yml", "web"], True, False),
        (["--detach=true", "a.yml", "web"], True, False),
        (["--detach=false", "a.yml", "web", "--prune=1"], False, True),
        (["-d=true", "--detach=false", "a.yml", "web"], False, False),
    ],
)
def test_a_flag_takes_true_and_false_behind_a_sign_and_never_the_next_word(
    words: list[str], detach: bool, prune: bool
) -> None:
    context = cli.stack.commands["deploy"].make_context("deploy", list(words))

    assert (context.params["detach"], context.params["prune"]) == (detach, prune)
    assert (context.params["file"], context.params["name"]) == (A, "web")


def test_another_value_of_a_flag_is_refused() -> None:
    with pytest.raises(UsageError, match="--detach=maybe: a flag is true or false"):
        cli.stack.commands["deploy"].make_context("deploy", ["--detach=maybe", "a.yml", "web"])


@pytest.mark.parametrize(("word", "verb"), [("up", "deploy"), ("down", "rm"), ("remove", "rm"), ("ps", "ps")])
def test_dockers_other_names_of_a_verb_are_known_and_not_listed(word: str, verb: str) -> None:
    context = click.Context(cli.stack)

    assert cli.stack.get_command(context, word) is cli.stack.commands[verb]
    assert {"up", "down", "remove"}.isdisjoint(cli.stack.list_commands(context))


def test_a_tasks_fields_are_dockers_and_whole_where_that_is_asked_for() -> None:
    error = "failed to create task for container: no"
    task = StackTask("abcdefghijklmnop", "web_a.1", "web_a", "a:1", "sha256:1", "", "running", "pending", 0.0, error)

    short, whole = task_fields(task), task_fields(task, whole=True)

    assert (short["ID"], short["Image"], short["Error"]) == ("abcdefghijkl", "a:1", "no")
    assert (whole["ID"], whole["Image"], whole["Error"]) == (task.id, "a:1@sha256:1", error)


def test_a_format_is_a_template_over_dockers_fields(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"Name": "web", "Services": 2}]

    for template in ("{{.Name}}", "table {{.Name}}\\t{{.Services}}", "json"):
        print_rows(template, rows)

    assert capsys.readouterr().out.splitlines() == [
        "web", "NAME   SERVICES", "web    2", '{"Name": "web", "Services": 2}',
    ]  # fmt: skip


# -- removal of several


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A lab with the stacks `web` (a part of it on a silent worker1), `db` and `wbx`; what is removed is listed."""
    from labctl.cli.common import App
    from labctl.lab import removing
    from labctl.swarm import stack as stacks

    done: list[str] = []

    def remove(_manager: object, name: str, **_more: Any) -> tuple[str, ...]:
        done.append(name)
        return ("worker1",) if name == "web" else ()

    def lab(app: App) -> Any:
        context = SimpleNamespace(emit=app.emit, engine=None)
        return SimpleNamespace(name="lab", nodes=(), manager=lambda: SimpleNamespace(engine=None), context=context)

    monkeypatch.setattr(App, "lab", lab)
    monkeypatch.setattr(stacks, "names", lambda _view: {"web", "db", "wbx"} - set(done))
    monkeypatch.setattr(stacks, "remove", remove)
    monkeypatch.setattr(removing, "_close_ports", lambda _lab: None)
    return done


def test_a_name_that_is_not_there_keeps_no_other_stack_and_is_told(labctl: Labctl, removed: list[str]) -> None:
    said = labctl("stack", "rm", "wbe", "web", "nothing", "db", "web")

    assert sorted(removed) == ["db", "web"]
    assert said.code == 2
    assert "no stack named 'wbe': did you mean wbx?" in said.err
    assert "no stack named 'nothing': there is: wbx\n" in said.err, "what was removed is there no more"


def test_a_removal_says_where_containers_may_go_on(labctl: Labctl, removed: list[str]) -> None:
    said = labctl("stack", "rm", "web", "db")

    assert said.code == 0
    assert "worker1 does not answer: containers of web may go on there until it is back" in said.err
    assert "containers of db" not in said.err


def test_a_removal_as_json_tells_of_each_stack(labctl: Labctl, removed: list[str]) -> None:
    said = labctl("stack", "rm", "web", "db", "wbe", "-o", "json")

    assert said.code == 2
    assert json.loads(said.out) == [
        {"stack": "web", "removed": True, "silent_nodes": ["worker1"]},
        {"stack": "db", "removed": True, "silent_nodes": []},
        {"stack": "wbe", "removed": False, "silent_nodes": []},
    ]


def test_a_command_that_fails_before_it_printed_json_prints_its_error_as_json(
    labctl: Labctl, removed: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("services: [\n")

    said = labctl("-l", "demo", "stack", "deploy", str(file), "web", "-o", "json")

    told = json.loads(said.out)
    assert said.code == told["exit_code"] == 2
    assert f"labctl: {told['error']}" in said.err
    assert labctl("stack", "deploy", str(file), "web").out == ""
