"""A file at a path of the user's is written whole or not at all, and never through a link."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labctl.files import written_whole


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    with written_whole(file) as out:
        out.write(b"new")
        assert file.read_text() == "old"

    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "a") as out:
        out.write(b"half")
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_the_mode_is_the_one_asked_for_whatever_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o666)

    for mode in (0o600, 0o664, 0o400):
        with written_whole(tmp_path / "a", mode=mode):
            pass
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_a_link_gives_way_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "link").symlink_to("victim")

    with written_whole(tmp_path / "link") as out:
        out.write(b"new")

    assert ((tmp_path / "victim").read_text(), (tmp_path / "link").read_text()) == ("mine", "new")
    assert not (tmp_path / "link").is_symlink()


def test_a_link_is_followed_where_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("other")

    with written_whole(tmp_path / "link", follow=True) as out:
        out.write(b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "other").read_text() == "new"


def test_a_pipe_is_written_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()

    with written_whole(tmp_path / "pipe") as out:
        out.write(b"through")

    reader.join(10)
    assert read == ["through"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_is_refused_and_a_long_name_is_not(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), written_whole(tmp_path):
        pass
    with written_whole(tmp_path / ("n" * 255)) as out:
        out.write(b"x")


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"])
@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_what_is_open_is_written_from_where_it_stands(tmp_path: Path, path: str, mode: str) -> None:
    code = (
        "from labctl.files import written_whole; from pathlib import Path; import sys; print('first')\n"
        "with written_whole(Path(sys.argv[1]), follow=True) as out: out.write(b'content\\n')\n"
        "print('last')"
    )
    (tmp_path / "link").symlink_to("/dev/stdout")
    with (tmp_path / "out").open(mode) as out:
        out.write(b"before\n")
        out.flush()
        subprocess.run([sys.executable, "-c", code, path], stdout=out, check=True, cwd=tmp_path)
        subprocess.run(["echo", "after"], stdout=out, check=True)

    assert (tmp_path / "out").read_text().split() == ["before", "first", "content", "last", "after"]


def test_a_descriptor_that_is_closed_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"), written_whole(Path("/dev/fd/987")):
        pass


def test_a_link_to_stdout_that_is_not_followed_gives_way(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")

    with written_whole(tmp_path / "link") as out:
        out.write(b"new")

    assert not (tmp_path / "link").is_symlink()


def test_a_folder_that_is_not_there_is_told_with_the_users_own_path(tmp_path: Path) -> None:
    there = tmp_path / "nosuch" / "x"

    with pytest.raises(FileNotFoundError) as caught, written_whole(there):
        pass

    assert caught.value.filename == str(there)
