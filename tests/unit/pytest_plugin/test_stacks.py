"""Stacks of a test: names of their own, files that are found, what is told when one does not run."""

from __future__ import annotations

import re

import pytest

from .conftest import Session


def test_a_stack_is_deployed_under_a_name_of_its_own_and_removed_after_the_test(session: Session) -> None:
    session.write("docker-stack.yml", "plain")
    session.write(
        "test_it.py",
        """
def test_web_answers(stack):
    one, two = stack("docker-stack.yml"), stack("docker-stack.yml", environment={"TAG": "2"})
    assert one.name != two.name
    assert one.services["web"].running == 1 and one.deployment.urls
    assert one.url("web") == f"http://127.0.0.1:30001#{one.name}_web"
    assert one.url("web", "/health") == one.url("web", "health") == one.url("web") + "/health"
    assert one.logs("web") == f"{one.service('web')} says hello\\n"
    one.update(environment={"TAG": "3"}, limit=5)

def test_next(stack):
    assert stack(text="services: inline").name.startswith("next-")
    assert "stack" in repr(stack).lower()
""",
    )

    code, said = session.run()

    assert code == 0, said
    deployed = [(line.split()[0], " ".join(line.split()[-2:])) for line in session.asked("deploy")]
    names = [name for name, _ in deployed]
    assert all(re.fullmatch(r"web-answers-[0-9a-f]{6}", name) for name in names[:3])
    assert [said for _, said in deployed[1:3]] == ["2 wait", "3 wait"]
    assert names[2] == names[0] and len(set(names)) == 3
    assert sorted(session.asked("rm")) == sorted(set(names))
    order = [line.split()[0] for line in session.journal]
    assert order == ["up", "deploy", "deploy", "deploy", "rm", "rm", "deploy", "rm", "down"]


@pytest.mark.parametrize(
    ("test", "label"),
    [
        ("test_a[x/y z]", "a-x-y-z"),
        ("test_" + "long" * 9, "longlonglonglonglong"),
        ("test_ü", "stack"),
        ("test", "test"),
    ],
)
def test_a_stacks_name_tells_of_its_test(test: str, label: str) -> None:
    from labctl.pytest_plugin.stacks import _label

    assert _label(test) == label


def test_files_are_found_beside_the_test_or_in_the_rootdir_from_wherever_pytest_runs(session: Session) -> None:
    (session.folder / "tests").mkdir()
    (session.folder / "pytest.ini").write_text("[pytest]\n")
    session.write("docker-stack.yml", "of the root")
    session.write("tests/beside.yml", "beside")
    session.write("tests/docker-stack.yml", "nearer")
    session.write("root.yml", "of the root")
    session.write(
        "tests/test_it.py",
        "def test_it(stack):\n    for one in ('beside', 'docker-stack', 'root'): stack(f'{one}.yml')\n",
    )

    code, said = session.run("tests/test_it.py", "--rootdir", str(session.folder))

    assert code == 0, said
    texts = [line.split(" ", 1)[1].removesuffix(" - wait") for line in session.asked("deploy")]
    assert texts == ["beside", "nearer", "of the root"]


def test_a_file_that_is_missing_is_told_with_the_places_where_it_was_looked_for(session: Session) -> None:
    (session.folder / "tests").mkdir()
    (session.folder / "pytest.ini").write_text("[pytest]\n")
    session.write("tests/test_it.py", "def test_it(stack):\n    stack('nosuch.yml')\ndef test_no(stack): stack()\n")

    code, said = session.run()

    assert code == 1
    places = f"{session.folder}/tests/nosuch.yml or {session.folder}/nosuch.yml"
    assert f"there is no stack file {places}\n" in said
    assert "tests/test_it.py:3: stack('nosuch.yml')" in said
    assert "stack() deploys nothing" in said
    assert session.asked("deploy") == session.asked("rm") == []


def test_a_stack_that_does_not_run_is_one_block_that_says_why(session: Session) -> None:
    session.write("docker-stack.yml", "broken")
    session.write("test_it.py", "def test_it(stack):\n    stack('docker-stack.yml')\n")

    code, said = session.run()

    name, lab = session.asked("deploy")[0].split()[0], session.asked("up")[0].split()[0]
    block = said.partition("FAILURES")[2].partition("short test summary")[0].splitlines()[2:]
    assert code == 1
    assert block[:5] == [
        f"{name}_web: 0 of 1 task runs; No such image: nosuch:1",
        f"`labctl -l {lab} image ls` shows what there is.",
        "But the lab goes with the session: `pytest --labctl-keep` leaves it up.",
        "",
        "test_it.py:3: stack('docker-stack.yml')",
    ]
    assert f"labctl: stack {name} on lab {lab}" in block[5]
    assert f"{name}_web says hello" in block
    assert len(block) < 13
    assert f"FAILED test_it.py::test_it - {name}_web: 0 of 1 task runs" in said
    assert session.asked("rm") == [name]


def test_a_lab_that_stays_can_be_asked_later(session: Session) -> None:
    session.stand("mine")
    session.write("test_it.py", "def test_it(stack):\n    stack(text='broken')\n")

    assert "goes with the session" not in session.run("--labctl-lab=mine")[1]
    said = session.run("--labctl-keep")[1]

    assert "image ls` shows what there is." in said and "goes with the session" not in said


def test_a_variable_that_is_not_set_is_named_where_the_stack_does_not_run(session: Session) -> None:
    session.write(
        "test_it.py",
        """
def test_bad(stack): stack(text="broken $IMAGE")
def test_good(stack):
    app = stack(text="$IMAGE")
    assert app.warnings == ["IMAGE is not set: Docker puts nothing in its place"]
    assert app.update(environment={"IMAGE": "a"}).warnings == []
""",
    )

    code, said = session.run()

    assert code == 1
    assert "1 failed, 1 passed" in said
    assert "warning: IMAGE is not set: Docker puts nothing in its place" in said.partition("FAILURES")[2]


@pytest.mark.parametrize("more", [["--full-trace"], ["--tb=long"], ["--tb=native"]])
def test_who_asks_for_the_whole_traceback_gets_it(session: Session, more: list[str]) -> None:
    session.write("test_it.py", "def test_it(stack):\n    stack(text='broken')\n")

    said = session.run(*more)[1]

    assert "pytest_plugin/stacks.py" in said


def test_a_test_may_expect_that_a_stack_does_not_run(session: Session) -> None:
    session.write(
        "test_it.py",
        """
from labctl import NotYetError
def test_it(stack):
    with pytest.raises(NotYetError, match="No such image"):
        stack(text="broken")
""",
    )

    code, said = session.run()

    assert code == 0, said
    assert len(session.asked("rm")) == 1


def test_a_test_may_remove_its_own_stack(session: Session) -> None:
    session.write(
        "test_it.py",
        """
def test_by_itself(stack): stack(text="a").remove()
def test_one_of_two(stack, lab):
    one, two = stack(text="a"), stack(text="b")
    lab.remove_stack(one.name)
""",
    )

    code, said = session.run()

    assert code == 0, said
    assert len(session.asked("rm")) == 3


def test_a_stack_for_all_tests_of_a_module(session: Session) -> None:
    session.write(
        "test_it.py",
        """
@pytest.fixture(scope="module")
def app(module_stack): return module_stack(text="a")
def test_one(app): assert app.name.startswith("it-")
def test_two(app, stack): assert stack(text="b").name != app.name
""",
    )
    session.write("test_next.py", "def test_last(lab): pass\n")

    code, said = session.run()

    assert code == 0, said
    order = [line.split()[0] for line in session.journal]
    assert order == ["up", "deploy", "deploy", "rm", "rm", "down"]


def test_reports_of_what_failed(session: Session) -> None:
    session.write(
        "test_it.py",
        """
def test_good(stack): stack(text="a")
def test_bad(stack):
    stack(text="b")
    assert not 1
@pytest.mark.parametrize("long", ["x/" * 100])
def test_long(stack, long):
    stack(text="c")
    assert not long
""",
    )

    code, said = session.run("--labctl-report-dir", "some/reports")

    folder = session.folder / "some" / "reports"
    good, bad, long = (line.split()[0] for line in session.asked("deploy"))
    assert code == 1
    assert {one.name for one in (folder / "test_it.py-test_bad").iterdir()} == {
        f"{bad}-tasks.txt", f"{bad}_web.log", "events.txt",
    }  # fmt: skip
    assert (folder / "test_it.py-test_bad" / f"{bad}_web.log").read_text() == f"{bad}_web says hello\n"
    assert f"docker stack ps --no-trunc {bad}" in (folder / "test_it.py-test_bad" / f"{bad}-tasks.txt").read_text()
    event = (folder / "test_it.py-test_bad" / "events.txt").read_text()
    assert event.rstrip().endswith("manager1 service action=create service=app_web id=s1")
    assert (folder / "logs.tar.gz").is_file()
    assert f"all of it is in {folder}/test_it.py-test_bad" in said
    assert len(list(folder.iterdir())) == 3 and long and not list(folder.glob("*good*"))
    assert session.journal[-3:] == ["events closed", f"logs {session.asked('down')[0]}", session.journal[-1]]
    assert good in session.asked("rm")


def test_no_logs_where_nothing_failed(session: Session) -> None:
    session.write("test_it.py", "def test_good(stack): stack(text='a')\n")
    (session.folder / "pytest.ini").write_text("[pytest]\nlabctl_report_dir = reports\n")

    code, _ = session.run()

    assert (code, session.asked("logs"), (session.folder / "reports").exists()) == (0, [], False)


def test_the_folder_for_reports_may_stand_in_the_ini_file(session: Session) -> None:
    (session.folder / "tests").mkdir()
    session.write("tests/test_it.py", "def test_bad(stack): assert not stack(text='a')\n")
    (session.folder / "pytest.ini").write_text("[pytest]\nlabctl_report_dir = reports\n")

    session.run("tests")

    assert (session.folder / "reports" / "tests-test_it.py-test_bad" / "events.txt").is_file()


def test_a_folder_for_reports_that_cannot_be_written_takes_nothing_from_the_failure(session: Session) -> None:
    taken = "open('taken', 'w').close()"
    session.write("test_it.py", f"def test_bad(stack):\n    {taken}\n    assert stack(text='a') is None\n")

    code, said = session.run("--labctl-report-dir", "taken")

    assert code == 1
    assert "it cannot be written to" in said and "assert <Stack bad-" in said
    assert "the lab's logs cannot be had" in said
    assert session.labs == []


def test_an_update_finds_files_as_the_first_deploy_does(session: Session) -> None:
    (session.folder / "pytest.ini").write_text("[pytest]\n")
    (session.folder / "sub").mkdir()
    session.write("sub/a.yml", "a")
    session.write("sub/b.yml", "b")
    session.write("test_it.py", "def test_it(stack):\n    stack('sub/a.yml').update('sub/b.yml')\n")

    code, said = session.run()

    assert code == 0, said
    assert [line.split()[1] for line in session.asked("deploy")] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("limit='10'", "limit='10': seconds are wanted, as a number above 0"),
        ("limit=0", "limit=0: seconds are wanted"),
        ("wait='no'", "wait='no': True or False is wanted"),
        ("wiat=False", "stack() takes no wiat=: did you mean wait"),
    ],
)
def test_what_stack_does_not_take_is_told_before_anything_is_deployed(session: Session, given: str, told: str) -> None:
    session.write("docker-stack.yml", "plain")
    session.write("test_it.py", f"def test_it(stack):\n    stack('docker-stack.yml', {given})\n")

    code, said = session.run()

    assert code == 1
    assert told in said
    assert session.asked("deploy") == []


@pytest.mark.parametrize("folder", ["inway", "inway/below"])
def test_reports_that_could_not_be_written_are_refused_at_the_start(session: Session, folder: str) -> None:
    session.write("test_it.py", "def test_it(lab): pass\n")
    (session.folder / "inway").write_text("")

    code, said = session.run(f"--labctl-report-dir={folder}")

    assert code == 4
    assert "no reports can be written to" in said
    assert session.journal == []
