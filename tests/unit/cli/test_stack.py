"""stack: which files and which name are meant, what is said of one-shots, and of a file that only a newer CLI takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from labctl.cli import stack as cli
from labctl.errors import UsageError
from labctl.swarm.progress import Progress
from labctl.swarm.refusal import FileRefused

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
        cli._read([A, Path("-")])


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ([(1, 0)], "1 service runs"),
        ([(1, 0), (0, 1)], "1 service runs, 1 service completed"),
        ([(0, 1), (0, 1)], "2 services completed"),
    ],
)
def test_what_has_completed_is_not_said_to_run(services: list[tuple[int, int]], said: str) -> None:
    found = [Progress("web", running, 1, done=True, completed=completed) for running, completed in services]

    assert cli._summary(found) == said


@pytest.mark.parametrize(("code", "is_told"), [(0, True), (1, False)])
def test_a_file_that_this_machines_cli_takes_is_told_with_the_way_that_works(
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
    assert ("`labctl docker -- stack deploy -c a.yml -c b.yml web`" in hint) is is_told
