"""What a command reads and writes: streams that are closed, terminals without UTF-8, control characters of others."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.cli.console import console
from labctl.cli.main import run
from labctl.cli.render import PlainRenderer, TerminalRenderer
from labctl.cli.streams import as_it_is, plain, safe_streams
from labctl.errors import LabError, OutputFailed
from labctl.events import Noted, StepFinished, StepStarted, Warned

from .conftest import Labctl
from .test_main import Raise, boom  # noqa: F401  a fixture

ESCAPE = "a\x1b[2Jb\x07\x9bc\x7f\u202ed\r\te"
SHOWN = "a\\x1b[2Jb\\x07\\x9bc\\x7f\\u202ed\\x0d\te"
NO_ANSI = SHOWN.replace("\\x1b[2J", "")  # click takes colours and the like out where no terminal is
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def command(words: list[str], redirection: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run labctl in a shell that closes what `redirection` says."""
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "labctl", *words],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2> >(:)"])
def test_words_that_nobody_takes_do_not_stop_the_work(redirection: str, tmp_path: Path) -> None:
    """`labctl up 2>&1 | head -1` gave up, took back what it had made, and said that all was well."""
    program = tmp_path / "work.py"
    program.write_text(
        "import sys, time\n"
        "from labctl.cli.render import renderer\n"
        "from labctl.cli.streams import safe_streams\n"
        "from labctl.events import Noted\n"
        "with safe_streams():\n"
        "    time.sleep(0.5)\n"
        "    for kind in ('plain', 'json', 'auto'):\n"
        "        for number in range(3):\n"
        "            renderer(kind, verbose=True)(Noted('x' * 9000))\n"
        "    print('done')\n"
        "    sys.exit(7)\n"
    )
    script = f'exec "$@" {redirection}'
    words = ["/bin/bash", "-c", script, "bash", sys.executable, str(program)]
    done = subprocess.run(words, capture_output=True, check=False, timeout=120)

    assert (done.returncode, done.stdout) == (7, b"done\n")


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["schema"], 0),
        (["exercise", "list"], 0),
        (["doctor"], 3),
        (["ssh", "w1", "true"], 3),
        (["up", "--nodes", "0"], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_closed_stream_changes_no_exit_code(words: list[str], code: int, redirection: str) -> None:
    done = command(words, redirection)

    assert done.returncode == code, (done.stdout, done.stderr)
    assert b"bug in labctl" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_question_that_nobody_can_answer_is_not_asked_where_stdin_is_closed(tmp_path: Path) -> None:
    done = command(["doctor", "--fix"], "<&-")

    assert b"bug in labctl" not in done.stderr
    assert done.returncode in (2, 3)


def test_what_is_opened_next_does_not_take_the_place_of_a_closed_stream() -> None:
    code = (
        "import os; from labctl.cli.streams import safe_streams\n"
        "with safe_streams():\n"
        "    found = os.open('/dev/null', os.O_RDONLY)\n"
        "    os._exit(0 if found > 2 else 9)\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code], check=False, timeout=60
    )

    assert done.returncode == 0


def test_without_utf_8_there_is_something_to_read(tmp_path: Path) -> None:
    code = (
        "from labctl.cli.streams import safe_streams; import click, sys\n"
        "with safe_streams():\n"
        "    click.echo('✓ done → next … × │─┼┐ █░ café ☃')\n"
        "    click.echo('● runs ✗ failed', err=True)\n"
    )
    done = subprocess.run(
        [sys.executable], input=code.encode(), env={**os.environ, **ASCII}, capture_output=True, check=False, timeout=60
    )

    assert done.stdout == b"ok done -> next ... x |-++ #. cafe ?\n", done.stderr
    assert done.stderr == b"* runs x failed\n"


@pytest.mark.parametrize("locale", [ASCII, {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}], ids=["ascii", "utf-8"])
def test_bytes_of_an_argument_come_out_as_they_came_in_through_a_pipe(locale: dict[str, str]) -> None:
    code = (
        "from labctl.cli.streams import safe_streams; import click, sys\n"
        "with safe_streams():\n"
        "    click.echo(f'✓ {sys.argv[1]} → {sys.argv[1]}')\n"
    )
    word = b"/tmp/\xff\xe4b"
    done = subprocess.run(
        [sys.executable, "-", word],
        input=code.encode(),
        env={**os.environ, **locale},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.stdout.split()[1::2] == [word, word]


def test_bytes_of_an_argument_are_spelled_out_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.text import Text

    monkeypatch.setattr("labctl.cli.streams._Output.isatty", lambda _self: True)
    with safe_streams():
        sys.stdout.write("a\udc9b2J\n")
        console().print(Text("b\udc9b2J"))

    assert capsys.readouterr().out == "a\\x9b2J\nb\\x9b2J\n"


@pytest.mark.parametrize("words", [["nosuch\u00e4"], ["up", "--name", "\u00e4"]])
def test_a_word_that_the_locale_cannot_read_is_told_by_its_bytes(words: list[str]) -> None:
    done = command(words, "", **ASCII)

    assert done.returncode in (2, 3)
    assert b"udc" not in done.stderr
    assert b"\\xc3\\xa4" in done.stderr or "ä".encode() in done.stderr


def test_what_rich_draws_falls_back_too() -> None:
    code = (
        "from labctl.cli.streams import safe_streams; from labctl.cli.render import TerminalRenderer\n"
        "from labctl.events import StepStarted, StepFinished\n"
        "with safe_streams():\n"
        "    draw = TerminalRenderer()\n"
        "    draw(StepStarted('Nodes', 1, 1)); draw(StepFinished('Nodes', 1, 1, 0.5, True, '2 → 3'))\n"
    )
    done = subprocess.run(
        [sys.executable], input=code.encode(), env={**os.environ, **ASCII}, capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert b"ok Nodes 0.5 s  2 -> 3" in done.stderr


def test_exercises_are_listed_without_utf_8() -> None:
    done = command(["exercise", "list"], "", **ASCII)

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_control_characters_are_spelled_out_and_lines_stay() -> None:
    assert plain(ESCAPE) == SHOWN
    assert plain("one\ntwo\tthree ✓ é 漢") == "one\ntwo\tthree ✓ é 漢"


def test_an_error_that_names_something_evil_does_not_steer_the_terminal(labctl: Labctl, boom: Raise) -> None:  # noqa: F811
    boom(LabError(f"service {ESCAPE} failed", hint=f"Look at {ESCAPE}."))

    done = labctl("boom")

    assert f"service {NO_ANSI} failed" in done.err
    assert "\x1b" not in done.err


def test_events_and_tables_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from labctl.cli.common import table

    with safe_streams():
        draw = PlainRenderer(sys.stderr)
        for event in (Noted(ESCAPE), Warned(ESCAPE), StepStarted(ESCAPE, 1, 1)):
            draw(event)
        table(("NAME",), [(ESCAPE,)])

    said = capsys.readouterr()
    assert said.err.count(SHOWN) == 3
    assert NO_ANSI in said.out
    assert "\x1b" not in said.out + said.err


def test_rich_draws_its_own_control_sequences_and_none_of_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.markdown import Markdown
    from rich.text import Text

    with safe_streams():
        for shown in (Text(f"one {ESCAPE}"), Markdown(f"two {ESCAPE}"), f"three {ESCAPE}"):
            console().print(shown)
        TerminalRenderer()(StepFinished(ESCAPE, 1, 1, 0.1, True, ESCAPE))

    said = capsys.readouterr()
    assert "\x1b[2J" not in said.out + said.err
    assert said.out.count("\\x1b[2J") == 3


class Failing(io.StringIO):
    """An output that takes no more."""

    def __init__(self, problem: OSError) -> None:
        super().__init__()
        self.problem = problem

    def flush(self) -> None:
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "told"),
    [(OSError(errno.ENOSPC, "full"), OutputFailed), (BrokenPipeError(errno.EPIPE, "closed"), BrokenPipeError)],
)
def test_what_rich_draws_on_an_output_that_fails_is_told_as_of_every_other(
    problem: OSError, told: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(problem))

    with pytest.raises(told), safe_streams():
        console().print("one")


def test_progress_that_cannot_be_drawn_is_dropped_and_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Failing(OSError(errno.ENOSPC, "full")))

    with safe_streams():
        draw = TerminalRenderer()
        for event in (StepStarted("one", 1, 1), StepFinished("one", 1, 1, 0.1, True, "")):
            draw(event)
        draw._console.file.below.close()  # type: ignore[attr-defined]  # it leads nowhere now, and pytest counts files


def test_what_a_node_said_goes_out_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with safe_streams():
        as_it_is(sys.stdout).write(ESCAPE)

    assert capsys.readouterr().out == ESCAPE


def test_streams_are_as_they_were_afterwards() -> None:
    before = sys.stdin, sys.stdout, sys.stderr

    run(["--version"])

    assert (sys.stdin, sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_path_and_not_as_the_output(labctl: Labctl, boom: Raise, number: int) -> None:  # noqa: F811
    boom(OSError(number, os.strerror(number), "/state/labctl/progress.json"))

    done = labctl("boom")

    assert done.code == 3
    assert done.err.startswith(f"labctl: /state/labctl/progress.json cannot be written: {os.strerror(number)}\n  -> ")


def test_a_full_disk_without_a_name_points_at_the_state_folder(labctl: Labctl, boom: Raise, state: Path) -> None:  # noqa: F811
    boom(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    done = labctl("boom")

    assert done.code == 3
    assert str(state) in done.err
    assert "the output" not in done.err


def test_a_stream_without_a_descriptor_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdout", said)

    assert run(["--version"]) == 0
    assert said.getvalue().startswith("labctl version")
