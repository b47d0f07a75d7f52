"""With xdist: one lab for all workers or one each, whatever becomes of a worker."""

from __future__ import annotations

import pytest

from . import fake_lab
from .conftest import Session

MANY = "@pytest.mark.parametrize('n', range(6))\ndef test_it(lab, stack, n): assert stack(text='a').name\n"


def test_all_workers_share_a_lab_that_goes_once(session: Session) -> None:
    session.write("test_it.py", MANY)

    code, said = session.run("-n", "2")

    assert code == 0, said
    assert len(session.asked("up")) == len(session.asked("down")) == 1
    assert len(set(session.asked("rm"))) == 6
    assert said.count("labctl: making lab") == said.count("is gone") == 1


def test_each_worker_may_have_its_own(session: Session) -> None:
    session.write("test_it.py", MANY)

    code, said = session.run("-n", "2", "--labctl-workers=own", "--dist=each")

    assert code == 0, said
    assert len(set(session.asked("up"))) == len(set(session.asked("down"))) == 2
    assert session.labs == []


def test_nothing_is_said_with_q(session: Session) -> None:
    session.write("test_it.py", MANY)

    assert "labctl" not in session.run("-n", "2", "-q")[1]


def test_a_lab_that_is_kept_is_named_by_the_controller(session: Session) -> None:
    session.write("test_it.py", MANY)

    said = session.run("-n", "2", "-q", "--labctl-keep")[1]

    assert f"labctl: lab {session.labs[0]} is left up" in said
    assert said.count("is left up") == 1


@pytest.mark.parametrize("how", ["shared", "own"])
def test_a_worker_that_is_killed_leaves_no_lab(session: Session, how: str) -> None:
    session.write(
        "test_it.py",
        "import os, signal\ndef test_dies(lab): os.kill(os.getpid(), signal.SIGKILL)\ndef test_b(lab): pass\n",
    )

    code, said = session.run("-n", "1", f"--labctl-workers={how}")

    assert code == 1 and "crashed while running" in said, said
    assert session.labs == []
    assert sorted(session.asked("down")) == sorted({line.split()[0] for line in session.asked("up")})


def test_a_worker_that_is_killed_while_it_makes_the_lab_leaves_none_and_another_makes_one(session: Session) -> None:
    session.write("test_it.py", "def test_a(lab): pass\ndef test_b(lab): pass\ndef test_c(lab): pass\n")
    (session.host / fake_lab.KILLED).touch()

    code, said = session.run("-n", "1")

    assert code == 1 and "2 passed" in said, said
    assert session.labs == []
    assert len(session.asked("up")) == 2
    assert [line.split()[0] for line in session.asked("up")] == session.asked("down")


def test_why_there_is_no_lab_is_found_out_once(session: Session) -> None:
    session.write("test_it.py", MANY)
    (session.host / fake_lab.UP_FAILS).touch()

    code, said = session.run("-n", "2")

    assert code == 1 and "6 errors" in said, said
    assert len(session.asked("up")) == 1


def test_logs_are_written_once_if_a_test_of_any_worker_failed(session: Session) -> None:
    session.write("test_it.py", MANY + "def test_bad(lab): assert 0\n")

    code, said = session.run("-n", "2", "--labctl-report-dir=reports")

    assert code == 1, said
    assert len(session.asked("logs")) == 1
    assert session.labs == []


def test_a_failure_is_as_readable_as_without_workers(session: Session) -> None:
    session.write("test_it.py", "def test_bad(stack): stack(text='broken')\n")

    said = session.run("-n", "1")[1]

    assert "test_it.py:2: def test_bad(stack): stack(text='broken')" in said
    assert "stacks.py" not in said and "says hello" in said
    assert "FAILED test_it.py::test_bad - bad-" in said
