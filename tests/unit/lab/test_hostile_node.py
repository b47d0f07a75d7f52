"""A node that answers `scp` with what it likes writes nothing outside of the target; nor does a name of ours there."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.lab.copying import copy
from labctl.lab.nodeplace import NodePlace
from labctl.lab.places import LocalPlace
from labctl.transport import FakeTransport, Result
from labctl.transport.base import STREAM_LIMIT

from ..nodes import FakeNode, fake_node

Entry = tuple[str, bytes, str]  # name, kind, content or where a link leads


class Hostile(FakeTransport):
    """Answers each look with `looked`, and each copy with `archive`; `seen` is what it was asked."""

    looked = "folder\n755 1:2\n/root/dir\n"
    archive = b""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def run(self, command: str | Sequence[str], **_: object) -> Result:
        """The look, or no stray."""
        self.seen.append(list(command))
        return Result("", 0, self.looked if "stat -Lc" in " ".join(command) else "")

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """The archive."""
        self.seen.append(list(command))
        self.streamed.append(b"".join(stdin))
        yield self.archive


@pytest.fixture
def node() -> FakeNode:
    found = fake_node("worker1")
    found.transport = Hostile()
    return found


def hostile(node: FakeNode) -> Hostile:
    assert isinstance(node.transport, Hostile)
    return node.transport


def archive(*entries: Entry, mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, kind, text in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, mode
            if kind == tarfile.REGTYPE:
                entry.size = len(text)
            else:
                entry.linkname = text
            packed.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a target in it, and with what must stay as it is."""
    (tmp_path / "target").mkdir()
    (tmp_path / "victim").write_text("mine")
    return tmp_path


def everything(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "folder"
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] != "target"
    }


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "entries",
    [
        [("../victim", FILE, "x")],
        [("./../../victim", FILE, "x")],
        [("a/../../../victim", FILE, "x")],
        [("/{home}/victim", FILE, "x")],
        [("./", FILE, "x")],
        [("..", FOLDER, "")],
        [("a//b", FILE, "x")],
        [("x", LINK, "../victim"), ("x", FILE, "x")],
        [("x", LINK, ".."), ("x/victim", FILE, "x")],
        # The chain by which tarfile's data filter of Pythons before 3.11.13 can be led outside.
        [("a", FOLDER, ""), ("a/b", LINK, "."), ("up", LINK, "a/b/../.."), ("up/victim", FILE, "x")],
        [("x", HARD, "../victim"), ("x", FILE, "x")],
        [("x", tarfile.CHRTYPE, "")],
        [("x", tarfile.FIFOTYPE, "")],
    ],
)
def test_no_archive_reaches_outside_of_the_target(node: FakeNode, home: Path, entries: list[Entry]) -> None:
    before = everything(home)
    hostile(node).archive = archive(*((name.replace("{home}", str(home)), kind, text) for name, kind, text in entries))

    with pytest.raises(UsageError):
        copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)

    assert everything(home) == before


@pytest.mark.parametrize("typed", [".", "..", "/", "a/..", "."])
@pytest.mark.parametrize("answer", ["..", ".", "", ".ssh", ".bashrc", "a\0b"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_no_name_that_a_node_answers_leads_elsewhere(
    node: FakeNode, home: Path, typed: str, answer: str, kind: str
) -> None:
    before = everything(home)
    hostile(node).looked = f"{kind}\n755 1:2\n/{answer}\n"
    hostile(node).archive = archive(("victim", FILE, "x"))

    with pytest.raises(UsageError, match="no name that it could have"):
        copy(NodePlace(node, typed), LocalPlace(str(home / "target")), recursive=True)

    assert everything(home) == before
    assert list((home / "target").iterdir()) == []


def test_a_copy_has_the_name_that_was_typed_whatever_the_node_says(node: FakeNode, home: Path) -> None:
    hostile(node).looked = "file\n600 1:2\n/root/.bashrc\n"
    hostile(node).archive = b"content"

    copy(NodePlace(node, "notes"), LocalPlace(str(home / "target")))

    assert [path.name for path in (home / "target").iterdir()] == ["notes"]


@pytest.mark.parametrize(
    "looked",
    [
        "",
        "file\n",
        "pipe\n644 1:2\n/x\n",
        "file\n99 1:2\n/x\n",
        "file\nrwx 1:2\n/x\n",
        "file\n644 1:2\n",
        "file\n644\n/x\n",
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(node: FakeNode, home: Path, looked: str) -> None:
    hostile(node).looked = looked

    with pytest.raises(UsageError, match="cannot be looked at"):
        copy(NodePlace(node, "x"), LocalPlace(str(home / "target")))


def test_links_in_the_target_are_not_followed_out_of_it(node: FakeNode, home: Path) -> None:
    (home / "elsewhere").mkdir()
    target = home / "target" / "dir"
    target.mkdir()
    (target / "out").symlink_to(home / "elsewhere")
    (target / "file").symlink_to(home / "victim")
    before = everything(home)

    hostile(node).archive = archive(("out/x", FILE, "x"))
    with pytest.raises(UsageError, match="a link there points elsewhere"):
        copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)
    hostile(node).archive = archive(("file", FILE, "x"))
    copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)

    assert everything(home) == before
    assert (target / "file").read_text() == "x", "the link gave way to the file"


def test_a_file_of_a_linked_name_in_the_target_is_refused(node: FakeNode, home: Path) -> None:
    (home / "target" / "x").symlink_to(home / "victim")
    hostile(node).looked = "file\n644 1:2\n/root/x\n"

    with pytest.raises(UsageError, match="a link there points elsewhere"):
        copy(NodePlace(node, "x"), LocalPlace(str(home / "target")))

    assert (home / "victim").read_text() == "mine"


def test_a_link_that_was_typed_is_followed(node: FakeNode, home: Path) -> None:
    (home / "link").symlink_to("victim")
    hostile(node).looked = "file\n640 1:2\n/root/x\n"
    hostile(node).archive = b"new"

    copy(NodePlace(node, "x"), LocalPlace(str(home / "link")))

    assert (home / "link").is_symlink()
    assert ((home / "victim").read_text(), (home / "victim").stat().st_mode & 0o777) == ("new", 0o640)


def test_no_special_bit_comes_from_a_node(node: FakeNode, home: Path) -> None:
    hostile(node).archive = archive(("su", FILE, "x"), ("d", FOLDER, ""), mode=0o7755)

    copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)

    modes = {path.name: path.stat().st_mode & 0o7777 for path in (home / "target" / "dir").iterdir()}
    assert modes == {"su": 0o755, "d": 0o755}


def test_a_copy_that_breaks_off_leaves_no_half_file(node: FakeNode, home: Path) -> None:
    (home / "target" / "dir").mkdir()
    (home / "target" / "dir" / "a").write_text("whole")
    hostile(node).archive = archive(("a", FILE, "x" * 5000))[:3000]

    with pytest.raises(UsageError, match="ends too early"):
        copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)

    assert (home / "target" / "dir" / "a").read_text() == "whole"
    assert [path.name for path in (home / "target" / "dir").iterdir()] == ["a"]


PARTS = st.sampled_from(["..", ".", "", "a", "b", "link", "victim", "~"])
NAME = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
KIND = st.sampled_from([FILE, FOLDER, LINK, HARD])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAME, KIND, NAME), min_size=1, max_size=6))
def test_whatever_the_archive_only_the_target_changes(node: FakeNode, home: Path, entries: list[Entry]) -> None:
    before = everything(home)
    hostile(node).archive = archive(*entries)

    with contextlib.suppress(UsageError):
        copy(NodePlace(node, "dir"), LocalPlace(str(home / "target")), recursive=True)

    assert everything(home) == before
    assert not any(path.is_symlink() for path in home.rglob("*"))


@pytest.mark.parametrize("name", ["-rf", "--checkpoint-action=exec=sh", "-", "$(reboot)", "a b", "`id`", ";id"])
def test_a_name_of_this_machine_is_neither_an_option_nor_a_word_of_the_nodes_shell(
    node: FakeNode, home: Path, name: str
) -> None:
    source = home / name
    source.mkdir()
    hostile(node).looked = "folder\n755 1:2\n/root\n"

    copy(LocalPlace(str(source)), NodePlace(node, "."), recursive=True)

    given = [command[command.index("sh", 5) + 1 :] for command in hostile(node).seen if command.count("sh") > 1]
    assert ["."] in given
    assert all(words == ["."] or words[0] in (name, f"./{name}") for words in given)
    assert not any(words[0].startswith("-") for words in given)


def test_what_goes_from_node_to_node_is_checked_on_its_way(node: FakeNode) -> None:
    other = fake_node("worker2")
    other.transport = Hostile()
    hostile(node).archive = archive(("x", LINK, "/etc"), ("x/passwd", FILE, "x"))

    with pytest.raises(UsageError, match="neither a file nor a folder"):
        copy(NodePlace(node, "dir"), NodePlace(other, "dir"), recursive=True)


def test_sums_without_end_take_no_memory(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.lab.nodeplace.MOST_SUMS", 100)
    hostile(node).archive = b"".join(b"%064d  ./f%d\0" % (n, n) for n in range(50_000)) + b"no sum\0"

    found = NodePlace(node, "dir").sums()

    assert found["f49999"] == f"{49999:064d}"
    assert len(found) <= 2, "the one before it is there by half: its sum is nobody's"
