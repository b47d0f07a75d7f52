"""The GitHub Action on real labs: main and post as a runner runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Context, lab_names
from tests.runner import Runner, started

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
LABCTL = Path(sys.executable).with_name("labctl")


def docker(outputs: dict[str, str], *words: str) -> str:
    """The Docker CLI, as a later step of the job would run it with the action's outputs."""
    given = {"DOCKER_HOST": outputs["docker-host"], "DOCKER_CERT_PATH": outputs["cert-path"], "DOCKER_TLS_VERIFY": "1"}
    done = subprocess.run(
        ["docker", *words], env={**os.environ, **given}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_job_that_installs_labctl_from_the_actions_own_checkout(tmp_path: Path, context: Context) -> None:
    runner = Runner(tmp_path / "a job", inputs={"nodes": "2"})
    try:
        main = runner.main()

        assert main.code == 0, main.log
        outputs = main.pairs("OUTPUT")
        assert outputs["lab"] in lab_names(context)
        assert len(docker(outputs, "node", "ls", "-q").split()) == 2
        on_path = Path(main.told["PATH"].strip())
        assert [entry.name for entry in on_path.iterdir()] == ["labctl"]
        told = subprocess.run([on_path / "labctl", "status"], env={**os.environ, **main.pairs("ENV")}, check=False)
        assert told.returncode == 0

        post = runner.post("failure")

        assert post.code == 0, post.log
        assert outputs["lab"] not in lab_names(context)
        logs = runner.workspace / f"labctl-logs-{outputs['lab']}.tar.gz"
        assert str(logs) in post.told["STEP_SUMMARY"]
        with tarfile.open(logs) as archive:
            assert any(name.endswith("index.json") for name in archive.getnames())
        again = runner.post("failure")
        assert (again.code, again.told["STEP_SUMMARY"]) == (0, "")
        assert "SWMTKN" not in main.log + post.log + again.log
    finally:
        run(["down", "--lab", runner.state.get("lab", "none")])


def test_a_job_that_is_cancelled_while_the_lab_comes_up(tmp_path: Path, lab_name: str, context: Context) -> None:
    runner = Runner(tmp_path, LABCTL, {"version": "installed", "name": lab_name, "nodes": "2"})
    try:
        process = runner.start("main")
        started(process, "manager1")
        process.terminate()

        main = runner.ended(process)

        assert main.code == 130, main.log
        assert runner.state["lab"] == lab_name
        assert runner.post("cancelled").code == 0
        assert lab_name not in lab_names(context)
    finally:
        run(["down", "--lab", lab_name])


def test_an_up_that_fails_and_another_lab_of_the_name(tmp_path: Path, lab_name: str, context: Context) -> None:
    """The wreck of this job's lab is examined and goes; for a second job it is somebody's lab, and stays."""
    runner = Runner(tmp_path / "first", LABCTL, {"version": "installed", "name": lab_name, "spec": "lab.yaml"})
    (runner.workspace / "lab.yaml").write_text("workers: 0\nengine: {storage-driver: nonsense}\n")
    other = Runner(tmp_path / "second", LABCTL, {"version": "installed", "name": lab_name, "nodes": "1"})
    try:
        main = runner.main()
        assert main.code == 1, main.log
        assert lab_name in lab_names(context)

        assert "already" in other.main().log
        assert other.post("failure").code == 0
        assert lab_name in lab_names(context)

        post = runner.post("failure")
        assert post.code == 0, post.log
        assert lab_name not in lab_names(context)
        assert (runner.workspace / f"labctl-logs-{lab_name}.tar.gz").is_file()
    finally:
        run(["down", "--lab", lab_name])
