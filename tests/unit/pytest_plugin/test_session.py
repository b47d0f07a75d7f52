"""The session's lab: one for all tests, said in the log, gone at the end; or somebody's that stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import fake_lab
from .conftest import Session

USES = "def test_one(lab): assert lab.name\ndef test_two(lab, swarm, node):\n    assert node('worker1').run('id').ok\n"


def test_one_lab_for_all_tests_made_late_and_gone_at_the_end(session: Session) -> None:
    session.write("test_it.py", "def test_none(): pass\n" + USES)

    code, said = session.run()

    assert code == 0, said
    (made,) = session.asked("up")
    name = made.split()[0]
    assert re.fullmatch(r"pytest-[0-9a-f]{8} 2", made)
    assert session.asked("down") == [name]
    told = [line for line in said.splitlines() if line.startswith("labctl: ")]
    assert re.sub(r"(?<![.\d])\d+ s", "N s", "\n".join(told)).splitlines() == [
        f"labctl: making lab {name} …",
        "labctl: Images: building nginx (N s)",
        "labctl: Images: done in 30.0 s: 12 images",
        "labctl: this machine is small",
        f"labctl: lab {name} is ready after N s (2 nodes)",
        f"labctl: lab {name} is gone (N s)",
    ]
    assert list(Path(session.host.parent / "tmp").glob("labctl-*")) == []


@pytest.mark.parametrize(("word", "lines"), [("-q", 0), ("-v", 7)])
def test_how_much_is_told(session: Session, word: str, lines: int) -> None:
    session.write("test_it.py", USES)

    code, said = session.run(word)

    assert code == 0, said
    assert said.count("labctl: ") == lines


def test_tests_without_a_lab_make_none_and_say_nothing(session: Session) -> None:
    session.write("test_it.py", "def test_none(): pass\n")

    code, said = session.run()

    assert (code, session.journal) == (0, [])
    assert "labctl" not in said.partition("collected")[2]


@pytest.mark.parametrize(
    ("returned", "asked"),
    [
        ("{'nodes': 3, 'memory': '1g'}", "3 memory"),
        ("labctl.LabSpec(workers=0)", "LabSpec(name='lab'"),
        ("pathlib.Path('lab.yaml')", "a folder/lab.yaml"),
    ],
)
def test_a_project_says_which_lab_it_needs(session: Session, returned: str, asked: str) -> None:
    spec = f"import labctl, pathlib, pytest\n@pytest.fixture(scope='session')\ndef lab_spec(): return {returned}\n"
    session.write("conftest.py", spec)
    session.write("test_it.py", USES)

    code, said = session.run()

    assert code == 0, said
    assert asked in session.asked("up")[0]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("'lab.yaml'", "lab_spec returned 'lab.yaml', which describes no lab"),
        ("{'node': 3, 'name': 'a'}", "lab_spec: no such key: name, node"),
    ],
)
def test_what_describes_no_lab_is_told_in_a_line(session: Session, returned: str, told: str) -> None:
    session.write(
        "conftest.py", f"import pytest\n@pytest.fixture(scope='session')\ndef lab_spec(): return {returned}\n"
    )
    session.write("test_it.py", USES)

    code, said = session.run()

    assert (code, session.journal) == (1, [])
    assert f"\nlabctl: {told}\n" in said
    assert all(word not in said for word in ("Traceback", "session.py", "During handling"))


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_lab_that_is_up_is_used_and_stays(session: Session, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    session.stand("mine")
    session.write("test_it.py", "def test_one(lab): assert lab.name == 'mine'\n")
    monkeypatch.setenv("LABCTL_LAB", "mine" if how == "variable" else "other")

    code, said = session.run(*(["--labctl-lab", "mine"] if how == "option" else []))

    assert (code, session.journal, session.labs) == (0, [], ["mine"])
    source = "--labctl-lab" if how == "option" else "LABCTL_LAB"
    assert f"labctl: testing on lab mine ({source}), which stays" in said


def test_an_empty_name_asks_for_a_lab_of_the_sessions_own(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_LAB", "mine")
    session.write("test_it.py", USES)

    assert session.run("--labctl-lab=")[0] == 0
    assert len(session.asked("up")) == 1


def test_a_lab_that_is_not_there_is_an_error_and_none_is_made(session: Session) -> None:
    session.write("test_it.py", USES)

    code, said = session.run("--labctl-lab", "nosuch")

    assert (code, session.journal) == (1, [])
    assert "labctl: no lab named 'nosuch'" in said
    assert "2 errors" in said


def test_a_lab_that_is_kept_is_named_even_when_quiet(session: Session) -> None:
    session.write("test_it.py", USES)

    code, said = session.run("-q", "--labctl-keep")

    (name,) = session.labs
    assert code == 0
    assert f"labctl: lab {name} is left up: `pytest --labctl-lab {name}` tests on it again" in said
    assert f"`labctl down -l {name}` removes it" in said


def test_two_sessions_do_not_meet(session: Session) -> None:
    session.write("test_it.py", USES)
    both = [session.start(), session.start()]

    said = [one.communicate()[0] for one in both]

    assert [one.returncode for one in both] == [0, 0], said
    assert len(set(session.asked("down"))) == 2


def test_without_an_engine_each_test_fails_and_no_second_try_is_made(session: Session) -> None:
    session.write("test_it.py", "def test_none(): pass\n" + USES)
    (session.host / fake_lab.ENGINELESS).touch()

    code, said = session.run()

    assert code == 1
    assert "1 passed, 2 errors" in said
    assert "\nlabctl: no engine answers at unix:///nowhere\n`labctl doctor` tells more.\n" in said
    assert said.count("making lab") == 1
    assert "During handling" not in said


def test_without_an_engine_tests_are_skipped_where_that_was_asked_for_and_it_is_told(session: Session) -> None:
    session.write("test_it.py", "def test_none(): pass\n" + USES)
    (session.host / fake_lab.ENGINELESS).touch()

    code, said = session.run("--labctl-skip-without-engine", "-q")

    assert code == 0
    assert "1 passed, 2 skipped" in said
    assert "labctl: 2 tests were skipped: no engine answers at unix:///nowhere" in said


def test_another_failure_is_not_skipped(session: Session) -> None:
    session.write("test_it.py", USES)
    (session.host / fake_lab.UP_FAILS).touch()

    code, said = session.run("--labctl-skip-without-engine")

    assert code == 1
    assert len(session.asked("up")) == 1
    name = session.asked("up")[0].split()[0]
    assert f"labctl: worker1 does not start\n`labctl -l {name} logs worker1` tells why.\n" in said
    assert f"But lab {name} is gone, since it did not come up: `labctl up --retain` keeps such a lab" in said


def test_a_conftest_may_have_a_lab_of_its_own(session: Session) -> None:
    session.stand("mine")
    own = "import labctl, pytest\n@pytest.fixture\ndef lab(): return labctl.Lab.find('mine')\n"
    session.write("conftest.py", own)
    session.write("docker-stack.yml", "")
    session.write(
        "test_it.py", "def test_it(node, stack):\n    assert node('worker1') and stack('docker-stack.yml').name\n"
    )

    code, said = session.run()

    assert code == 0, said
    assert session.asked("up") == session.asked("down") == []
    assert session.asked("rm") != []


@pytest.mark.parametrize(
    ("ini", "told"), [("labctl_workers = each", "shared and own"), ("labctl_needs = x", "skip and fail")]
)
def test_a_word_in_the_ini_file_that_means_nothing_is_refused(session: Session, ini: str, told: str) -> None:
    session.write("test_it.py", USES)
    (session.folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")

    code, said = session.run()

    assert (code, session.journal) == (4, [])
    assert f"ERROR: {ini}: there is {told}" in said
