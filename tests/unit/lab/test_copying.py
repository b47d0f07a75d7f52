"""Places as scp writes them, and copies on this machine, which nodes take the same way."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.errors import NotFoundError, UsageError
from labctl.lab import Context, Lab
from labctl.lab.copying import copy, place, split_place
from labctl.lab.nodeplace import NodePlace
from labctl.lab.places import LocalPlace
from labctl.tarstream import end, header
from labctl.transport import Result

from ..nodes import FakeNode, fake_node


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("myvm1:~", ("", "myvm1", "~")),
        ("docker@myvm1:/home/docker", ("docker", "myvm1", "/home/docker")),
        ("myvm1:", ("", "myvm1", "")),
        ("file.txt", ("", "", "file.txt")),
        ("./a:b", ("", "", "./a:b")),
        ("/a:b", ("", "", "/a:b")),
        (":x", ("", "", ":x")),
        ("w1:a:b", ("", "w1", "a:b")),
    ],
)
def test_a_place_is_split_as_scp_does(text: str, parts: tuple[str, str, str]) -> None:
    assert split_place(text) == parts


@pytest.fixture
def node() -> FakeNode:
    return fake_node("worker1")


@pytest.fixture
def lab(node: FakeNode) -> Lab:
    return Lab(Context(FakeEngine()), FakeBackend(), LabRecord("lab", lambda: None, None, None, (node,)))


def test_a_dash_is_no_file_and_the_way_to_stdout_is_told(lab: Lab) -> None:
    with pytest.raises(UsageError, match="`-` is no file") as caught:
        place(lab, "-")

    assert "`labctl ssh NODE cat PATH`" in str(caught.value.hint)
    assert str(place(lab, "./-")) == "./-"
    assert str(place(lab, "w1:-")) == "worker1:-"


def test_places_on_nodes_begin_at_home(lab: Lab) -> None:
    assert str(place(lab, "w1:~")) == "worker1:."
    assert str(place(lab, "w1:")) == "worker1:."
    assert str(place(lab, "w1:~/a/b")) == "worker1:a/b"
    assert str(place(lab, "worker1:/etc")) == "worker1:/etc"


def test_a_home_is_that_of_who_logs_in(lab: Lab) -> None:
    users = {text: place(lab, text) for text in ("w1:~", "w1:a", "w1:/etc/x", "root@w1:a", "docker@w1:/etc")}

    assert [found.user for found in users.values() if isinstance(found, NodePlace)] == [
        "docker",
        "docker",
        "",
        "",
        "docker",
    ]


def test_unknown_nodes_and_users_are_refused(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="did you mean worker1"):
        place(lab, "wroker1:x")
    with pytest.raises(UsageError, match="no user's name"):
        place(lab, "a;b@w1:x")


def test_a_file_here_with_a_colon_in_its_name_is_told_how_to_be_written(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b.txt").touch()

    with pytest.raises(NotFoundError, match="no node named 'a'") as here:
        place(lab, "a:b.txt")
    with pytest.raises(NotFoundError) as nowhere:
        place(lab, "a:none")

    assert here.value.hint == "`./a:b.txt` is the one of that name here."
    assert nowhere.value.hint != here.value.hint
    assert place(lab, "./a:b.txt").look().kind == "file"


def test_the_paths_of_a_node_are_never_read_by_its_shell(lab: Lab, node: FakeNode) -> None:
    script = (
        'test -e "$1" || exit 44; '
        'if test -d "$1"; then echo folder; elif test -f "$1"; then echo file; else echo special file; fi; '
        'stat -Lc "%a %d:%i" "$1"; realpath "$1"'
    )
    shown = f"/bin/sh -c 'cd ~docker && exec runuser -u docker -- \"$@\"' sh /bin/sh -c '{script}' sh '$(reboot)'"
    node.shell.answers[shown] = Result(shown, 44)

    assert place(lab, "w1:$(reboot)").look().kind == "none"


def local(path: Path | str) -> LocalPlace:
    return LocalPlace(str(path))


def test_a_file_goes_into_a_folder_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hi")
    (tmp_path / "a").chmod(0o750)
    (tmp_path / "to").mkdir()

    there = copy(local(tmp_path / "a"), local(tmp_path / "to"))

    assert str(there) == str(tmp_path / "to" / "a")
    assert (tmp_path / "to" / "a").read_text() == "hi"
    assert (tmp_path / "to" / "a").stat().st_mode & 0o777 == 0o750


def test_a_file_gets_the_name_that_the_target_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hi")

    copy(local(tmp_path / "a"), local(tmp_path / "b"))

    assert (tmp_path / "b").read_text() == "hi"


def folder(path: Path) -> Path:
    (path / "sub").mkdir(parents=True)
    (path / "a").write_text("1")
    (path / "sub" / "b").write_text("2")
    (path / "link").symlink_to("a")
    return path


def test_a_folder_is_copied_whole_and_links_as_what_they_lead_to(tmp_path: Path) -> None:
    copy(local(folder(tmp_path / "from")), local(tmp_path / "to"), recursive=True)

    assert (tmp_path / "to" / "sub" / "b").read_text() == "2"
    assert not (tmp_path / "to" / "link").is_symlink()
    assert (tmp_path / "to" / "link").read_text() == "1"


def test_modes_are_kept_and_special_bits_are_not(tmp_path: Path) -> None:
    source = folder(tmp_path / "from")
    for path, mode in (
        (source, 0o710),
        (source / "sub", 0o2550),
        (source / "a", 0o4640),
        (source / "sub" / "b", 0o400),
    ):
        path.chmod(mode)

    copy(local(source), local(tmp_path / "to"), recursive=True)
    (tmp_path / "there").mkdir(mode=0o700)
    copy(local(f"{source}/."), local(tmp_path / "there"), recursive=True)

    for target, top in ((tmp_path / "to", 0o710), (tmp_path / "there", 0o700)):
        modes = [(target / name).stat().st_mode & 0o7777 for name in (".", "sub", "a", "sub/b")]
        assert modes == [top, 0o550, 0o640, 0o400], "a folder that was there keeps its own"


def test_a_copy_has_the_name_that_was_typed(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "link").symlink_to(folder(tmp_path / "from") / "a")

    copy(local(tmp_path / "link"), local(tmp_path / "to"))

    assert [path.name for path in (tmp_path / "to").iterdir()] == ["link"]


def test_a_link_that_leads_nowhere_or_in_a_circle_is_left_out_and_told(tmp_path: Path) -> None:
    source = folder(tmp_path / "from")
    (source / "nowhere").symlink_to("none")
    (source / "itself").symlink_to("itself")
    (source / "sub" / "up").symlink_to("..")
    os.mkfifo(source / "sub" / "pipe")
    (source / "twice").symlink_to("sub")
    told: list[str] = []

    copy(local(source), local(tmp_path / "to"), recursive=True, warn=told.append)

    # What is in `sub` is met twice.
    assert told == ["left out, for they lead to no file: itself, nowhere, sub/pipe and 3 more"]
    found = sorted(path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*"))
    assert found == ["a", "link", "sub", "sub/b", "twice", "twice/b"]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_and_never_read(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "socket":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(source))
        listening.close()
    else:
        source = Path("/dev/zero")
    (tmp_path / "to").mkdir()

    for recursive in (False, True):
        with pytest.raises(UsageError, match=f"^{source} is a pipe, a socket or a device: only files and folders are"):
            copy(local(source), local(tmp_path / "to"), recursive=recursive)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_pipe_of_a_node_is_refused_and_never_read(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_here(command: list[str], **_: object) -> Result:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return Result("", done.returncode, done.stdout, done.stderr)

    monkeypatch.setattr(node.shell, "run", run_here)
    monkeypatch.setattr(node.shell, "stream", lambda *_, **__: pytest.fail("it was read"))
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    kinds = [NodePlace(node, str(tmp_path / name)).look().kind for name in (".", "file", "pipe", "none")]

    assert kinds == ["folder", "file", "special file", "none"]
    with pytest.raises(UsageError, match=f"^worker1:{tmp_path}/pipe is a pipe"):
        copy(NodePlace(node, str(tmp_path / "pipe")), local(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


def test_a_file_that_becomes_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="pipe: it is no file any more"):
        list(local(tmp_path / "pipe").read())


def test_a_file_may_go_to_a_device(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hi")

    copy(local(tmp_path / "a"), local("/dev/null"))

    assert Path("/dev/null").is_char_device()


def test_nothing_of_a_refused_archive_stays_but_what_was_there(tmp_path: Path) -> None:
    evil = header("./", folder=True) + header("./new") + header("./sub/", folder=True) + header("./sub/x")
    evil += header("../out") + end()
    for name in ("made", "there"):
        to = tmp_path / name
        if name == "there":
            (to / "sub").mkdir(parents=True)
            (to / "kept").write_text("mine")
        with pytest.raises(UsageError, match="leads elsewhere"):
            local(to).unpack([evil])

    assert not (tmp_path / "made").exists()
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["there", "there/kept", "there/sub"]


def test_a_folder_without_strays_is_copied_in_silence(tmp_path: Path) -> None:
    copy(local(folder(tmp_path / "from")), local(tmp_path / "to"), recursive=True, warn=pytest.fail)


@pytest.mark.parametrize(
    ("complaints", "names"),
    [
        ("", ["nowhere"]),
        ("find: './self': Too many levels of symbolic links\n", ["nowhere", "self"]),
        (
            "find: File system loop detected; './a/x' is part of the same file system loop as './a'.\n",
            ["a/x", "nowhere"],
        ),
    ],
)
def test_find_tells_what_a_node_cannot_copy(node: FakeNode, complaints: str, names: list[str]) -> None:
    shown = (
        "/bin/sh -c 'cd && exec \"$@\"' sh /bin/sh -c "
        '\'cd "$1" && LC_ALL=C find -L . ! -type f ! -type d -printf "%P\\0"\' sh site'
    )
    node.shell.answers[shown] = Result(shown, 1 if complaints else 0, "nowhere\0", complaints)

    assert NodePlace(node, "site").strays() == names


def test_what_else_find_complains_of_is_why_nothing_is_copied(node: FakeNode) -> None:
    shown = (
        "/bin/sh -c 'cd && exec \"$@\"' sh /bin/sh -c "
        '\'cd "$1" && LC_ALL=C find -L . ! -type f ! -type d -printf "%P\\0"\' sh site'
    )
    node.shell.answers[shown] = Result(shown, 1, "", "find: './x': Permission denied\n")

    with pytest.raises(UsageError, match=r"worker1:site: './x': Permission denied"):
        NodePlace(node, "site").strays()


def test_a_folder_goes_into_a_folder_and_its_contents_where_a_dot_asks_for_them(tmp_path: Path) -> None:
    source = folder(tmp_path / "from")
    (tmp_path / "to").mkdir()

    copy(local(source), local(tmp_path / "to"), recursive=True)
    copy(local(f"{source}/."), local(tmp_path / "to"), recursive=True)

    assert (tmp_path / "to" / "from" / "a").exists()
    assert (tmp_path / "to" / "a").exists()


def test_with_delta_only_what_differs_is_written(tmp_path: Path) -> None:
    source = folder(tmp_path / "from")
    copy(local(source), local(tmp_path / "to"), recursive=True)
    (source / "a").write_text("new")
    before = (tmp_path / "to" / "sub" / "b").stat().st_ino

    copy(local(f"{source}/."), local(tmp_path / "to"), recursive=True, delta=True)

    assert (tmp_path / "to" / "a").read_text() == "new"
    assert (tmp_path / "to" / "sub" / "b").stat().st_ino == before


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "from")
    file = source / "a"
    refused: list[tuple[Path | str, Path | str, dict[str, Any], str]] = [
        (tmp_path / "none", tmp_path, {}, "there is no such file"),
        (source, tmp_path / "to", {}, "is a folder"),
        (file, f"{tmp_path}/none/", {}, "there is no such folder"),
        (file, f"{file}/", {}, "there is no such folder"),
        (source, file, {"recursive": True}, "is a file, and"),
        (file, tmp_path / "none" / "x", {}, "No such file or directory"),
    ]
    for from_, to, options, reason in refused:
        with pytest.raises(UsageError, match=reason):
            copy(local(from_), local(to), **options)
