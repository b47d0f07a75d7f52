"""What is on disk is its user's alone, whole or not there, and found by name only."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from labctl.backend.vagrant.tool import vagrant_home
from labctl.errors import HostError, LabError, UsageError
from labctl.images.box import boxes_dir
from labctl.state import drop_lab_dir, lab_dir, lab_lock, lab_path, labs_on_disk, state_dir, write_private

NO_NAMES = ["", ".", "..", "../..", "/etc", "a/b", "a\\b", "a\0b"]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_where_the_environment_says(state: Path) -> None:
    assert state_dir() == state


def test_the_folder_is_where_the_system_keeps_a_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LABCTL_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    assert state_dir().is_relative_to(tmp_path)
    assert state_dir().name == "labctl"


def test_a_tilde_in_the_environment_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LABCTL_STATE", "~/labs")

    assert state_dir() == tmp_path / "labs"


def test_a_folder_that_is_told_from_here_is_the_same_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABCTL_STATE", "labs")

    assert state_dir() == tmp_path / "labs"


def test_folders_are_for_their_user_alone(state: Path) -> None:
    folder = lab_dir("demo")

    assert folder == state / "labs" / "demo"
    assert [mode_of(path) for path in (state, folder.parent, folder)] == [0o700] * 3


def test_a_folder_that_cannot_be_made_is_told_with_the_way_out(state: Path) -> None:
    state.write_text("a file")

    with pytest.raises(HostError, match="cannot make") as caught:
        state_dir()

    assert "LABCTL_STATE" in (caught.value.hint or "")


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LABCTL_STATE", "~/labs"), ("LABCTL_STATE", "")):
        monkeypatch.setenv(name, value)
        with pytest.raises(HostError, match=r"the home folder of user .* is not known") as caught:
            state_dir()
        assert caught.value.hint == "LABCTL_STATE names another folder."


def test_the_home_of_a_user_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LABCTL_STATE", "~no-such-user/labs")

    with pytest.raises(HostError, match="a user whom this machine does not know"):
        state_dir()


@pytest.mark.usefixtures("homeless")
def test_other_programs_folders_are_told_with_their_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for find, variable in ((boxes_dir, "LABCTL_CACHE"), (vagrant_home, "VAGRANT_HOME")):
        monkeypatch.delenv(variable, raising=False)
        with pytest.raises(HostError) as caught:
            find()
        assert caught.value.hint == f"{variable} names another folder."


def test_a_folder_that_one_may_not_enter_is_told_with_the_way_out(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir()
    monkeypatch.setattr("os.access", lambda path, _: path != state)

    with pytest.raises(HostError, match=f"cannot read {state}: Permission denied") as caught:
        state_dir()

    assert "LABCTL_STATE" in (caught.value.hint or "")


def test_a_lock_that_cannot_be_held_is_told_by_its_path(state: Path) -> None:
    (lab_dir("demo").parent.parent / "locks").mkdir()
    (state / "locks" / "demo.lock").mkdir()

    with pytest.raises(HostError, match=r"cannot hold .*/locks/demo\.lock: Is a directory"), lab_lock("demo"):
        pass


def test_labs_on_disk_are_listed_by_name(state: Path) -> None:
    assert labs_on_disk() == []
    for name in ("b", "a"):
        lab_dir(name)
    (state / "labs" / "file").write_text("no lab")

    assert labs_on_disk() == ["a", "b"]


@pytest.mark.usefixtures("state")
def test_a_labs_folder_can_be_dropped_twice() -> None:
    (lab_dir("demo") / "ca.pem").write_text("key")

    drop_lab_dir("demo")
    drop_lab_dir("demo")

    assert labs_on_disk() == []


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.usefixtures("state")
def test_what_is_no_name_reaches_no_other_folder(name: str) -> None:
    kept = lab_dir("demo")

    with pytest.raises(UsageError, match="is no lab's name"):
        drop_lab_dir(name)
    with pytest.raises(UsageError, match="is no lab's name"):
        lab_dir(name)
    with pytest.raises(UsageError, match="is no lab's name"), lab_lock(name):
        pass

    assert kept.is_dir()


def test_a_private_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    write_private(path, b"secret")

    assert path.read_bytes() == b"secret"
    assert mode_of(path) == 0o600


def test_a_private_file_takes_the_place_of_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(HostError, match="cannot write"):
        write_private(tmp_path / "taken", b"secret")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_write_into_a_missing_folder_is_an_error_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file or directory"):
        write_private(tmp_path / "missing" / "key.pem", b"secret")


def test_threads_that_write_one_file_at_once_leave_one_of_their_contents_whole(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    contents = [bytes([65 + number]) * 10_000 for number in range(8)]
    threads = [threading.Thread(target=write_private, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def in_another_thread(lab: str) -> list[BaseException]:
    """What happens to a second command that wants the lab, and does not wait."""
    met: list[BaseException] = []

    def work() -> None:
        try:
            with lab_lock(lab, wait=0):
                pass
        except LabError as error:
            met.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return met


@pytest.mark.usefixtures("state")
def test_a_lab_is_changed_by_one_command_at_a_time() -> None:
    with lab_lock("demo"):
        (refused,) = in_another_thread("demo")

    assert "another labctl command has been changing lab 'demo'" in str(refused)


@pytest.mark.usefixtures("state")
def test_another_lab_may_be_changed_meanwhile() -> None:
    with lab_lock("demo"):
        assert in_another_thread("other") == []


@pytest.mark.usefixtures("state")
def test_a_command_that_fails_lets_go_of_the_lab() -> None:
    with pytest.raises(ZeroDivisionError), lab_lock("demo"):
        raise ZeroDivisionError

    assert in_another_thread("demo") == []


def test_where_a_labs_folder_would_be_is_told_without_making_it(state: Path) -> None:
    assert lab_path("demo") == state / "labs" / "demo"
    assert labs_on_disk() == []
    with pytest.raises(UsageError):
        lab_path("../demo")
