"""A pytest that has the plugin, and a host that is a folder (fake_lab)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guard import HANGING
from tests.runner import ROOT

from . import fake_lab

CONFTEST = "from tests.unit.pytest_plugin import fake_lab\nfake_lab.install()\n"


class Session:
    """A folder of tests, and the host that they run on."""

    def __init__(self, folder: Path, host: Path) -> None:
        self.folder, self.host = folder, host
        self.write("conftest.py", "")

    def write(self, name: str, text: str) -> None:
        """A file of tests; conftest.py installs the lab."""
        head = CONFTEST if name == "conftest.py" else "import pytest\n" if name.endswith(".py") else ""
        (self.folder / name).write_text(head + text)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start pytest as where it finds the plugin by its entry point, and no other one."""
        plugins = ["-p", "labctl.pytest_plugin", *(["-p", "xdist.plugin"] if "-n" in words else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Run it to its end: its exit code and what it printed."""
        process = self.start(*words)
        said = process.communicate(timeout=HANGING)[0]
        return process.returncode, said

    @property
    def journal(self) -> list[str]:
        """What was asked of labs, the random part of their names left out."""
        file = self.host / "journal"
        return file.read_text().splitlines() if file.exists() else []

    def asked(self, verb: str) -> list[str]:
        """The words of each time that a verb was asked for."""
        return [line.removeprefix(f"{verb} ") for line in self.journal if line.startswith(f"{verb} ")]

    @property
    def labs(self) -> list[str]:
        """The labs that stand."""
        return sorted(file.name.removeprefix("lab-") for file in self.host.glob("lab-*"))

    def stand(self, name: str) -> None:
        """Have a lab that somebody else has made."""
        (self.host / f"lab-{name}").write_text("manager1 worker1")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An empty one."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "LABCTL_LAB"))]:
        monkeypatch.delenv(name)
    for name in ("a folder", "host", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv(fake_lab.HOST, str(tmp_path / "host"))
    return Session(tmp_path / "a folder", tmp_path / "host")
