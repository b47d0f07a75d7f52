"""Files of a node in the page's editor."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labctl.errors import LabError, UsageError
from labctl.transport import Result
from labctl.transport.base import shown
from labctl.web import files
from tests.unit.nodes import fake_node


@pytest.mark.parametrize("path", ["", "stack.yml", "../etc/passwd", "/a\0b", f"/{'x' * 2000}"])
def test_what_is_no_path_is_asked_of_no_node(path: str) -> None:
    node = fake_node()
    with pytest.raises(UsageError):
        files.read(node, path)
    with pytest.raises(UsageError):
        files.listed(node, path)
    with pytest.raises(UsageError):
        files.write(node, path, "")
    assert node.shell.commands == []


def test_what_is_no_text_or_too_large_is_not_edited() -> None:
    node = fake_node()
    node.put(b"\xff\xfe", "/binary")
    node.put(b"x" * (files.LARGEST + 1), "/large")
    node.put("한국어\n".encode(), "/text")

    assert files.read(node, "/text") == {"path": "/text", "text": "한국어\n"}
    for path in ("/binary", "/large"):
        with pytest.raises(LabError):
            files.read(node, path)
    with pytest.raises(UsageError):
        files.write(node, "/new", "x" * (files.LARGEST + 1))


def test_a_folder_is_no_file_and_what_the_node_refuses_is_told() -> None:
    node = fake_node()
    command = shown(["/bin/sh", "-c", files.WRITE, "/etc", "docker"])
    node.shell.answers[command] = Result(command, files.FOLDER)
    with pytest.raises(UsageError, match="is a folder"):
        files.write(node, "/etc", "x")
    node.shell.answers[command] = Result(command, 1, "", "Read-only file system\n")
    with pytest.raises(LabError, match="Read-only file system"):
        files.write(node, "/etc", "x")


def test_a_list_has_folders_first_and_names_of_any_kind(tmp_path: Path) -> None:
    for name in ("b", ".hidden", "with space", "line\nbreak", "$(touch owned)"):
        (tmp_path / name).touch()
    (tmp_path / "z").mkdir()
    said = subprocess.run(
        ["/bin/sh", "-c", files.LIST, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    node = fake_node()
    node.shell.answers[shown(["/bin/sh", "-c", files.LIST, str(tmp_path)])] = said

    names = files.listed(node, str(tmp_path))["names"]
    assert names == ["z/", "$(touch owned)", ".hidden", "b", "line\nbreak", "with space"]
