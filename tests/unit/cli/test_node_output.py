"""What nodes wrote, on a terminal and through a pipe: only there it goes out as it is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from labctl.cli.exec import BLOCK, _Talk
from labctl.cli.streams import readable, safe_streams, write_bytes
from labctl.lab.everywhere import NodeResult
from labctl.transport import Result

from .conftest import Labctl

EVIL = "a\x1b]0;PWNED\x07\x1b[2Jb\tc\rw2 | fake\r\n\x1b[31mred\u202e\x9b1mz\n"
SHOWN = ["a\\x1b]0;PWNED\\x07\\x1b[2Jb\tc", "w2 | fake", "\\x1b[31mred\\u202e\\x9b1mz"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both outputs are a terminal."""
    monkeypatch.setattr("labctl.cli.streams._Output.isatty", lambda _self: True)


def talk(stdout: str, stderr: str = "", *, code: int = 0) -> None:
    with safe_streams():
        _Talk(2, quiet=False)(NodeResult("w1", code, stdout, stderr, 0.1))


@pytest.mark.parametrize(("code", "typed"), [(None, "`labctl -l demo start w1`"), (3, "`labctl start w1`")])
def test_exec_names_the_lab_in_its_own_words_and_leaves_a_nodes_alone(
    capfd: pytest.CaptureFixture[str], code: int | None, typed: str
) -> None:
    with safe_streams():
        _Talk(2, quiet=False, lab="demo")(NodeResult("w1", code, "", "w1 is down; `labctl start w1` starts it\n", 0.1))

    assert f"w1 | w1 is down; {typed} starts it\n" in capfd.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_exec_spells_out_what_would_steer_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    talk(EVIL, EVIL)

    said = capfd.readouterr()
    for text in (said.out, said.err):
        assert text.splitlines() == [f"\x1b[36mw1\x1b[0m | {line}" for line in SHOWN]


def test_exec_changes_nothing_through_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    talk(EVIL, EVIL)

    said = capfdbinary.readouterr()
    first, second = EVIL.split("\n")[:2]
    assert said.out == said.err == f"w1 | {first}\nw1 | {second}\n".encode()


def test_exec_prints_what_has_no_end_and_empty_lines(capfd: pytest.CaptureFixture[str]) -> None:
    talk("\n\nend", code=4)

    said = capfd.readouterr()
    assert said.out == "w1 | \nw1 | \nw1 | end\n"
    assert said.err == "w1 | exit code 4\n"


def test_exec_prints_many_short_lines_whole_and_in_blocks(capfd: pytest.CaptureFixture[str]) -> None:
    count = 5 * BLOCK
    began = time.monotonic()

    talk("y\n" * count)

    assert time.monotonic() - began < 10  # it hung for minutes line by line
    assert capfd.readouterr().out == "w1 | y\n" * count


ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = b"\xc3\xa4\xe2\x82\xacx\xff\x80\n"  # ä€x, and two bytes that are no UTF-8


def test_exec_gives_each_byte_through_a_pipe_whatever_the_locale() -> None:
    code = (
        "from labctl.cli.exec import _Talk; from labctl.cli.streams import safe_streams\n"
        "from labctl.lab.everywhere import NodeResult; from labctl.transport import Result\n"
        f"stdout, stderr = Result.of('cat', 0, ({ODD!r}, {ODD!r}), 0.1).exact\n"
        "with safe_streams():\n"
        "    _Talk(2, quiet=False)(NodeResult('w1', 0, stdout, stderr, 0.1))\n"
    )
    done = subprocess.run(
        [sys.executable], input=code.encode(), env={**os.environ, **ASCII}, capture_output=True, check=False, timeout=60
    )

    assert done.stdout == done.stderr == b"w1 | " + ODD


def test_a_terminal_without_utf_8_has_nodes_output_spelled_out_and_not_changed() -> None:
    said = Result.of("cat", 0, (ODD, b""), 0.1).exact[0]

    assert readable(said, io.TextIOWrapper(io.BytesIO(), "ascii")) == "\\xe4\\u20acx\\xff\\x80\n"
    assert readable(said, io.TextIOWrapper(io.BytesIO(), "utf-8")) == "ä€x\\xff\\x80\n"


def test_json_has_text_alone() -> None:
    stdout, stderr = Result.of("cat", 0, (ODD, ODD), 0.1).exact

    told = NodeResult("w1", 0, stdout, stderr, 0.1).to_dict()

    assert told["stdout"] == told["stderr"] == "ä€x\ufffd\ufffd\n"


def test_what_a_node_wrote_is_kept_as_bytes_only_where_its_text_is_another() -> None:
    assert Result.of("cat", 0, ("\ufffd ä".encode(), b""), 0.1).raw is None
    assert Result.of("cat", 0, (b"good", ODD), 0.1).raw == (b"good", ODD)


def test_bytes_go_to_a_stream_that_has_only_text() -> None:
    said = io.StringIO()

    write_bytes(ODD, said)

    assert said.getvalue() == "ä€x\ufffd\ufffd\n"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose log is EVIL, cut in the middle of characters and of line ends."""

    def follow(*_: object, **__: object) -> Iterator[bytes]:
        for byte in (EVIL + "é\r").encode():
            yield bytes([byte])

    lab = SimpleNamespace(node_logs=follow)
    monkeypatch.setattr("labctl.cli.common.App.lab", lambda *_, **__: lab)
    monkeypatch.setattr("labctl.lab.choosing.first_node", lambda *_: None)


@pytest.mark.usefixtures("said", "terminal")
def test_logs_spell_out_what_would_steer_a_terminal(labctl: Labctl) -> None:
    assert labctl("logs").out.split("\n") == [*SHOWN, "é", ""]


@pytest.mark.usefixtures("said")
def test_logs_change_nothing_through_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from labctl.cli.main import run

    run(["logs"])
    sys.stdout.flush()

    assert capfdbinary.readouterr().out == (EVIL + "é\r").encode()
