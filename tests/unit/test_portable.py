"""labctl where there is no POSIX: each module that runs on a Windows host can at least be read there."""

from __future__ import annotations

import subprocess
import sys

# What Python for Windows does not have. Only labctl's own modules miss them here: the libraries see to themselves.
READ_ALL = """
import builtins, importlib, pkgutil, sys

MISSING = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
real = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    if name in MISSING and str((globals or {}).get("__name__", "")).startswith("labctl"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = without
import labctl
for module in pkgutil.walk_packages(labctl.__path__, "labctl."):
    if module.name.endswith("__main__") or module.name in ("labctl.cli.guide", "labctl.cli.keyboard"):
        continue  # the keyboard's other half asks sys.platform
    importlib.import_module(module.name)
"""


def test_every_module_can_be_read_without_posix() -> None:
    done = subprocess.run([sys.executable, "-c", READ_ALL], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
