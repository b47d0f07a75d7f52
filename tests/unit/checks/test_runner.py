"""Checks run in a process of their own: every answer that they can give, and every way in which they can be no checks.

The files are real ones, run by a real pytest; they ask nothing of a lab.
"""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.checks.report import CheckReport, CheckResult, told
from labctl.checks.runner import CheckRun, Request, run_checks
from labctl.errors import LabError, NotFoundError
from tests.guard import HANGING, LONG, no_hang

Write = Callable[[str], Path]
HEAD = """
import os, pathlib, time
import pytest
from labctl.checks import not_yet, wrong

HERE = pathlib.Path(__file__).parent
step = pytest.mark.step

"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of checks."""

    def write_checks(text: str) -> Path:
        path = tmp_path / "test_it.py"
        path.write_text(HEAD + textwrap.dedent(text))
        return path

    return write_checks


def run(path: Path, *steps: str, wait: float = 0.0, probes: bool = True) -> CheckReport:
    return run_checks(Request(path, "no-lab", steps=steps, wait=wait, probes=probes))


def outcomes(report: CheckReport) -> dict[str, str]:
    return {result.name: result.outcome for result in report.results}


def test_the_four_answers(write: Write) -> None:
    path = write('''
        @step("a")
        def test_done():
            """It is done."""

        @step("b")
        def test_not_yet():
            """It comes."""
            not_yet("1 of 2 run", found=1, look="docker ps")

        @step("c")
        def test_wrong():
            """It is right."""
            wrong("it is wrong", found="frontend")

        @step("d")
        def test_broken():
            """It answers."""
            from labctl.errors import NodeDown
            raise NodeDown("worker1", "exited")
    ''')

    found = run(path)

    assert outcomes(found) == {
        "test_done": "done", "test_not_yet": "not-yet", "test_wrong": "wrong", "test_broken": "broken",
    }  # fmt: skip
    waiting = found.results[1]
    assert (waiting.step, waiting.title, waiting.message, waiting.found, waiting.look) == (
        "b", "It comes.", "1 of 2 run", "1", "docker ps",
    )  # fmt: skip
    assert found.results[3].message == "node worker1 is exited"


def test_plain_asserts_say_wrong_with_what_was_found(write: Write) -> None:
    path = write('''
        @step("a")
        def test_told():
            """Two run."""
            count = 3
            assert count == 2, f"{count} run"

        @step("b")
        def test_bare():
            """Two run."""
            count = 3
            assert count == 2
    ''')

    told, bare = run(path).results

    assert (told.outcome, told.message, told.found) == ("wrong", "3 run", "assert 3 == 2")
    assert (bare.outcome, bare.sentence()) == ("wrong", "Two run. (found: assert 3 == 2)")


def test_a_check_that_is_at_fault_is_not_the_learners_fault(write: Write) -> None:
    path = write('''
        @step("a")
        def test_bug():
            """A."""
            {}["x"]

        @step("b")
        def test_skips():
            """B."""
            pytest.skip("no")

        @step("c")
        def test_local(host):
            """C."""

        @step("d")
        def test_unknown(nothing_like_this):
            """D."""
    ''')

    found = run(path)

    assert set(outcomes(found).values()) == {"broken"}
    assert all(result.at_fault for result in found.results)
    assert "KeyError: 'x' (test_it.py:" in found.results[0].message
    assert "skips itself (test_it.py:" in found.results[1].message
    assert 'take node("m1")' in found.results[2].message
    assert "'nothing_like_this', and there is no such fixture (test_it.py:" in found.results[3].message


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os._exit(3)", "os.abort()", "os.kill(os.getpid(), 9)", "raise SystemExit(0)"]
)
def test_a_check_that_ends_its_process_is_at_fault_by_name_and_line(write: Write, end: str) -> None:
    path = write(f'''
        @step("a")
        def test_good():
            """A."""

        @step("b")
        def test_ends():
            """B."""
            {end}

        @step("c")
        def test_later():
            """C."""
    ''')

    found = run(path)

    good, ends, later = found.results
    assert (good.outcome, ends.outcome, ends.at_fault) == ("done", "broken", True)
    assert "test_ends" in ends.message
    assert "(test_it.py:" in ends.message
    assert later.outcome in ("not-run", "done")
    assert told(found)[0].startswith("The exercise is at fault: the check test_ends ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt (test_it.py:12)"),
        ('pytest.exit("bye")', "ends the run of all checks (test_it.py:12), which no check may"),
        ("subprocess.run(['sleep', '600'])", "did not end within 0.3 s (test_it.py:12): it waits by itself"),
    ],
)
@pytest.mark.parametrize("where", ["check", "fixture"])
def test_a_check_that_ends_the_run_or_waits_is_told_and_the_others_are_asked(
    write: Write, where: str, line: str, said: str
) -> None:
    head = "import subprocess; from labctl.checks import verdicts; verdicts.CHECK_LIMIT = 0.3\n@pytest.fixture\n"
    fixture = f"def mine():\n    {line if where == 'fixture' else 'pass'}\n"
    path = write(head + fixture)
    asked = "def test_ends(mine):\n    '''A.'''\n    "
    text = f"@step('a')\n{asked}{line if where == 'check' else 'pass'}\n@step('b')\ndef test_good():\n    '''B.'''\n"
    path.write_text(path.read_text() + text)

    ends, good = run(path).results

    assert (ends.outcome, ends.at_fault, good.outcome) == ("broken", True, "done")
    assert ends.message == f"the check test_ends {said.replace(':12', ':16') if where == 'check' else said}"


def test_a_fixture_that_skips_is_at_fault(write: Write) -> None:
    path = write('''
        @pytest.fixture
        def mine():
            pytest.skip("no")

        @step("a")
        def test_a(mine):
            """A."""
    ''')

    assert run(path).results[0].message == "the check test_a skips itself (test_it.py:12), which no check may"


@pytest.mark.parametrize(
    ("line", "said", "lints"),
    [
        ("os._exit(0)", "test_it.py ended the process that reads it (exit code 0)", False),
        ("os._exit(3)", "test_it.py ended the process that reads it (exit code 3)", False),
        ("raise RuntimeError('at import')", "RuntimeError: at import (test_it.py:10)", False),
        ("raise SystemExit(0)", "SystemExit: 0 (test_it.py:10)", False),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (test_it.py:10)", False),
        ("pytest.exit('bye')", "Exit: bye (test_it.py:10)", False),
        ("pytest.skip('no', allow_module_level=True)", "they skip themselves (test_it.py:10), which", False),
        ("import nosuchmodule", "No module named 'nosuchmodule' (test_it.py:10)", True),
        ("def x(:", "this is no Python: invalid syntax (test_it.py:10)", True),
        ("time.sleep(600)", "they did not end within 0.3 s (test_it.py:10)", False),
        ("__import__('helper')", "ZeroDivisionError: division by zero (helper.py:2)", False),
    ],
)
def test_checks_that_cannot_be_imported_are_at_fault_by_file_and_line(
    write: Write, monkeypatch: pytest.MonkeyPatch, line: str, said: str, lints: bool
) -> None:
    path = write("@step('a')\ndef test_a():\n    '''A.'''\n")
    path.with_name("helper.py").write_text("\n1 / 0\n")
    begin = HEAD + f"\n{line}\n"
    path.write_text(begin + path.read_text())
    if "sleep" in line:
        site = path.parent / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text("from labctl.checks import verdicts; verdicts.READ_LIMIT = 0.3")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))

    with no_hang(), pytest.raises(LabError) as caught:
        run(path, "a")

    assert caught.value.message.startswith("the exercise is at fault: ")
    assert said in caught.value.message
    assert ("exercise lint" in (caught.value.hint or "")) is lints


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os; os._exit(0)", "conftest.py ended the process that reads it (exit code 0)"),
        ("import nosuchmodule", "No module named 'nosuchmodule' (conftest.py:2)"),
    ],
)
def test_what_stands_beside_the_checks_is_at_fault_likewise(write: Write, line: str, said: str) -> None:
    path = write("@step('a')\ndef test_a():\n    '''A.'''\n")
    path.with_name("conftest.py").write_text(f"\n{line}\n")

    with pytest.raises(LabError) as caught:
        run(path, "a")

    assert caught.value.message.startswith("the exercise is at fault: ")
    assert said in caught.value.message


def test_what_ends_the_process_between_two_checks_is_at_fault(write: Write) -> None:
    path = write('''
        @pytest.fixture
        def mine():
            yield
            os._exit(0)

        @step("a")
        def test_a(mine):
            """A."""
    ''')

    with pytest.raises(LabError, match=r"at fault: test_it.py ended the process that runs its checks \(exit code 0\)"):
        run(path)


def test_a_lab_that_is_broken_is_not_the_exercises_fault(write: Write) -> None:
    path = write('''
        @step("a")
        def test_broken():
            """A."""
            from labctl.errors import NodeDown
            raise NodeDown("worker1", "exited")
    ''')

    assert told(run(path))[0] == "The lab is broken: node worker1 is exited"


def test_after_the_first_failure_of_a_step_the_rest_is_not_asked(write: Write) -> None:
    path = write('''
        @step("a")
        def test_one():
            """1."""
            not_yet("no")

        @step("a")
        def test_two():
            """2."""
            raise RuntimeError

        @step("b")
        def test_three():
            """3."""
    ''')

    assert outcomes(run(path)) == {"test_one": "not-yet", "test_two": "not-run", "test_three": "done"}


def test_a_guard_comes_first_and_stands_for_a_broken_lab(write: Write) -> None:
    path = write('''
        @step("a")
        def test_one():
            """1."""

        @pytest.mark.guard
        def test_ground():
            """Two nodes are ready."""
            wrong("one node is ready")
    ''')

    found = run(path)

    assert outcomes(found) == {"test_ground": "broken", "test_one": "not-run"}
    assert found.of_step("a").first == found.results[0]


def test_only_the_steps_asked_for_are_checked(write: Write) -> None:
    path = write('''
        @step("a", "b")
        def test_both():
            """Both."""

        @step("b")
        def test_b():
            """B."""
    ''')

    assert [(one.step, one.name) for one in run(path, "b").results] == [("b", "test_both"), ("b", "test_b")]
    assert [(one.step, one.name) for one in run(path).results] == [
        ("a", "test_both"),
        ("b", "test_both"),
        ("b", "test_b"),
    ]


def test_a_step_without_checks_is_an_error(write: Write) -> None:
    path = write('''
        @step("a")
        def test_a():
            """A."""
    ''')

    with pytest.raises(NotFoundError, match="no check for step"):
        run(path, "b")


def test_what_is_not_yet_so_is_asked_again(write: Write) -> None:
    path = write('''
        @step("a")
        def test_third_time():
            """The third time."""
            log = HERE / "log"
            log.write_text(log.read_text() + "x" if log.exists() else "x")
            if len(log.read_text()) < 3:
                not_yet(f"asked {len(log.read_text())} times")
    ''')
    heard: list[CheckResult] = []

    found = run_checks(Request(path, "no-lab", wait=20), heard=heard.append)

    assert found.is_done
    assert [(one.outcome, one.message) for one in heard] == [
        ("not-yet", "asked 1 times"), ("not-yet", "asked 2 times"), ("done", ""),
    ]  # fmt: skip


def test_an_engine_that_starts_over_is_asked_again(write: Write) -> None:
    """A learner restarts an engine, and the checks wait: for some seconds it answers nobody."""
    path = write("""
        from labctl.errors import EngineUnreachable

        @step("a")
        def test_third_time():
            \"\"\"The third time.\"\"\"
            log = HERE / "log"
            log.write_text(log.read_text() + "x" if log.exists() else "x")
            if len(log.read_text()) < 3:
                raise EngineUnreachable("the engine of manager2 does not answer")
    """)

    assert run(path, wait=LONG).is_done
    assert (path.parent / "log").read_text() == "xxx"


def test_an_engine_that_stays_silent_is_told_before_the_wait_is_over(write: Write) -> None:
    path = write("""
        from labctl.checks import running
        from labctl.errors import EngineUnreachable
        running.ENGINE_LIMIT = 0.5

        @step("a")
        def test_silent():
            \"\"\"It is silent.\"\"\"
            raise EngineUnreachable("the engine of manager2 does not answer")
    """)
    with no_hang():
        assert run(path, wait=LONG).outcome == "broken"


def test_what_is_wrong_is_not_waited_for(write: Write) -> None:
    path = write('''
        @step("a")
        def test_wrong():
            """A."""
            wrong("no")
    ''')
    with no_hang():
        assert run(path, wait=LONG).outcome == "wrong"


def test_a_probe_runs_only_when_asked(write: Write) -> None:
    path = write('''
        @step("a")
        @pytest.mark.probe
        def test_probe():
            """A."""
            (HERE / "written").touch()
    ''')

    assert outcomes(run(path, probes=False)) == {"test_probe": "not-run"}
    assert not (path.parent / "written").exists()
    assert outcomes(run(path)) == {"test_probe": "done"}


def test_a_check_that_hangs_is_ended_at_its_deadline(write: Write) -> None:
    path = write('''
        from labctl.checks import verdicts
        verdicts.CHECK_LIMIT = 0.3

        @step("a")
        def test_hangs():
            """A."""
            try:
                time.sleep(600)
            except Exception:
                pass
    ''')

    found = run(path).results[0]

    assert (found.outcome, found.at_fault) == ("broken", True)
    assert "test_hangs did not end within 0.3 s (test_it.py:" in found.message
    assert found.seconds < HANGING


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_a(:", "SyntaxError|invalid syntax"),
        ("import nothing_of_the_kind", "nothing_of_the_kind"),
        ("def test_a():\n    '''A.'''\n", "test_a belongs to no step"),
        ("@pytest.mark.stpe('a')\ndef test_a(): pass\n", "stpe"),
        ("x = 1", "cannot be run"),
    ],
)
def test_what_is_no_file_of_checks_is_told(write: Write, text: str, said: str) -> None:
    with pytest.raises(LabError, match=said) as caught:
        run(write(textwrap.dedent(text)))

    assert "labctl exercise lint" in (caught.value.hint or "")


def test_the_environment_of_the_caller_s_pytest_does_not_matter(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nothing-like-this")

    assert run(write('@step("a")\ndef test_a():\n    """A."""\n')).is_done


# -- watching


def until(condition: Callable[[], bool], seconds: float = HANGING) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


WATCHED = '''
    @step("a")
    @pytest.mark.every(1)
    def test_file():
        """The file is there."""
        if not (HERE / "file").exists():
            wrong("no file", hint="touch it")

    @step("a")
    @pytest.mark.probe
    def test_probe():
        """Probed."""
        with (HERE / "probed").open("a") as file:
            file.write("x")
'''


def test_a_watching_run_tells_what_is_true_now(write: Write) -> None:
    path = write(WATCHED)
    file, probed = path.parent / "file", path.parent / "probed"
    watching = CheckRun(Request(path, "no-lab", steps=("a",), probes=False), watch=True)

    def outcomes() -> list[str]:
        return [result.outcome for result in watching.report().results]

    try:
        until(lambda: outcomes() == ["wrong", "not-run"])
        assert watching.report().results[0].hint == "touch it"
        file.touch()
        until(lambda: outcomes() == ["done", "not-yet"])
        assert "press c" in watching.report().results[1].message
        watching.look_now()
        until(lambda: watching.report().is_done)
        file.unlink()
        watching.look_now()
        until(lambda: outcomes() == ["wrong", "not-run"])
        file.touch()
        until(lambda: outcomes() == ["done", "not-yet"])
        assert probed.read_text() == "x"  # it writes: once for each time that it is asked for
    finally:
        watching.close()


def test_answers_are_read_while_checks_watch(write: Write, tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    path = write('''
        @step("a")
        @pytest.mark.every(1)
        def test_answer(answer):
            """The answer is right."""
            if answer("leader") != "manager1":
                wrong("that is not the leader")
    ''')
    watching = CheckRun(Request(path, "no-lab", answers=answers), watch=True)
    try:
        until(lambda: watching.report().outcome == "not-yet")
        answers.write_text('{"leader": "worker1"}')
        until(lambda: watching.report().outcome == "wrong")
        answers.write_text('{"leader": " manager1 "}')
        until(lambda: watching.report().is_done)
    finally:
        watching.close()


def test_every_takes_seconds(write: Write) -> None:
    with pytest.raises(LabError, match="every takes seconds"):
        run(write('@step("a")\n@pytest.mark.every("often")\ndef test_a():\n    """A."""\n'))


def test_a_watching_run_ends_when_nobody_watches(write: Write) -> None:
    path = write('@step("a")\ndef test_a():\n    """A."""\n    not_yet("never")\n')
    watching = CheckRun(Request(path, "no-lab"), watch=True)
    until(lambda: watching.report().outcome == "not-yet")

    with no_hang():
        watching.close()

    assert watching.is_over


def test_what_lies_beside_the_checks_is_imported_by_them_and_by_nobody_else(write: Write) -> None:
    """A file called random.py there is no module of pytest's or labctl's."""
    path = write('''
        import random, beside

        @step("a")
        def test_done():
            """It is done."""
            assert beside.HERE and random.random() < 1
    ''')
    (path.parent / "beside.py").write_text("HERE = True\n")
    for name in ("random", "pytest", "click"):
        (path.parent / f"{name}.py").write_text("raise SystemExit('it was imported')\n")

    assert outcomes(run(path)) == {"test_done": "done"}
