"""Programs that their installers do not put on PATH: where else they are."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_bash", "find_program"]

# VirtualBox's installer says where it put itself; Vagrant looks there too (its VirtualBox driver/base.rb).
TOLD_BY = {"VBoxManage": ("VBOX_INSTALL_PATH", "VBOX_MSI_INSTALL_PATH")}
USUAL = {"VBoxManage": ("Oracle/VirtualBox",)}


def find_program(
    name: str, environment: Mapping[str, str] | None = None, *, windows: bool = sys.platform == "win32"
) -> str | None:
    """Where a program is: on PATH, or on Windows where its installer said that it would be."""
    known = os.environ if environment is None else environment
    found = shutil.which(name, path=known.get("PATH"))
    if found is not None or not windows:
        return found
    told = [Path(known[key].split(";")[0]) for key in TOLD_BY.get(name, ()) if known.get(key)]
    usual = [Path(known.get("ProgramFiles", "C:/Program Files"), folder) for folder in USUAL.get(name, ())]
    return next((str(file) for folder in (*told, *usual) if (file := folder / f"{name}.exe").is_file()), None)


def find_bash(environment: Mapping[str, str] | None = None, *, windows: bool = sys.platform == "win32") -> str | None:
    """Where this machine's bash is. On Windows Git's: the one in System32 begins in a Linux that has no labctl."""
    known = os.environ if environment is None else environment
    if not windows:
        return shutil.which("bash", path=known.get("PATH"))
    git = shutil.which("git", path=known.get("PATH"))
    beside = Path(git).parent.parent / "bin" if git else None
    usual = Path(known.get("ProgramFiles", "C:/Program Files"), "Git", "bin")
    return next((str(f) for folder in (beside, usual) if folder and (f := folder / "bash.exe").is_file()), None)
