"""Ctrl-C, jobs that are cancelled, labs and engines that go away under the tests; and who has no use for all this."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guard import HANGING, LONG, no_hang

from . import fake_lab
from .conftest import Session

WAITS = f"""
import time, pathlib
def test_waits(stack):
    stack(text="a")
    pathlib.Path("began").touch()
    time.sleep({LONG})
def test_next(lab): pass
"""


@pytest.mark.parametrize(
    ("name", "workers"), [("SIGINT", []), ("SIGTERM", []), ("SIGINT", ["-n", "1"]), ("SIGTERM", ["-n", "1"])]
)
def test_a_job_that_is_cancelled_takes_its_lab_with_it(session: Session, name: str, workers: list[str]) -> None:
    session.write("test_it.py", WAITS)
    process = session.start(*workers, "--labctl-report-dir=reports")
    with no_hang(HANGING):
        while not (session.folder / "began").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        said = process.communicate()[0]

    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert session.labs == []
    assert len(session.asked("down")) == 1
    assert session.asked("logs") == [], "who cancels a job waits for no reports"
    if not workers:
        assert session.asked("rm") == [], "it goes with the lab"


def test_signals_are_what_they_were_where_there_is_no_lab(session: Session) -> None:
    session.write("test_it.py", WAITS.replace("stack(text=", "str(").replace("(stack)", "()"))
    process = session.start("-n", "1")
    with no_hang(HANGING):
        while not (session.folder / "began").exists():
            time.sleep(0.05)
        process.terminate()
        process.communicate()

    assert process.returncode == -signal.SIGTERM


def test_ctrl_c_as_the_lab_is_made_leaves_none(session: Session) -> None:
    session.write("test_it.py", WAITS)
    (session.host / fake_lab.INTERRUPTED).touch()

    code, said = session.run()

    assert code == pytest.ExitCode.INTERRUPTED, said
    assert session.labs == []


def test_a_lab_that_is_removed_while_tests_run_is_told_as_that(session: Session) -> None:
    session.write(
        "test_it.py",
        """
def test_removes(lab): lab.down()
def test_stack(stack): stack(text="a")
def test_node(node): node("worker1")
""",
    )

    code, said = session.run()

    name = session.asked("up")[0].split()[0]
    assert code == 1
    assert said.count(f"\nlabctl: lab {name} is gone: it was removed while the tests ran\n") == 2
    assert "During handling" not in said
    assert "1 passed, 1 error" in said or "1 failed, 1 passed, 1 error" in said
    assert len(session.asked("up")) == 1


def test_an_engine_that_goes_away_is_one_line_a_test_and_says_what_is_left(session: Session) -> None:
    session.write(
        "test_it.py",
        f"""
import pathlib
def test_breaks(stack):
    stack(text="a")
    pathlib.Path({str(session.host / fake_lab.ENGINELESS)!r}).touch()
    stack(text="b")
def test_next(stack): pass
""",
    )

    code, said = session.run()

    name = session.asked("up")[0].split()[0]
    assert code == 1
    assert 'test_it.py:7: stack(text="b")' in said
    assert f"Lab {name} is left: `labctl down -l {name}` removes it." in said
    assert "Traceback" not in said and ".py:1" not in said.partition("short test summary")[0].partition("FAILURES")[2]
    assert session.labs == [name]


def test_what_is_left_of_looking_for_somebodys_lab_does_not_remove_it(session: Session) -> None:
    session.stand("mine")
    session.write(
        "conftest.py",
        "from labctl.pytest_plugin.keeping import Use, place_of\n"
        "def pytest_configure(config): place_of(config).note(Use(name='mine'))\n",
    )
    session.write("test_it.py", "def test_it(lab): assert lab.name != 'mine'\n")

    code, said = session.run()

    assert code == 0, said
    assert session.labs == ["mine"]


def test_a_worker_that_does_not_find_the_others_lab_leaves_it_to_be_removed(session: Session) -> None:
    session.write(
        "conftest.py",
        "from labctl.pytest_plugin.keeping import Use, place_of\n"
        "def pytest_configure(config): place_of(config).note(Use(name='ours', made=True, ready=True, users=['gw7']))\n"
        "def pytest_runtest_teardown(): (fake_lab.host() / 'engineless').unlink(missing_ok=True)\n",
    )
    session.stand("ours")
    (session.host / fake_lab.ENGINELESS).touch()
    session.write("test_it.py", "def test_it(lab): pass\n")

    code, said = session.run()

    assert code == 1 and "labctl: no engine answers" in said
    assert session.labs == []


def test_a_lab_that_cannot_be_removed_is_no_success(session: Session) -> None:
    session.write("test_it.py", "def test_it(lab): pass\n")
    (session.host / fake_lab.DOWN_FAILS).touch()

    code, said = session.run("-q")

    (name,) = session.labs
    assert code == 1
    assert f"labctl: the engine refuses\n`labctl -l {name} status` tells more.\nLab {name} is left" in said


def test_neither_docker_nor_pydantic_before_a_fixture_is_used(session: Session) -> None:
    session.write("conftest.py", "")
    (session.folder / "conftest.py").write_text(
        "def pytest_unconfigure():\n    import json, sys\n    print('LOADED', json.dumps(sorted(sys.modules)))\n"
    )
    session.write("test_it.py", "def test_it(): pass\n")

    loaded = json.loads(session.run("-s")[1].rpartition("LOADED ")[2])

    large = {"docker", "pydantic", "requests", "urllib3", "paramiko", "rich", "click", "psutil", "cryptography", "ssl"}
    ours = {name for name in loaded if name.startswith("labctl")}
    assert large & set(loaded) == set()
    assert {name for name in ours if not name.startswith("labctl.pytest_plugin")} == {"labctl"}
    assert len(ours) <= 12


def test_the_plugin_brings_no_module_of_pythons_that_pytest_would_not(session: Session) -> None:
    session.write("test_it.py", "")
    (session.folder / "conftest.py").write_text(
        "def pytest_unconfigure():\n    import json, sys\n    print('LOADED', json.dumps(sorted(sys.modules)))\n"
    )
    with_it = json.loads(session.run("-s")[1].rpartition("LOADED ")[2])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s"]
    done = subprocess.run(command, cwd=session.folder, capture_output=True, text=True, check=False)
    without = json.loads(done.stdout.rpartition("LOADED ")[2])

    more = {name for name in set(with_it) - set(without) if not name.startswith("labctl")}
    assert more <= {"secrets", "hmac", "_hashlib", "hashlib", "_blake2", "random", "_random", "_sha512", "_bisect"}


@pytest.mark.parametrize("autoload", [True, False])
def test_an_exercises_checks_have_their_own_plugin_beside_this_one(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, autoload: bool
) -> None:
    info = tmp_path / "site" / "plugged-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pytest11]\nlabctl = labctl.pytest_plugin\n")
    if autoload:
        monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    root = Path(fake_lab.__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{root}")
    file = session.folder / "test_check.py"
    file.write_text("import pytest\n@pytest.mark.step('a')\ndef test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "labctl.checks.plugin", "-p", "no:cacheprovider", str(file)]

    done = subprocess.run(
        [*command, "--labctl-lab", "nosuch", "-s"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    fixtures = subprocess.run([*command, "--fixtures"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "managers" in fixtures.stdout
    assert "lab_spec" not in fixtures.stdout


def test_every_option_fixture_and_word_of_the_ini_file_is_on_the_page(session: Session) -> None:
    page = (Path(fake_lab.__file__).parents[3] / "docs" / "pytest.md").read_text()
    session.write("test_it.py", "")

    told = session.run("--help")[1] + session.run("--fixtures")[1] + session.run("--markers")[1]

    names = set(re.findall(r"--labctl-[a-z-]+|labctl_[a-z_]+", told)) - {"labctl_folder"}
    names |= {"lab", "lab_spec", "swarm", "node", "stack", "module_stack"}
    assert len(names) == 6 + 3 + 6, "options, words of the ini file (one is the mark's name too), fixtures"
    assert [name for name in sorted(names) if f"`{name}" not in page] == []


def test_an_error_in_a_file_that_is_no_python_ends_its_test_and_not_the_session(session: Session) -> None:
    session.write("page.md", "It isn't Python:\nraise_it()\n")
    session.write(
        "test_it.py",
        """
from labctl.errors import LabError
def raise_it(): raise LabError("no such thing")
def test_page(stack):
    exec(compile("\\nraise_it()", "page.md", "exec"), {"raise_it": raise_it})
def test_next(): pass
""",
    )

    code, said = session.run()

    assert (code, "INTERNALERROR" in said) == (1, False), said
    assert "1 failed, 1 passed" in said and "no such thing" in said
