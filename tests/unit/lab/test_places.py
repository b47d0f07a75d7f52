"""A path on a node, by the commands that run there: here the node is this machine's own shell."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import CommandFailed, LabError, UsageError
from labctl.lab.copying import copy
from labctl.lab.nodeplace import NodePlace
from labctl.lab.places import LocalPlace
from labctl.transport import FakeTransport, Result
from labctl.transport.base import STREAM_LIMIT

from ..nodes import FakeNode, fake_node


class Here(FakeTransport):
    """Runs what it is told on this machine."""

    def run(self, command: str | Sequence[str], **_: Any) -> Result:
        """Run it."""
        done = subprocess.run(list(command), capture_output=True, check=False)
        return Result.of("", done.returncode, (done.stdout, done.stderr), 0.0)

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """Run it on bytes; where these break off, it reads their end."""
        with subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            problem = None
            try:
                for chunk in stdin:
                    process.stdin.write(chunk)
            except LabError as error:
                problem = error
            out, err = process.communicate()
        yield out
        if process.returncode:
            raise CommandFailed("worker1", Result("", process.returncode, "", err.decode()))
        if problem is not None:
            raise problem


@pytest.fixture
def node() -> FakeNode:
    found = fake_node("worker1")
    found.transport = Here()
    return found


def at(node: FakeNode, path: Path | str) -> NodePlace:
    return NodePlace(node, str(path))


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(params=["node", "host"])
def same(request: pytest.FixtureRequest, node: FakeNode) -> Any:
    """How a path is named, on a node or on this host: what holds for both copies is held by one test."""
    return (lambda path: at(node, path)) if request.param == "node" else (lambda path: LocalPlace(str(path)))


@pytest.mark.parametrize("target", ["keep", "link", "hard", "sub/../keep", "", "sub/up/keep"])
def test_a_file_is_not_copied_onto_itself_whatever_the_path(same: Any, tmp_path: Path, target: str) -> None:
    (tmp_path / "keep").write_text("precious")
    (tmp_path / "link").symlink_to("keep")
    (tmp_path / "hard").hardlink_to(tmp_path / "keep")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")

    with pytest.raises(UsageError, match="are the same file"):
        copy(same(tmp_path / "keep"), same(f"{tmp_path}/{target}"))

    assert (tmp_path / "keep").read_text() == "precious"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("a", "a", "itself"),
        ("a", "a/new", "itself"),
        ("a", "a/sub", "itself"),
        ("a", "way/sub/new", "itself"),
        ("a/.", "a", "are the same folder"),
        ("a", ".", "are the same folder"),
    ],
)
def test_a_folder_is_not_copied_into_itself(same: Any, tmp_path: Path, source: str, target: str, said: str) -> None:
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "way").symlink_to("a")

    with pytest.raises(UsageError, match=said):
        copy(same(f"{tmp_path}/{source}"), same(f"{tmp_path}/{target}"), recursive=True)

    assert sorted(path.name for path in (tmp_path / "a").rglob("*")) == ["sub"]


def test_the_same_path_on_another_machine_is_another_file(node: FakeNode, tmp_path: Path) -> None:
    other = fake_node("worker2")
    other.transport = Here()
    (tmp_path / "f").write_text("1")

    for target in (at(other, tmp_path / "f"), LocalPlace(str(tmp_path / "f"))):
        copy(at(node, tmp_path / "f"), target)

    assert content(tmp_path) == {"f": "1"}


def test_a_copy_takes_the_place_of_a_file_when_it_is_whole(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")

    def content_in_parts() -> Iterator[bytes]:
        yield b"new"
        assert (tmp_path / "old").read_text() == "old"
        yield bytes(100_000)

    at(node, tmp_path / "link").write(content_in_parts(), 0o640)

    assert (tmp_path / "old").read_bytes() == b"new" + bytes(100_000)
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640
    assert (tmp_path / "link").is_symlink(), "who names a link means what it leads to"
    assert {path.name for path in tmp_path.iterdir()} == {"old", "link"}


def test_a_copy_whose_source_breaks_off_leaves_what_was_there(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise LabError("the source broke")

    for name in ("old", "fresh"):
        with pytest.raises((LabError, UsageError)):
            at(node, tmp_path / name).write(broken(), 0o644)

    assert content(tmp_path) == {"old": "old"}


def test_an_empty_file_and_one_with_a_dash_are_written(node: FakeNode, tmp_path: Path) -> None:
    at(node, tmp_path / "-n").write([], 0o600)

    assert content(tmp_path) == {"-n": ""}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_that_is_replaced_keeps_its_owner(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    os.chown(tmp_path / "f", 1234, 1235)

    at(node, tmp_path / "f").write([b"new"], 0o644)

    found = (tmp_path / "f").stat()
    assert (found.st_uid, found.st_gid, (tmp_path / "f").read_text()) == (1234, 1235, "new")


def test_a_folder_that_is_not_there_is_told(node: FakeNode, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none/f: cannot create"):
        at(node, tmp_path / "none" / "f").write([b"x"], 0o644)


def test_a_device_is_written_to_and_stays_as_it_is(node: FakeNode) -> None:
    before = Path("/dev/null").stat()

    at(node, "/dev/null").write([b"gone"], 0o640)

    assert (before.st_mode, before.st_ino) == (Path("/dev/null").stat().st_mode, Path("/dev/null").stat().st_ino)


def test_a_folder_with_a_link_to_where_it_is_copied_is_copied_once(same: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old").write_text("2")
    (tmp_path / "a" / "link").symlink_to("../b")

    copy(same(tmp_path / "a"), same(tmp_path / "b"), recursive=True)

    assert content(tmp_path / "b" / "a") == {"f": "1"}
    assert content(tmp_path / "b" / "a" / "link") == {"old": "2"}
    assert not (tmp_path / "b" / "a" / "link" / "a" / "link").exists()


def test_a_copy_of_what_differs_leaves_out_the_rest_and_leaves_no_list_behind(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "lists"))
    (tmp_path / "a").mkdir()
    for name in ("same", "*", "-n", "two\nlines"):
        (tmp_path / "a" / name).write_text(name)
    copy(at(node, tmp_path / "a"), at(node, tmp_path / "b"), recursive=True)
    for path in (tmp_path / "b").iterdir():
        os.utime(path, (1000, 1000))
    (tmp_path / "a" / "*").write_text("other")

    copy(at(node, f"{tmp_path}/a/."), at(node, tmp_path / "b"), recursive=True, delta=True)

    assert content(tmp_path / "b") == {"same": "same", "*": "other", "-n": "-n", "two\nlines": "two\nlines"}
    assert {path.name for path in (tmp_path / "b").iterdir() if path.stat().st_mtime != 1000} == {"*"}
    assert not list((tmp_path / "lists").iterdir())
