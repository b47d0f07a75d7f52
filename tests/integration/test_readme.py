"""The commands of the README, typed one after the other as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Context, lab_names

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
STACK = """
services:
  web:
    image: nginx:latest
    ports: ["8088:80"]
    deploy: {replicas: 2}
"""


def commands_of_readme() -> list[str]:
    """The block under "What you can do"; comments are left out, a terminal's words are given an end."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## What you can do\n\n```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = [re.sub(r"\s+#.*$", "", line).strip() for line in block[1].splitlines()]
    return [line for line in lines if line]


def look_at_page(folder: Path, environment: dict[str, str]) -> None:
    """`labctl web` serves until Ctrl-C: open the address that it prints, as a browser would, and end it."""
    with subprocess.Popen(["labctl", "web"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            address = serving.stdout.readline().strip()
            with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address, timeout=60) as page:
                assert b"<html" in page.read()
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=120) == 0


def test_every_command_of_the_readme_works(tmp_path: Path, lab_name: str, context: Context) -> None:
    (tmp_path / "docker-stack.yml").write_text(STACK)
    (tmp_path / "Dockerfile").write_text('FROM debian:trixie-slim\nCMD ["sleep", "infinity"]\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "labctl").symlink_to(Path(sys.executable).with_name("labctl"))
    environment = os.environ | {"LABCTL_LAB": lab_name, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    commands = commands_of_readme()
    assert len(commands) > 8, "no fences found is an error"
    try:
        for command in commands:
            # The shell on a node wants somebody who types; a command stands in for that. A lab of another name
            # has a context of another name.
            typed = command.replace("labctl-lab", f"labctl-{lab_name}")
            typed = re.sub(r"^labctl ssh worker1;?$", "labctl ssh worker1 true", typed)
            if typed == "labctl web":
                look_at_page(tmp_path, environment)
                continue
            done = subprocess.run(
                ["bash", "-c", typed], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
            )
            assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
        assert lab_name not in lab_names(context)
    finally:
        run(["down", "--lab", lab_name])


def test_the_example_file_is_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = re.search(r"```yaml\n(# lab.yaml\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    file = tmp_path / "lab.yaml"
    file.write_text(block[1])

    assert run(["validate", str(file)]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_the_wheel_runs_a_lab_outside_the_clone(tmp_path: Path, lab_name: str) -> None:
    """Built, installed in an environment of its own, far from the clone: what is not Python travels along."""
    python = sys.executable
    subprocess.run([python, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, capture_output=True)
    wheel = next(tmp_path.glob("swarm_labctl-*.whl"))
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*map(str, pip), str(wheel)], check=True, timeout=600)
    labctl = tmp_path / "venv" / "bin" / "labctl"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def typed(*words: str) -> str:
        done = subprocess.run(
            [labctl, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        typed("up", "--name", lab_name, "--nodes", "2")
        assert "worker1" in typed("ls", "--lab", lab_name)
        assert "voting-app" in typed("exercise", "list")
    finally:
        typed("down", "--lab", lab_name)
        shutil.rmtree(tmp_path / "venv")
