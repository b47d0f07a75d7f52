"""The boundary where errors become words and exit codes: one clear message, the right code, no traceback."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from labctl import __version__
from labctl.cli import main as main_module
from labctl.cli import signals
from labctl.cli.commands import COMMANDS
from labctl.errors import HostError, LabError, NotYetError, UsageError
from tests.guard import HANGING

from .conftest import Labctl

Raise = Callable[[BaseException | int], None]


@pytest.fixture
def boom(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Let there be a command `boom` that raises, or returns, what it is given."""

    def install(what: BaseException | int) -> None:
        @click.command("boom")
        def command() -> int:
            if isinstance(what, BaseException):
                raise what
            return what

        module = types.ModuleType("labctl.cli.boom")
        module.command = command  # type: ignore[attr-defined]  # a module of its own
        monkeypatch.setitem(sys.modules, "labctl.cli.boom", module)
        monkeypatch.setitem(COMMANDS, "boom", ("boom", "command", "Raise."))

    return install


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("no"), 2), (NotYetError("soon"), 1), (HostError("no engine"), 3), (LabError("broken"), 3)],
)
def test_an_error_is_one_line_and_its_own_exit_code(labctl: Labctl, boom: Raise, error: Exception, code: int) -> None:
    boom(error)

    outcome = labctl("boom")

    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err == f"labctl: {error}\n"


def test_what_to_do_next_stands_below(labctl: Labctl, boom: Raise) -> None:
    boom(LabError("broken", hint="`labctl up` mends it."))

    assert labctl("boom").err.splitlines() == ["labctl: broken", "  -> `labctl up` mends it."]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), click.Abort(), EOFError()])
def test_an_interrupted_command_exits_with_130(labctl: Labctl, boom: Raise, interruption: BaseException) -> None:
    boom(interruption)

    outcome = labctl("boom")

    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGHUP", 129)])
def test_a_signal_ends_a_command_as_ctrl_c_does(tmp_path: Path, number: int, name: str, code: int) -> None:
    process = in_the_middle(
        f"try: begin(); time.sleep(600)\nfinally: pathlib.Path({str(tmp_path / 'undone')!r}).touch()",
        before="signals.ECHO = 60",  # however long a busy machine takes between the two
    )

    process.send_signal(number)
    process.send_signal(number)  # as `timeout` does
    _, said = process.communicate(timeout=HANGING)

    assert (process.returncode, said) == (code, f"ended by {name}\n")
    assert (tmp_path / "undone").exists()


def test_ctrl_c_while_labctl_is_still_being_read_is_no_traceback() -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from labctl.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_second_signal_ends_a_command_that_does_not_come_to_its_end() -> None:
    process = in_the_middle("try: begin(); time.sleep(600)\nfinally: print(flush=True); time.sleep(600)")

    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(signals.ECHO + 0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=HANGING)

    assert process.returncode == 143
    assert said == "ended by SIGTERM\n"


@pytest.mark.parametrize(
    ("path", "still", "left"),
    [
        ("up", "still taking back", "`labctl -l demo down` removes what is left"),
        ("start", "still waiting for what was begun", "`labctl -l demo status` shows what the lab is like now"),
        ("node add", "still waiting for what was begun", "`labctl -l demo status` shows what the lab is like now"),
    ],
)
def test_what_a_second_ctrl_c_says_fits_what_the_verb_did(
    monkeypatch: pytest.MonkeyPatch, path: str, still: str, left: str
) -> None:
    context: click.Context | None = None
    commands: list[click.Command] = [main_module.cli]
    for name in path.split():
        above = commands[-1]
        assert isinstance(above, click.Group)
        found = above.get_command(click.Context(above), name)
        assert found is not None
        commands.append(found)
    for command, name in zip(commands, ["labctl", *path.split()], strict=True):
        context = click.Context(command, parent=context, info_name=name)
    assert context is not None
    watch = signals._Watch()
    written: list[str] = []
    ended: list[int] = []
    monkeypatch.setattr("labctl.cli.signals.os.write", lambda _to, said: written.append(said.decode()))
    monkeypatch.setattr("labctl.cli.signals.os._exit", ended.append)
    monkeypatch.setattr(signals, "named_lab", lambda _context: "demo")

    with context.scope(cleanup=False):
        with pytest.raises(KeyboardInterrupt):
            watch.press(signal.SIGINT, None)
        watch.press(signal.SIGINT, None)
        watch._first -= signals.PRESSED + 1
        watch.press(signal.SIGINT, None)

    assert still in written[0]
    assert left in written[1]
    assert ended == [130]


def test_a_hang_up_that_is_to_be_ignored_is() -> None:
    process = in_the_middle("begin(); time.sleep(1)", before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")

    process.send_signal(signal.SIGHUP)

    assert process.communicate(timeout=HANGING) == ("", "")
    assert process.returncode == 0


def test_what_is_said_to_a_terminal_that_hung_up_does_not_keep_from_taking_back(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    undo = f"click.echo('undoing'); pathlib.Path({str(tmp_path / 'undone')!r}).touch()"
    process = in_the_middle(f"try: begin(); time.sleep(600)\nfinally: {undo}", terminal=theirs)
    os.close(theirs)

    os.close(ours)
    process.send_signal(signal.SIGHUP)

    assert process.wait(timeout=HANGING) == 129
    assert (tmp_path / "undone").exists()


def in_the_middle(body: str, *, before: str = "", terminal: int | None = None) -> subprocess.Popen[str]:
    """Start a labctl whose command `boom` runs `body`, and return once that has called `begin()`."""
    indented = body.replace("\n", "\n    ")
    ready, begun = os.pipe()
    code = f"""
import click, os, pathlib, signal, sys, time, types
from labctl.cli import main, signals
from labctl.cli.commands import COMMANDS
@click.command("boom")
def command():
    {indented}
def begin():
    os.write({begun}, b"x")
module = types.ModuleType("labctl.cli.boom")
module.command = command
sys.modules["labctl.cli.boom"] = module
COMMANDS["boom"] = ("boom", "command", "Wait.")
{before}
main.main(["boom"])
"""
    to = subprocess.PIPE if terminal is None else terminal
    process = subprocess.Popen([sys.executable, "-c", code], stdout=to, stderr=to, text=True, pass_fds=[begun])
    os.close(begun)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return process


def test_a_bug_is_told_as_one_and_its_details_are_kept(labctl: Labctl, boom: Raise, state: Path) -> None:
    boom(ZeroDivisionError("division by zero"))

    outcome = labctl("boom")

    assert outcome.code == 3
    first, second = outcome.err.splitlines()
    assert first == "labctl: this is a bug in labctl: ZeroDivisionError: division by zero"
    assert str(state / "last-bug.txt") in second
    assert "Traceback" in (state / "last-bug.txt").read_text()


def test_a_bug_names_the_lab_that_a_report_is_about(
    labctl: Labctl, boom: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    boom(ZeroDivisionError("division by zero"))
    monkeypatch.setattr("labctl.cli.main.named_lab", lambda _context: "demo")

    assert "`labctl -l demo export logs` collects" in labctl("boom").err


def test_a_bug_is_told_even_where_its_details_cannot_be_kept(labctl: Labctl, boom: Raise, state: Path) -> None:
    state.write_text("a file where the folder should be")
    boom(ZeroDivisionError())

    outcome = labctl("boom")

    assert outcome.code == 3
    assert "labctl export logs" in outcome.err


def test_a_bug_shows_its_traceback_to_who_asks_for_it(
    boom: Raise, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_DEBUG", "1")
    boom(ZeroDivisionError())

    assert main_module.run(["boom"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_shell_is_given_its_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LABCTL_COMPLETE", "zsh_source")

    with pytest.raises(SystemExit) as caught:
        main_module.run([])

    assert caught.value.code == 0
    assert "compdef" in capsys.readouterr().out


def test_the_code_that_a_command_returns_is_the_exit_code(labctl: Labctl, boom: Raise) -> None:
    boom(1)

    assert labctl("boom").code == 1


def test_main_exits_with_the_code(boom: Raise) -> None:
    boom(NotYetError("soon"))

    with pytest.raises(SystemExit) as caught:
        main_module.main(["boom"])

    assert caught.value.code == 1


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("dwon", "down"), ("nodes", "node"), ("zzz", None)])
def test_an_unknown_command_is_answered_with_the_nearest(labctl: Labctl, typed: str, meant: str | None) -> None:
    outcome = labctl(typed)

    assert outcome.code == 2
    told = f"did you mean `labctl {meant}`?" if meant else "`labctl --help` lists what there is"
    assert f"there is no command '{typed}': {told}" in outcome.err


def test_an_unknown_option_is_a_usage_error(labctl: Labctl) -> None:
    outcome = labctl("up", "--nodse", "4")

    assert outcome.code == 2
    assert "--nodes" in outcome.err


def test_a_wrong_word_is_told_in_one_line_and_what_shows_the_right_ones(labctl: Labctl) -> None:
    outcome = labctl("up", "--nodes", "four")

    assert outcome.err.splitlines() == [
        "labctl: Invalid value for '--nodes': 'four' is not a valid integer.",
        "  -> `labctl up --help` shows what it takes.",
    ]


def test_a_group_without_a_command_shows_its_help(labctl: Labctl) -> None:
    outcome = labctl("stack")

    assert (outcome.code, outcome.err.startswith("Usage: labctl stack")) == (2, True)


def test_a_lab_is_described_in_one_file_only(labctl: Labctl) -> None:
    assert labctl("up", "a.yaml", "-f", "b.yaml").code == 2


def test_a_full_disk_is_no_bug_of_labctl() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "labctl", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            timeout=60,
        )

    assert done.returncode == 3
    assert done.stderr == "labctl: the output cannot be written: No space left on device\n"


def test_a_terminal_that_knows_only_ascii_is_no_bug_either() -> None:
    code = "from labctl.cli.main import run; import click; run(['--version']); print('\u2713')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ok"), done.stderr


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_is_told(labctl: Labctl, flag: str) -> None:
    outcome = labctl(flag)

    assert (outcome.code, outcome.out) == (0, f"labctl version {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["up", "--help"], ["up", "-h"]])
def test_help_is_data_and_no_error(labctl: Labctl, arguments: list[str]) -> None:
    outcome = labctl(*arguments)

    assert outcome.code == 0
    assert outcome.out.startswith("Usage: labctl")
    assert outcome.err == ""


def test_help_lists_every_command(labctl: Labctl) -> None:
    listed = labctl("--help").out

    assert all(f"\n  {name} " in listed for name in COMMANDS)


def in_a_process(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], stdout=stdout, stderr=subprocess.PIPE, check=False, text=True, timeout=60
    )


def test_help_does_not_wait_for_what_only_other_commands_need() -> None:
    heavy = {"docker", "requests", "pydantic", "rich", "ruamel.yaml", "cryptography", "pytest", "psutil"}
    code = (
        "import sys; from labctl.cli.main import run; code = run(['--help']);"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )

    done = in_a_process("-c", code)

    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = in_a_process("-m", "labctl", "--help", stdout=writing)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_lab_may_be_named_before_and_after_the_command(labctl: Labctl, empty_engine: None) -> None:
    before, after = labctl("-l", "one", "status"), labctl("status", "-l", "one")

    assert before == after
    assert "no lab named 'one'" in before.err


def test_the_name_behind_the_command_wins(labctl: Labctl, empty_engine: None) -> None:
    assert "no lab named 'two'" in labctl("-l", "one", "status", "-l", "two").err


def test_the_lab_may_be_named_by_the_environment(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_LAB", "three")

    assert "no lab named 'three'" in labctl("status").err


def test_an_engine_that_does_not_answer_is_told_once(labctl: Labctl) -> None:
    outcome = labctl("status")

    assert outcome.code == 3
    first, second = outcome.err.splitlines()
    assert first == "labctl: the engine does not answer: No such file or directory"
    assert "labctl doctor" in second


def test_the_tree_of_commands_can_be_documented() -> None:
    assert set(main_module.command_tree()["commands"]) == set(COMMANDS)


def test_ctrl_c_pressed_again_does_not_cut_short_what_is_taken_back(tmp_path: Path) -> None:
    undone = tmp_path / "undone"
    process = in_the_middle(
        "try: begin(); time.sleep(600)\n"
        f"finally: print(flush=True); time.sleep(1); pathlib.Path({str(undone)!r}).touch()"
    )

    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, said = process.communicate(timeout=HANGING)

    assert process.returncode == 130
    assert undone.exists()
    assert said.count("still waiting for what was begun") == 1


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_way_out_is_told_in_place_of_a_traceback(
    labctl: Labctl, empty_engine: None, boom: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert labctl("labs").code == 0
    monkeypatch.delenv("LABCTL_STATE")

    outcome = labctl("labs")

    assert outcome.code == 3
    assert outcome.err.splitlines()[1] == "  -> LABCTL_STATE names another folder."
    boom(RuntimeError("broken"))
    assert "this is a bug in labctl: RuntimeError: broken" in labctl("boom").err


def test_what_cannot_be_read_in_labctls_own_folder_is_told_by_its_path(
    labctl: Labctl, boom: Raise, state: Path, tmp_path: Path
) -> None:
    boom(PermissionError(13, "Permission denied", str(state / "labs")))

    outcome = labctl("boom")

    assert outcome.code == 3
    first, second = outcome.err.splitlines()
    assert first == f"labctl: {state}/labs: Permission denied"
    assert "LABCTL_STATE" in second
    boom(PermissionError(13, "Permission denied", str(tmp_path / "other")))
    assert "this is a bug" in labctl("boom").err


def test_a_labs_name_behind_a_command_is_offered_where_it_belongs(labctl: Labctl) -> None:
    assert "`labctl down -l shop` if that is the name of a lab." in labctl("down", "shop").err
    assert "`labctl up --name shop` if that is the lab's name." in labctl("up", "shop").err
    assert "if that is the name" not in labctl("down", "a b").err
    assert "if that is" not in labctl("doctor", "shop").err
