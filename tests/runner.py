"""GitHub's runner, as an action sees it: inputs and state by the environment, files for what the action tells."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ACTION", "ROOT", "Runner", "Step", "started"]

ROOT = Path(__file__).resolve().parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
FILES = ("OUTPUT", "STATE", "ENV", "PATH", "STEP_SUMMARY")
LIMIT = 500.0


@dataclass(frozen=True)
class Step:
    """How main or post ended, and what it wrote."""

    code: int
    log: str
    told: dict[str, str]

    def pairs(self, file: str) -> dict[str, str]:
        """The `name=value` lines of one of the files."""
        return dict(line.split("=", 1) for line in self.told[file].splitlines())


@dataclass
class Runner:
    """One job on a runner with `labctl` (a program) on its PATH, if any. What main told is handed to post."""

    folder: Path
    labctl: Path | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    action: Path = ROOT

    def __post_init__(self) -> None:
        for name in ("workspace", "temp", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.labctl is not None:
            (self.folder / "bin" / "labctl").symlink_to(self.labctl)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def main(self) -> Step:
        return self._run("main", "success")

    def post(self, status: str = "success") -> Step:
        return self._run("post", status)

    def start(self, phase: str, status: str = "success") -> subprocess.Popen[str]:
        """Begin main or post, as `runs` of action.yml says."""
        for file in FILES:
            (self.folder / file).write_text("")
        node = shutil.which("node")
        script = self.action / ACTION["runs"][phase]
        # Without Node.js the shell script alone is tried; its callers give it the inputs' names without hyphens.
        command = [node, str(script)] if node else ["bash", str(script.with_name("action.sh")), phase]
        return subprocess.Popen(
            command,
            cwd=self.workspace,
            env=self._environment(status, hyphens=node is not None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Step:
        """Wait for it, and read what it told."""
        log, _ = process.communicate(timeout=LIMIT)
        step = Step(process.returncode, log, {file: (self.folder / file).read_text() for file in FILES})
        self.state |= step.pairs("STATE")
        return step

    def _run(self, phase: str, status: str) -> Step:
        return self.ended(self.start(phase, status))

    def _environment(self, status: str, *, hyphens: bool) -> dict[str, str]:
        given = {name: str(about.get("default", "")) for name, about in ACTION["inputs"].items()}
        given |= {"job-status": status} | self.inputs
        names = {name: f"INPUT_{name.upper() if hyphens else name.upper().replace('-', '_')}" for name in given}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LABCTL_LAB")}
        return (
            kept
            | {names[name]: value for name, value in given.items()}
            | {f"STATE_{name}": value for name, value in self.state.items()}
            | {f"GITHUB_{file}": str(self.folder / file) for file in FILES}
            | {"GITHUB_WORKSPACE": str(self.workspace), "RUNNER_TEMP": str(self.folder / "temp"), "RUNNER_OS": "Linux"}
            | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
            | self.environ
        )


def started(process: subprocess.Popen[str], what: str) -> str:
    """Read the log until it says `what`; returns what was read. Raises AssertionError when it ends before."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if what in line:
            return read
    raise AssertionError(f"it ended before it said {what}:\n{read}")
