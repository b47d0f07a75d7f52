"""The pytest plugin on real labs: its page, the example from the wheel with two workers, reports, and Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from labctl.lab import Context, Lab, lab_names
from tests.guard import HANGING
from tests.runner import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

FAILS = """
def test_ends_at_once(stack):
    stack(text="services: {bad: {image: alpine, command: [sh, -c, 'echo oh no; exit 3']}}", limit=15)
"""
# Of a job that has little: no HOME, no terminal.
KEPT = ("PATH", "DOCKER_HOST", "DOCKER_CONFIG", "LABCTL_STATE", "LABCTL_MIRROR", "LANG")
OURS = ("-p", "labctl.pytest_plugin", "-p", "no:cacheprovider")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert found, "no fences found is an error"
    return [str(block) for block in found]


def environment(**more: str) -> dict[str, str]:
    """This process's own, with the plugin as where it is installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LABCTL_LAB"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}


def pytest_in(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *OURS, *words],
        cwd=folder,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGING * 4,
        check=False,
    )


def test_every_block_of_the_page_runs_and_a_failure_leaves_its_report(tmp_path: Path, shared_lab: Lab) -> None:
    (stack,) = blocks("pytest.md", "yaml")
    (tmp_path / "docker-stack.yml").write_text(stack)
    for block in blocks("pytest.md", "python"):
        name = re.match(r"# (tests/\w+\.py)\n", block)
        assert name is not None, block
        file = tmp_path / name[1]
        assert not file.exists(), f"{file.name} is there twice"
        file.parent.mkdir(exist_ok=True)
        file.write_text(block)
    (tmp_path / "tests" / "test_bad.py").write_text(FAILS)

    workers = ("-p", "xdist.plugin", "-n", "2", "--dist", "loadfile")  # most of the time goes with waiting
    given = ("--labctl-lab", shared_lab.name, "--labctl-report-dir", "reports", "--strict-markers")
    done = pytest_in(tmp_path, *workers, *given)

    said = done.stdout
    assert done.returncode == 1, said
    assert re.search(r"1 failed, (5 passed, 1 skipped|6 passed)", said), said
    assert f"testing on lab {shared_lab.name} (--labctl-lab), which stays" in said
    (report,) = (tmp_path / "reports").glob("tests-*")
    (log,) = report.glob("*_bad.log")
    assert "| oh no" in log.read_text()
    assert "non-zero exit (3)" in next(report.glob("*-tasks.txt")).read_text()
    assert re.search(r"container action=die .*_bad.* exit_code=3", (report / "events.txt").read_text())
    (bundle,) = (tmp_path / "reports").glob(f"labctl-logs-{shared_lab.name}-*.tar.gz")
    assert tarfile.is_tarfile(bundle)
    assert "tests/test_bad.py:3: stack(" in said and "non-zero exit (3)" in said and "Traceback" not in said
    assert [service.stack for service in shared_lab.swarm().services()] == []
    assert shared_lab.status().is_good


def test_the_example_with_two_workers_from_the_wheel(tmp_path: Path, context: Context) -> None:
    """As the page about CI has it; in a folder with a space, without HOME and a terminal, with an unkind umask."""
    job = tmp_path / "a job"
    shutil.copytree(ROOT / "examples" / "stack-tests", job, ignore=shutil.ignore_patterns("reports", "__pycache__"))
    python, venv = sys.executable, job / ".labctl"
    subprocess.run([python, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, capture_output=True)
    wheel = next(tmp_path.glob("swarm_labctl-*.whl"))
    subprocess.run([python, "-m", "venv", venv], check=True)
    # What labctl depends on is had from here, labctl itself is not: another test installs it with all that it needs.
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "more.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*map(str, pip), "--no-deps", "--force-reinstall", str(wheel)], check=True, timeout=300)
    (job / "tests" / "test_wheel.py").write_text(
        f"import labctl\ndef test_wheel(): assert labctl.__file__.startswith({str(packages)!r})\n"
    )
    before = set(lab_names(context))

    done = subprocess.run(
        ["bash", "-ec", blocks("ci.md", "sh")[-1]],
        cwd=job,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o077,
        start_new_session=True,
        timeout=HANGING * 5,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"(6 passed, 1 skipped|7 passed)", done.stdout), done.stdout
    assert done.stdout.count("labctl: making lab") == 1
    (name,) = re.findall(r"labctl: lab (pytest-\w+) is gone", done.stdout)
    assert name not in {*lab_names(context), *before}
    assert not (job / "reports").exists()


def test_ctrl_c_while_the_lab_is_made_leaves_nothing(tmp_path: Path, context: Context) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(lab): pass\n")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", *OURS, "-v"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    with process:
        for line in process.stdout or ():
            said += line
            if "Network and keys: done" in line:
                process.send_signal(signal.SIGINT)

    (name,) = re.findall(r"making lab (pytest-\w+)", said)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert name not in lab_names(context)


def test_a_worker_that_is_killed_leaves_no_lab(tmp_path: Path, context: Context) -> None:
    """The one that made the lab, while another one tests on it: that goes on, and the controller removes the lab."""
    (tmp_path / "test_it.py").write_text(
        """
import os, signal, pytest

@pytest.mark.parametrize("number", range(4))
def test_it(lab, node, number):
    assert node("m1").run("docker node ls").ok
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OURS, "-p", "xdist.plugin", "-n", "2"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGING * 5,
        check=False,
    )

    assert done.returncode == 1, done.stdout
    assert "1 failed, 3 passed" in done.stdout and "crashed while running" in done.stdout
    said = done.stdout + done.stderr  # a worker writes past its own output
    (name,) = set(re.findall(r"making lab (pytest-\w+)", said))
    assert f"lab {name} is gone" in said
    assert name not in lab_names(context)
