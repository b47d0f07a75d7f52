"""What a stack file needs to travel: the files it names, the variables it takes; and what is wrong with its line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from labctl.errors import UsageError
from labctl.swarm.stackfile import StackFile, read_stack_file

ONE = "services:\n  web:\n    image: nginx\n"


def written(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    path = folder / "stack.yml"
    path.write_text(text)
    return path


def read(folder: Path, text: str, environment: Mapping[str, str] | None = None, **files: str) -> StackFile:
    return read_stack_file(written(folder, text, **files), environment or {})


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_stack_file(path, {})
    return caught.value.message


def test_services_are_known_by_name(tmp_path: Path) -> None:
    found = read(tmp_path, "services:\n  web: {image: a}\n  db: {image: b}\n")

    assert found.services == ("web", "db")
    assert found.top == tmp_path


def test_files_are_found_wherever_they_are_named(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: nginx
    env_file: [a.env, b.env]
  db:
    image: postgres
    env_file: a.env
  api:
    image: x
    env_file: [{path: c.env, required: false}]
secrets:
  password: {file: ./pw.txt}
  other: {external: true}
configs:
  site: {file: site.conf}
"""
    for name in ("a.env", "b.env", "pw.txt", "site.conf"):
        (tmp_path / name).write_text("x")

    found = read(tmp_path, text)

    assert [reference.said for reference in found.references] == ["a.env", "b.env", "./pw.txt", "site.conf"]
    assert all(reference.path.read_text() == "x" for reference in found.references)


def test_what_lies_above_the_file_raises_the_top(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pw.txt").write_text("x")

    found = read(inner, ONE + "secrets: {pw: {file: ../../pw.txt}}\n")

    assert found.top == tmp_path


def test_every_missing_file_is_told_with_its_line(tmp_path: Path) -> None:
    text = ONE + "    env_file:\n      - no.env\nsecrets:\n  pw:\n    file: no.txt\n  folder: {file: sub}\n"
    (tmp_path / "sub").mkdir()

    path = written(tmp_path, text)

    assert refused(path).splitlines() == [
        f"{path}:5: the environment of web is in no.env, which is missing",
        f"{path}:8: the secret pw is in no.txt, which is missing",
        f"{path}:9: the secret folder is in sub, which is a folder, not a file",
    ]


def test_variables_that_nobody_set_are_known(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: "nginx:${TAG}${OTHER:-1}${MUST:?set it}$$HOME"  # costs $MONEY
    command: [echo, $WHO, $SET]
"""

    assert read(tmp_path, text, {"SET": ""}).unset == ("TAG", "WHO")


def test_only_the_variables_that_it_refers_to_are_taken(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: nginx:${TAG:-latest}
    command: echo $WHO $$HOME ${UNSET}
    environment:
      - BARE
      - SAID=1
  db:
    image: x
    environment: {NULL: , GIVEN: "1"}
"""
    environment = dict.fromkeys(("TAG", "WHO", "HOME", "BARE", "SAID", "NULL", "GIVEN", "SECRET"), "x")

    assert sorted(read(tmp_path, text, environment).environment) == ["BARE", "NULL", "TAG", "WHO"]


def test_a_name_without_a_value_in_an_env_file_is_taken_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "b.env").write_text("\ufeffFROM_B\r\n")
    text = "services:\n  a: {image: a, env_file: d.env}\n  b: {image: b, env_file: ['./${DIR}/b.env']}\n"
    secret = "secrets:\n  s: {file: s.txt}\n"
    environment = {"D": "dval", "F": "mine", "C": "no", "FROM_B": "b", "DIR": "e", "S": "no", "OTHER": "no"}

    found = read(tmp_path, text + secret, environment, **{"d.env": "# C\n#C\n\n  D  \nF=1\nUNSET\n", "s.txt": "S\n"})

    assert found.environment == {"D": "dval", "FROM_B": "b", "DIR": "e"}


@pytest.mark.parametrize(
    ("said", "environment"),
    [
        ("${WHERE}/pw.txt", {"WHERE": "."}),
        ("$WHERE/pw.txt", {"WHERE": "."}),
        ("${WHERE:-.}/pw.txt", {}),
        ("${WHERE:-.}/pw.txt", {"WHERE": ""}),
        ("${WHERE-.}/pw.txt", {}),
        ("${THERE:+pw.txt}", {"THERE": "1"}),
    ],
)
def test_paths_are_filled_in_as_docker_does(tmp_path: Path, said: str, environment: dict[str, str]) -> None:
    found = read(tmp_path, ONE + f"secrets: {{pw: {{file: '{said}'}}}}\n", environment, **{"pw.txt": "x"})

    assert [reference.path.name for reference in found.references] == ["pw.txt"]


def test_folders_of_this_machine_that_it_mounts_are_known(tmp_path: Path) -> None:
    text = ONE + "    volumes: [./data:/data, 'named:/x', '/abs:/y', {type: bind, source: ../up, target: /z}]\n"

    assert read(tmp_path, text).binds == ("./data", "../up")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it defines no services, so nothing would run"),
        ("version: '3'\n", "it defines no services, so nothing would run"),
        ("services:\n", "it defines no services, so nothing would run"),
        ("services: [web]\n", "it defines no services, so nothing would run"),
        ("services:\n  web:\n    image: x\n   ports: [1]\n", ":4: "),
        ("services:\n\tweb: {}\n", ":2: a tab; YAML indents with spaces"),
        ("services:\n  web: {image: a}\n  web: {image: b}\n", ":3: 'web' is there twice"),
    ],
)
def test_what_is_no_stack_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(written(tmp_path, text))


def test_only_a_path_is_told_where_paths_count_from(tmp_path: Path) -> None:
    twice = "services:\n  web:\n    image: a\n    image: b\n"
    for text, told in ((twice, False), (twice + "    env_file: none.env\n", True)):
        with pytest.raises(UsageError, match=":4: 'image' is there twice") as caught:
            read_stack_file(written(tmp_path, text), {})
        assert ("Paths count" in (caught.value.hint or "")) is told


def test_a_file_that_is_not_there_is_told_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "docker-stack.yml").write_text(ONE)

    with pytest.raises(UsageError, match="there is no file") as caught:
        read_stack_file(tmp_path / "stack.yml", {})

    assert "docker-stack.yml" in (caught.value.hint or "")


def test_folders_and_binaries_are_no_stack_files(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")

    assert "is a folder" in refused(tmp_path)
    assert "is not text" in refused(tmp_path / "binary")


def test_the_cli_s_complaints_are_placed(tmp_path: Path) -> None:
    found = read(tmp_path, "services:\n  web:\n    image: nginx\n    foo: 1\n")

    assert found.place_of("services.web Additional property foo is not allowed") == "stack.yml:4"
    assert found.place_of("services.web.image must be a string") == "stack.yml:3"
    assert found.place_of("something else") == "stack.yml"


def test_a_pipe_or_a_device_is_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    os.mkfifo(tmp_path / "pipe")
    path.write_text("services: {a: {image: a}}\nsecrets:\n  p: {file: pipe}\n  d: {file: /dev/null}\n")

    with pytest.raises(UsageError) as caught:
        read_stack_file(path, {})

    assert "the secret p is in pipe, which is not a regular file" in caught.value.message
    assert "the secret d is in /dev/null, which is not a regular file" in caught.value.message
