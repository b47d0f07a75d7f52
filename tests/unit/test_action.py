"""The GitHub Action as a runner runs it, with a stand-in for labctl that notes what it was told to do."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.runner import ACTION, ROOT, Runner, started

STAND_IN = """\
#!/usr/bin/env bash
echo "$*" >>"$SAID"
case "$*" in
  "labs -o json") [ -z "$NO_ENGINE" ] || exit 3; printf '[\\n {\\n "name": "%s",\\n' "$STANDING" ;;
  up*) [ -z "$SLOW" ] || { echo making; exec sleep 60; }; [ -z "$UP_FAILS" ] ;;
  *env*) printf 'export DOCKER_HOST="tcp://127.0.0.1:4711"\\nexport DOCKER_CERT_PATH="/keys/a b"\\n' ;;
  *"export logs"*) echo logs >"${@: -1}" ;;
  "bundle save"*) echo images >"$3" ;;
  "bundle load"*) [ -z "$DAMAGED" ] ;;
  *status) echo "problem    worker1 is down" ;;
  *down) [ -z "$DOWN_FAILS" ] ;;
esac
"""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A job with the stand-in on its PATH; `version: installed` takes it."""
    program = tmp_path / "stand-in"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    return Runner(tmp_path / "job 1", program, {"version": "installed"}, {"SAID": str(tmp_path / "said")})


def said(runner: Runner) -> list[str]:
    """What labctl was told to do."""
    file = Path(runner.environ["SAID"])
    return file.read_text().splitlines() if file.exists() else []


def test_the_files_of_the_action_are_there_and_its_inputs_are_those_that_the_script_reads() -> None:
    script = (ROOT / ".github/action/action.sh").read_text()
    for phase in ("main", "post"):
        assert (ROOT / ACTION["runs"][phase]).is_file()
    assert ACTION["runs"]["using"] == "node20"
    for name in ACTION["inputs"]:
        variable = f"INPUT_{name.upper().replace('-', '_')}"
        assert variable in script, f"{name} is read by nobody"
    for name in ACTION["outputs"]:
        assert f'tell "${{GITHUB_OUTPUT:-}}" {name} ' in script, f"{name} is told by nobody"
    assert all(about["description"] for about in [*ACTION["inputs"].values(), *ACTION["outputs"].values()])


def test_main_brings_a_lab_up_and_post_takes_it_down(runner: Runner) -> None:
    main = runner.main()

    assert main.code == 0, main.log
    lab = main.pairs("OUTPUT")["lab"]
    assert lab.startswith("ci-")
    assert main.pairs("OUTPUT") == {"lab": lab, "docker-host": "tcp://127.0.0.1:4711", "cert-path": "/keys/a b"}
    assert main.pairs("ENV") == {"LABCTL_LAB": lab}
    post = runner.post()
    assert post.code == 0, post.log
    assert said(runner) == [
        "labs -o json",
        f"up --name {lab} --retain",
        f"-l {lab} env --shell bash",
        f"-l {lab} down",
    ]
    assert post.told["STEP_SUMMARY"] == ""


def test_each_job_has_a_lab_of_another_name(runner: Runner) -> None:
    assert runner.main().pairs("OUTPUT")["lab"] != runner.main().pairs("OUTPUT")["lab"]


def test_the_inputs_become_flags(runner: Runner) -> None:
    (runner.workspace / "my lab.yaml").write_text("workers: 1\n")
    runner.inputs |= {"nodes": "3", "name": "shop", "wait": "false", "spec": "my lab.yaml"}

    assert runner.main().code == 0
    assert "up --name shop --retain --file=my lab.yaml --nodes 3 --no-verify" in said(runner)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spec", "nosuch.yaml"),
        ("nodes", "three"),
        ("nodes", "0"),
        ("nodes", "3; touch x"),
        ("name", "Shop"),
        ("name", "-l"),
        ("name", "a\nLABCTL_LAB=b"),
        ("version", "../x"),
        ("version", "--pre"),
        ("wait", "yes"),
    ],
)
def test_an_input_that_is_none_is_refused_before_anything_is_made(runner: Runner, name: str, value: str) -> None:
    runner.inputs |= {name: value}

    main = runner.main()

    assert main.code == 1
    assert main.log.startswith(f"::error title=labctl::{name}: ")
    assert len(main.log.splitlines()) == 1
    assert runner.post("failure").code == 0
    assert said(runner) == []
    assert not any(main.told.values())


def test_a_lab_of_that_name_that_stands_is_left_by_main_and_by_post(runner: Runner) -> None:
    runner.inputs["name"] = runner.environ["STANDING"] = "shop"

    main = runner.main()

    assert main.code == 1
    assert "there is a lab shop already" in main.log
    assert runner.post("failure").code == 0
    assert said(runner) == ["labs -o json"]


def test_a_lab_whose_name_only_begins_alike_is_no_obstacle(runner: Runner) -> None:
    runner.inputs["name"], runner.environ["STANDING"] = "shop", "shop-2"
    assert runner.main().code == 0


def test_an_engine_out_of_reach_is_told_with_the_way_out(runner: Runner) -> None:
    runner.environ["NO_ENGINE"] = "yes"
    main = runner.main()
    assert main.code == 1
    assert "labctl doctor" in main.log


def test_an_up_that_fails_leaves_its_wreck_to_post_which_keeps_the_logs_and_removes_it(runner: Runner) -> None:
    runner.environ["UP_FAILS"] = "yes"

    main = runner.main()

    lab = main.pairs("OUTPUT")["lab"]
    assert main.code == 1
    assert f"::error title=labctl::lab {lab} did not come up" in main.log
    post = runner.post("failure")
    assert post.code == 0, post.log
    logs = runner.workspace / f"labctl-logs-{lab}.tar.gz"
    assert logs.is_file()
    assert str(logs) in post.told["STEP_SUMMARY"]
    assert "    problem    worker1 is down" in post.told["STEP_SUMMARY"]
    assert said(runner)[-1] == f"-l {lab} down"


@pytest.mark.parametrize(("status", "kept"), [("success", 0), ("cancelled", 0), ("failure", 1), ("", 0)])
def test_logs_are_kept_when_the_job_failed(runner: Runner, status: str, kept: int) -> None:
    """A job that was cancelled has minutes left; one whose runner does not tell is judged by what main did."""
    runner.main()
    runner.post(status)
    assert len(list(runner.workspace.glob("labctl-logs-*"))) == kept
    assert said(runner)[-1].endswith(" down")


def test_post_twice_keeps_the_logs_of_the_first(runner: Runner) -> None:
    runner.main()
    runner.post("failure")
    count = len(said(runner))

    post = runner.post("failure")

    assert post.code == 0
    assert post.told["STEP_SUMMARY"] == ""
    assert not [line for line in said(runner)[count:] if "export" in line]


def test_post_without_main_removes_nothing(runner: Runner) -> None:
    runner.inputs["name"] = runner.environ["STANDING"] = "shop"

    post = runner.post("failure")

    assert post.code == 0
    assert "there is none to remove" in post.log
    assert said(runner) == []


def test_post_says_when_the_lab_stays(runner: Runner) -> None:
    runner.environ["DOWN_FAILS"] = "yes"
    lab = runner.main().pairs("OUTPUT")["lab"]
    post = runner.post()
    assert post.code == 1
    assert f"`labctl down -l {lab}` removes it" in post.log


def test_post_says_so_when_labctl_itself_is_gone(runner: Runner) -> None:
    lab = runner.main().pairs("OUTPUT")["lab"]
    (runner.folder / "bin" / "labctl").unlink()
    post = runner.post()
    assert post.code == 1
    assert f"lab {lab} was not removed" in post.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_ends_at_once_and_post_removes_its_lab(runner: Runner, number: signal.Signals) -> None:
    """The runner signals Node.js alone."""
    runner.environ["SLOW"] = "yes"
    process = runner.start("main")
    started(process, "making")

    process.send_signal(number)

    main = runner.ended(process)
    assert main.code == 130, main.log
    lab = runner.state["lab"]
    runner.environ["SLOW"] = ""
    assert runner.post("cancelled").code == 0
    assert said(runner)[-1] == f"-l {lab} down"
    assert not any("export" in line for line in said(runner))


def test_images_are_saved_once_and_loaded_after(runner: Runner) -> None:
    runner.inputs["cache-path"] = "a cache"
    runner.main()
    runner.post()
    assert "bundle save a cache/labctl-images.tar.gz" in said(runner)
    count = len(said(runner))

    runner.main()
    runner.post()

    again = said(runner)[count:]
    assert again[1] == "bundle load a cache/labctl-images.tar.gz"
    assert not [line for line in again if "bundle save" in line]


def test_a_job_that_failed_saves_no_images(runner: Runner) -> None:
    runner.inputs["cache-path"] = "cache"
    runner.main()
    runner.post("failure")
    assert not (runner.workspace / "cache").exists()


def test_images_that_cannot_be_used_are_a_warning(runner: Runner) -> None:
    runner.inputs["cache-path"], runner.environ["DAMAGED"] = "cache", "yes"
    (runner.workspace / "cache").mkdir()
    (runner.workspace / "cache" / "labctl-images.tar.gz").write_text("x")

    main = runner.main()

    assert main.code == 0
    assert "::warning title=labctl::the images in cache cannot be used" in main.log


def test_the_key_of_an_autolocked_swarm_is_masked_before_anything_else_is_said(runner: Runner) -> None:
    runner.environ["LABCTL_UNLOCK_KEY"] = "SWMKEY-1-x%y"
    assert runner.main().log.startswith("::add-mask::SWMKEY-1-x%25y\n")


def test_a_runner_that_is_no_linux_is_refused(runner: Runner) -> None:
    runner.environ["RUNNER_OS"] = "Windows"
    assert "needs a Linux runner" in runner.main().log


@pytest.mark.parametrize(("version", "wanted"), [("", str(ROOT)), ("0.1.0", "swarm-labctl==0.1.0")])
def test_labctl_comes_from_the_checkout_or_from_pypi(runner: Runner, tmp_path: Path, version: str, wanted: str) -> None:
    """A stand-in for Python makes the environment and notes what pip is told to install."""
    python = runner.folder / "bin" / "python3"
    python.write_text(
        '#!/usr/bin/env bash\ncase "$1 $2" in\n'
        '"-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$STAND_IN" "$3/bin/labctl" ;;\n'
        '"-m pip") echo "$*" >>"$SAID" ;;\nesac\n'
    )
    python.chmod(0o755)
    runner.environ["STAND_IN"] = str(tmp_path / "stand-in")
    runner.inputs["version"] = version

    main = runner.main()

    assert main.code == 0, main.log
    assert said(runner)[0] == f"-m pip install --quiet --disable-pip-version-check {wanted}"
    on_path = Path(main.told["PATH"].strip())
    assert [entry.name for entry in on_path.iterdir()] == ["labctl"]
    assert subprocess.run([on_path / "labctl", "x"], env={**os.environ, **runner.environ}, check=False).returncode == 0


def test_a_python_that_is_too_old_is_told_with_the_way_out(runner: Runner) -> None:
    python = runner.folder / "bin" / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    runner.inputs["version"] = ""
    main = runner.main()
    assert main.code == 1
    assert "actions/setup-python" in main.log
    assert runner.post("failure").code == 0
