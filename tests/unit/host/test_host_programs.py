"""Programs that Windows' installers put beside PATH."""

from __future__ import annotations

from pathlib import Path

from labctl.host.programs import find_bash, find_program


def made(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)
    return str(file)


def test_virtualbox_is_where_its_installer_says(tmp_path: Path) -> None:
    tool = made(tmp_path / "VirtualBox" / "VBoxManage.exe")
    usual = made(tmp_path / "Oracle" / "VirtualBox" / "VBoxManage.exe")
    nothing = {"PATH": str(tmp_path / "none")}

    assert find_program("VBoxManage", nothing, windows=True) is None
    assert find_program("VBoxManage", {**nothing, "ProgramFiles": str(tmp_path)}, windows=True) == usual
    told = {**nothing, "VBOX_MSI_INSTALL_PATH": str(tmp_path / "VirtualBox")}
    assert find_program("VBoxManage", told, windows=True) == tool
    assert find_program("VBoxManage", told, windows=False) is None


def test_what_is_on_path_comes_first(tmp_path: Path) -> None:
    tool = made(tmp_path / "VBoxManage")

    assert find_program("VBoxManage", {"PATH": str(tmp_path)}, windows=True) == tool


def test_bash_is_gits_on_windows_and_not_the_one_that_begins_in_another_system(tmp_path: Path) -> None:
    made(tmp_path / "system32" / "bash")
    git = made(tmp_path / "Git" / "cmd" / "git")
    bash = made(tmp_path / "Git" / "bin" / "bash.exe")
    path = {"PATH": f"{tmp_path / 'system32'}:{Path(git).parent}", "ProgramFiles": str(tmp_path / "none")}

    assert find_bash(path, windows=True) == bash
    assert find_bash({**path, "PATH": str(tmp_path / "system32")}, windows=True) is None
    assert find_bash(path, windows=False) == str(tmp_path / "system32" / "bash")
