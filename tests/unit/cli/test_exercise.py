"""The exercise verbs as far as they go without a lab; the rest is in tests/integration/test_exercise.py."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from labctl.checks.report import CheckReport, CheckResult
from labctl.cli.exercise_lab import reported
from labctl.cli.signals import Ended
from labctl.errors import DeclinedError, LabctlError, LabError, NotFoundError, NotYetError, SpecError
from labctl.exercise import read_exercise
from labctl.exercise.progress import Progress

from .conftest import Labctl


def test_the_list_works_without_a_lab(labctl: Labctl) -> None:
    found = labctl("exercise", "list", "-o", "json")

    assert found.code == 0
    voting = next(row for row in json.loads(found.out) if row["id"] == "voting-app")
    assert (voting["title"], voting["steps"], voting["done"]) == ("The voting app", 8, 0)


def test_a_folder_that_adds_no_exercise_is_told(labctl: Labctl, tmp_path: Path) -> None:
    assert f"{tmp_path} holds no exercise" in labctl("exercise", "list", "--path", str(tmp_path)).err


@pytest.mark.parametrize("path", ["./mine", "mine", ".", "{}/mine"])
def test_a_folder_that_holds_an_exercise_is_none_that_holds_none(labctl: Labctl, alone: Path, path: str) -> None:
    labctl("exercise", "new", "mine")

    found = labctl("exercise", "list", "--path", path.format(alone), "--path", path.format(alone))

    assert "mine" in found.out
    assert found.err == ""


def test_one_step_and_all_of_them_is_a_contradiction(labctl: Labctl) -> None:
    outcome = labctl("exercise", "check", "--all", "2")

    assert (outcome.code, outcome.out) == (2, "")
    assert "2 is one step, and --all means every one" in outcome.err


def test_a_new_exercise_is_linted_and_listed(labctl: Labctl) -> None:
    made = labctl("exercise", "new", "my-exercise")

    assert made.out.split() == ["my-exercise/exercise.md", "my-exercise/test_my_exercise.py"]
    assert labctl("exercise", "lint", "my-exercise").code == 0
    assert "my-exercise" in labctl("exercise", "list", "--path", "my-exercise").out


def test_every_problem_is_told_by_lint(labctl: Labctl, alone: Path) -> None:
    labctl("exercise", "new", "mine")
    text = (alone / "mine" / "exercise.md").read_text()
    (alone / "mine" / "exercise.md").write_text(text.replace("node=m1", "node=x9").replace("minutes: 5", "minutes: no"))

    found = labctl("exercise", "lint", "mine")

    assert found.code == 2
    assert "mine/exercise.md:7: minutes:" in found.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("votingap", "no exercise named 'votingap': did you mean voting-app?"),
        ("chekc", "no exercise and no verb named 'chekc': did you mean `check`?"),
        ("./nowhere", "no exercise named './nowhere'"),
    ],
)
def test_what_is_no_exercise_gets_the_nearest_name(labctl: Labctl, name: str, told: str) -> None:
    found = labctl("exercise", name)

    assert found.code == 2
    assert told in found.err


@pytest.mark.usefixtures("empty_engine")
def test_without_a_lab_the_command_that_makes_one_is_told(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--auto")

    assert found.code == 2
    assert "there is no lab yet" in found.err
    assert "there is no lab named lba" in labctl("exercise", "voting-app", "--auto", "-l", "lba").err
    assert "`labctl up --nodes 3` makes what it needs." in found.err


@pytest.mark.usefixtures("empty_engine")
def test_what_needs_a_lab_says_so(labctl: Labctl) -> None:
    for verb in (["check"], ["hint"], ["solve"], ["reset", "--yes"], ["test", "voting-app"]):
        assert labctl("exercise", *verb).code == 2


def test_junit_is_for_auto(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--junit", "x.xml")

    assert found.code == 2
    assert "Add --auto." in found.err


def test_a_report_that_cannot_be_written_is_told_before_anything_is_played(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "--auto", "--junit", "nowhere/x.xml")

    assert found.code == 2
    assert "cannot write nowhere/x.xml: No such file or directory" in found.err


@pytest.mark.parametrize(
    "words",
    [("export", "logs", "-o", "pipe"), ("exercise", "test", "voting-app", "-y", "--junit", "pipe")],
    ids=["export", "junit"],
)
def test_a_pipe_is_no_place_for_a_file(labctl: Labctl, alone: Path, words: tuple[str, ...]) -> None:
    os.mkfifo(alone / "pipe")

    found = labctl(*words)

    assert found.code == 2
    assert "pipe, a socket or a device" in found.err


def only_error(path: Path) -> str:
    """The message of the one test case in a JUnit file, which is an error."""
    top = Xml.parse(path).getroot()
    assert (top.get("tests"), top.get("errors")) == ("1", "1")
    return top.findall(".//error")[0].get("message", "")


@pytest.mark.usefixtures("empty_engine")
@pytest.mark.parametrize("words", [("test", "{}", "-y"), ("{}", "--auto")], ids=["test", "auto"])
def test_what_keeps_an_exercise_from_being_tested_is_an_error_in_the_junit_file(
    labctl: Labctl, words: tuple[str, ...]
) -> None:
    def at(name: str) -> tuple[str, ...]:
        return (*(word.format(name) for word in words), "--junit", "x.xml")

    assert labctl("exercise", *at("voting-app")).code == 2
    assert "there is no lab yet" in only_error(Path("x.xml"))
    assert labctl("exercise", *at("votingap")).code == 2
    assert "no exercise named 'votingap'" in only_error(Path("x.xml"))


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (SpecError(["step two has no check"], source="demo"), "step two has no check"),
        (Ended(signal.SIGTERM), "ended by SIGTERM"),
        (KeyboardInterrupt(), "interrupted"),
        (ValueError("x"), "ValueError: x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_junit_file_is_never_clean_when_something_ended_the_test(
    end: BaseException, told: str, tmp_path: Path
) -> None:
    passed = CheckReport((CheckResult("one", "test_one", "One.", "done"),))
    for known in (CheckReport(()), passed):
        with pytest.raises(type(end)), reported(tmp_path / "x.xml", "demo") as suite:
            suite.report = partial(CheckReport, known.results)
            raise end
        top = Xml.parse(tmp_path / "x.xml").getroot()
        assert (top.get("tests"), top.get("errors")) == (str(len(known.results) + 1), "1")
        assert told in top.findall(".//error")[0].get("message", "")


def test_a_failed_check_is_told_once_and_no_check_at_all_is_an_error(tmp_path: Path) -> None:
    failed = CheckReport((CheckResult("one", "test_one", "One.", "wrong", "no"),))
    with pytest.raises(NotYetError), reported(tmp_path / "x.xml", "demo") as suite:
        suite.report = lambda: failed
        raise NotYetError("no")
    top = Xml.parse(tmp_path / "x.xml").getroot()
    assert (top.get("tests"), top.get("failures"), top.get("errors")) == ("1", "1", "0")

    with reported(tmp_path / "x.xml", "demo"):
        pass
    assert only_error(tmp_path / "x.xml") == "no check was run"


@pytest.mark.parametrize("end", [NotYetError("they prove nothing", hint="mend it"), LabError("no manager")])
def test_what_was_found_comes_before_a_report_that_cannot_be_written(
    end: LabctlError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.cli.exercise_lab.written_whole", full)

    with pytest.raises(LabctlError) as caught, reported(tmp_path / "x.xml", "demo"):
        raise end

    assert caught.value.message == f"{end.message}\ncannot write {tmp_path}/x.xml: No space left on device"
    assert (caught.value.exit_code, caught.value.hint) == (3, end.hint)


def test_a_report_that_cannot_be_written_does_not_hide_who_ended_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("labctl.cli.exercise_lab.written_whole", full)

    with pytest.raises(Ended), reported(tmp_path / "x.xml", "demo"):
        raise Ended(signal.SIGTERM)

    assert "No space left on device" in capsys.readouterr().err


def test_an_exercise_that_keeps_the_rules_is_told_before_a_report_that_cannot_be_written(
    labctl: Labctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.cli.exercise_lab.written_whole", full)
    monkeypatch.setattr("labctl.cli.authoring.lab_for", lambda *_args, **_how: SimpleNamespace(name="demo"))
    monkeypatch.setattr("labctl.cli.authoring.begin", lambda *_args: None)
    monkeypatch.setattr("labctl.exercise.verify.Verifier.verify", lambda _self: None)

    found = labctl("exercise", "test", "voting-app", "-y", "--junit", "x.xml")

    assert found.code == 3
    verdict, problem = found.err.strip().splitlines()
    assert verdict == "voting-app keeps the rules: 8 steps."
    assert problem == "labctl: cannot write x.xml: No space left on device"


def full(_path: Path) -> Any:
    """A disk that takes no more."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_without_exercises_is_told(labctl: Labctl) -> None:
    assert labctl("exercise", "list", "--path", "nowhere").code == 2
    assert labctl("exercise", "lint", ".").code == 2


@pytest.fixture
def another_lab(monkeypatch: pytest.MonkeyPatch, empty_engine: None) -> None:
    """There is a lab bug1, and none that is meant."""

    def find(_context: object, name: str | None = None) -> None:
        raise NotFoundError("lab", name or "lab", ["bug1"])

    monkeypatch.setattr("labctl.lab.find_lab", find)


@pytest.mark.usefixtures("another_lab")
def test_a_lab_of_nearly_that_name_is_no_reason_not_to_make_this_one(labctl: Labctl) -> None:
    found = labctl("exercise", "voting-app", "-l", "bug2")

    assert found.code == 2
    assert "there is no lab named bug2 (there is bug1)" in found.err
    assert "`labctl up --nodes 3 --name bug2` makes what it needs." in found.err


@pytest.mark.usefixtures("another_lab")
def test_on_a_terminal_the_lab_is_offered(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str, *, yes: bool, default: bool) -> None:
        assert default, "Enter makes it"
        asked.append(question)
        raise DeclinedError("nothing was changed")

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("labctl.cli.exercise_lab.confirm", answer)

    assert labctl("exercise", "voting-app", "-l", "bug2").code == 1
    assert asked == [
        "There is no lab named bug2 (there is bug1).\nMake it now, with `labctl up --nodes 3 --name bug2`?"
    ]


@pytest.mark.usefixtures("another_lab")
@pytest.mark.parametrize("verb", ["check", "hint", "solve", "reset"])
def test_every_verb_says_how_the_lab_comes_to_be(labctl: Labctl, verb: str) -> None:
    found = labctl("exercise", verb, "-l", "bug2")

    assert found.code == 2
    assert "`labctl exercise voting-app -l bug2` begins one there" in found.err
    assert "did you mean" not in found.err


def test_what_to_look_at_names_the_lab(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.checks.report import CheckReport, CheckResult
    from labctl.cli import exercise as module

    look = "labctl docker -- service ps vote"
    report = CheckReport((CheckResult("a", "test_a", "It runs.", "not-yet", "1 of 2 run", look=look),))
    monkeypatch.setattr(module, "last_session", lambda *_args: Session(report))

    found = labctl("exercise", "check", "-l", "demo")

    assert "look:  labctl -l demo docker -- service ps vote" in found.out


def test_reset_takes_a_folder_or_an_id(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.cli import exercise as module

    meant: list[str | None] = []

    def session(_app: object, name: str | None, _folders: object = ()) -> None:
        meant.append(name)
        raise NotYetError("enough")

    monkeypatch.setattr(module, "last_session", session)
    for words in (["./secrets"], ["-x", "secrets"], []):
        assert labctl("exercise", "reset", "--yes", *words).code == 1

    assert meant == ["./secrets", "secrets", None]
    assert labctl("exercise", "reset", "./secrets", "-x", "other").code == 2


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, empty_engine: None) -> None:
    """A lab demo, and no exercise begun in it."""
    lab = SimpleNamespace(name="demo")
    monkeypatch.setattr("labctl.cli.common.App.lab", lambda _self: lab)
    monkeypatch.setattr("labctl.exercise.session.known_urls", lambda *_args: {})
    monkeypatch.setattr("labctl.exercise.stage.Stage.fill", lambda _self, text: text)


def begin(folder: Path) -> None:
    """Let an exercise be the last one begun in the lab demo."""
    Progress.of("demo", read_exercise(folder)).save()


HINT = "tells how to publish a port"


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("words", [("./mine",), ("mine",), ("{}/mine",), ("-x", "./mine"), ("-x", "mine")])
@pytest.mark.parametrize("other", [True, False], ids=["another-begun", "none-begun"])
def test_a_folder_names_its_exercise_to_every_verb(
    labctl: Labctl, alone: Path, words: tuple[str, ...], other: bool
) -> None:
    labctl("exercise", "new", "mine")
    labctl("exercise", "new", "others")
    if other:
        begin(alone / "others")
    meant = [word.format(alone) for word in words]

    assert HINT in labctl("exercise", "hint", *meant).out
    assert "docker service create" in labctl("exercise", "solve", "--show", *meant).out
    asked = labctl("exercise", "reset", *meant)
    assert "Take away all that mine made" in asked.out + asked.err


@pytest.mark.usefixtures("begun")
def test_check_takes_a_folder_too(labctl: Labctl, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labctl("exercise", "new", "mine")
    asked: list[str] = []

    def check(self: Any, step: Any) -> CheckReport:
        asked.append(f"{self.exercise.id} {step.id}")
        return CheckReport(())

    monkeypatch.setattr("labctl.exercise.session.Session.check", check)
    labctl("exercise", "check", "./mine")
    labctl("exercise", "check", "mine")

    assert asked == ["mine run"] * 2


@pytest.mark.usefixtures("begun")
def test_a_step_is_meant_before_a_folder_of_that_name(labctl: Labctl, alone: Path) -> None:
    labctl("exercise", "new", "mine")
    labctl("exercise", "new", "run")
    begin(alone / "mine")

    labctl("exercise", "hint", "run")

    assert Progress.of("demo", read_exercise(alone / "mine")).hints == {"run": 1}
    assert "no step named 'nowhere'" in labctl("exercise", "hint", "nowhere").err
    assert "which of them is meant?" in labctl("exercise", "hint", "./mine", "-x", "other").err


@pytest.mark.usefixtures("begun")
def test_an_exercise_that_was_begun_is_known_by_its_name_from_everywhere(
    labctl: Labctl, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labctl("exercise", "new", "mine")
    begin(alone / "mine")
    (alone / "else").mkdir()
    monkeypatch.chdir(alone / "else")

    assert HINT in labctl("exercise", "hint", "-x", "mine").out

    (alone / "mine").rename(alone / "moved")
    found = labctl("exercise", "hint", "-x", "mine")
    assert found.code == 2
    assert f"the exercise mine was begun from {alone / 'mine'}, and is not there any more" in found.err
    assert "(./my-exercise)" in labctl("exercise", "hint", "-x", "unheard-of").err


class Terminal(io.StringIO):
    """A keyboard with somebody at it."""

    def isatty(self) -> bool:
        """Yes."""
        return True


class Session:
    """What `exercise check` asks for."""

    def __init__(self, report: Any) -> None:
        self.report = report
        self.current = SimpleNamespace(id="a")
        self.exercise = SimpleNamespace(id="demo")

    def check(self, _step: object) -> Any:
        """The report."""
        return self.report
