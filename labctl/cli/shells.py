"""How each shell is told what to set: docker-machine's six, and zsh, which reads what bash does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from labctl.errors import NotFoundError

__all__ = ["SHELLS", "Shell", "detect", "line_that_fails", "shell_named"]


@dataclass(frozen=True)
class Shell:
    """A shell's way to set and to unset a variable, and to run what a command prints."""

    name: str
    set_line: str  # {name} and {value}
    unset_line: str  # {name}
    comment: str
    run: str  # {command}
    escapes: tuple[tuple[str, str], ...] = ()  # what a value's characters become inside the quotes
    fails: str = "false"  # a line that ends badly, so that what follows by && is not run

    def setting(self, values: Mapping[str, str], command: str, remark: str = "") -> str:
        """The lines that set the values, a remark for who reads them, and the hint that says how to run them.

        The remark is plain words: tcsh, which knows no comments here, takes it for the arguments of a command.
        """
        lines = [self.set_line.format(name=name, value=self._escaped(value)) for name, value in values.items()]
        remarks = [f"{self.comment} {remark}"] if remark else []
        return "".join(f"{line}\n" for line in [*lines, *remarks, *self._hint(command)])

    def unsetting(self, names: tuple[str, ...], command: str) -> str:
        """The lines that unset the names, and the hint."""
        lines = [self.unset_line.format(name=name) for name in names]
        return "".join(f"{line}\n" for line in [*lines, *self._hint(command)])

    def _hint(self, command: str) -> tuple[str, str]:
        return (
            f"{self.comment} Run this command to configure your shell: ",
            f"{self.comment} {self.run.format(command=command)}",
        )

    def _escaped(self, value: str) -> str:
        for plain, quoted in self.escapes:
            value = value.replace(plain, quoted)
        return value


POSIX_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("`", "\\`"))
BASH = Shell("bash", 'export {name}="{value}"', "unset {name}", "#", "eval $({command})", POSIX_ESCAPES)
SHELLS = {
    "bash": BASH,
    "zsh": BASH,
    "fish": Shell(
        "fish",
        'set -gx {name} "{value}";',
        "set -e {name};",
        "#",
        "eval ({command})",
        (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$")),
    ),
    "tcsh": Shell(
        "tcsh",
        'setenv {name} "{value}";',
        "unsetenv {name};",
        ":",
        "eval `{command}`",
        # Nothing between double quotes is literal by a backslash, so each of these stands outside of them.
        (('"', '"\\""'), ("$", '"\\$"'), ("`", '"\\`"'), ("!", '"\\!"')),
    ),
    "powershell": Shell(
        "powershell",
        '$Env:{name} = "{value}"',
        "Remove-Item Env:\\\\{name}",
        "#",
        "& {command} | Invoke-Expression",
        (("`", "``"), ('"', '`"'), ("$", "`$")),
        fails='throw "labctl failed"',
    ),
    "cmd": Shell(
        "cmd",
        "SET {name}={value}",
        "SET {name}=",
        "REM",
        "\t@FOR /f \"tokens=*\" %i IN ('{command}') DO @%i",
        fails="cmd /c exit 1",
    ),
    "emacs": Shell(
        "emacs",
        '(setenv "{name}" "{value}")',
        '(setenv "{name}" nil)',
        ";;",
        '(with-temp-buffer (shell-command "{command}" (current-buffer)) (eval-buffer))',
        (("\\", "\\\\"), ('"', '\\"')),
        fails='(error "labctl failed")',
    ),
}
SAME = {"sh": "bash", "dash": "bash", "ksh": "bash", "ash": "bash", "csh": "tcsh", "pwsh": "powershell"}


def shell_named(name: str) -> Shell:
    """Return the shell of that name. Raises NotFoundError with the nearest."""
    found = SHELLS.get(SAME.get(name, name))
    if found is None:
        raise NotFoundError("shell", name, [*SHELLS, *SAME])
    return found


def line_that_fails(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """The line for a shell that runs what `labctl env` prints, where the command failed.

    `words` are the command's, as they were typed: `--shell` is looked for in them, since they may be what was wrong.
    """
    named = environ.get("LABCTL_ENV_SHELL", "")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--shell" or word.startswith("--shell="):
            named = following if word == "--shell" else word.partition("=")[2]
    return (SHELLS.get(SAME.get(named, named)) or detect(environ)).fails


def detect(environ: Mapping[str, str] = os.environ, platform: str = sys.platform, parent: str | None = None) -> Shell:
    """Return the shell that most likely runs us: $SHELL's, or on Windows the parent process's; bash where unknown.

    `parent` is the name of the parent process, for tests; it is looked up where it is not given.
    """
    if environ.get("__fish_bin_dir"):
        return SHELLS["fish"]
    told = environ.get("SHELL", "")
    if not told:
        told = parent if parent is not None else _parent_process()
    name = PurePath(told.replace("\\", "/")).name.lower().removesuffix(".exe")
    known = SHELLS.get(SAME.get(name, name))
    return known or SHELLS["cmd" if platform == "win32" else "bash"]


def _parent_process() -> str:
    import psutil

    try:
        # The command's own launcher may stand between us and the shell.
        for ancestor in psutil.Process().parents()[:3]:
            name = ancestor.name()
            if SHELLS.get(SAME.get(stem := name.lower().removesuffix(".exe"), stem)):
                return name
    except psutil.Error:
        return ""
    return ""
