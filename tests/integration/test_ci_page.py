"""docs/ci.md: its shell blocks and the job for GitLab, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from labctl.lab import Context, lab_names
from tests.runner import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1500)]

STACK = "services: {web: {image: nginx:latest, ports: ['8089:80']}}\n"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL)
    assert found, "no fences found is an error"
    return [str(block) for block in found]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a job")
    (folder / "labctl-src").symlink_to(ROOT)
    (folder / "docker-stack.yml").write_text(STACK)
    return folder


def shell(folder: Path, text: str, **given: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environ | given, capture_output=True, text=True, timeout=600, check=False
    )


def test_the_shell_blocks(workspace: Path, context: Context) -> None:
    before = set(lab_names(context))
    install, *jobs, _ = blocks("sh")  # test_pytest_plugin.py runs the last one
    done = shell(workspace, install)
    assert done.returncode == 0, done.stderr
    for job in jobs:
        done = shell(workspace, job)
        assert done.returncode == 0, done.stderr
        assert "app_web" in done.stdout
        lab = re.search(r"Lab (ci-\d+) is gone", done.stderr)
        assert lab is not None
        assert lab[1] not in {*lab_names(context), *before}
    assert not (workspace / "labctl-logs.tar.gz").exists()

    failed = shell(workspace, jobs[-1].replace("docker service ls", "docker service inspect nosuch"))

    assert failed.returncode == 1
    assert "is gone" in failed.stderr
    assert (workspace / "labctl-logs.tar.gz").exists()


def test_the_job_for_gitlab(workspace: Path, lab_name: str, context: Context) -> None:
    """GitLab runs before_script and script in one shell, after_script in another."""
    (job,) = (block["stack"] for block in map(yaml.safe_load, blocks("yaml")) if "stack" in block)
    given = {"CI_JOB_ID": lab_name, "LABCTL_LAB": job["variables"]["LABCTL_LAB"].replace("$CI_JOB_ID", lab_name)}

    done = shell(workspace, "set -eo pipefail\n" + "\n".join([*job["before_script"], *job["script"]]), **given)
    after = shell(workspace, "\n".join(job["after_script"]), **given, CI_JOB_STATUS="success")

    assert done.returncode == 0, done.stderr
    assert "app_web" in done.stdout
    assert after.returncode == 0, after.stderr
    assert f"ci-{lab_name}" not in lab_names(context)
