"""The transport for tests answers what was scripted and refuses the rest."""

from __future__ import annotations

import pytest

from labctl.errors import CommandFailed, NotFoundError
from labctl.transport import FakeTransport, Result


def test_text_is_the_output_of_a_command_that_succeeds() -> None:
    assert FakeTransport({"hostname": "worker1"}).run("hostname") == Result("hostname", 0, "worker1")


def test_a_result_is_answered_as_it_is() -> None:
    result = Result("false", 1, stderr="no")

    assert FakeTransport({"false": result}).run("false") is result


def test_a_function_may_decide() -> None:
    transport = FakeTransport({"date": lambda command: Result(command, 0, "today")})

    assert transport.run("date").stdout == "today"


def test_what_was_not_scripted_is_refused() -> None:
    with pytest.raises(AssertionError, match="not scripted: 'rm -rf /'"):
        FakeTransport({"ls": ""}).run("rm -rf /")


def test_what_was_run_is_remembered_in_order() -> None:
    transport = FakeTransport({"a": "", "b c": ""})
    transport.run("a")
    transport.interactive(["b", "c"], user="docker")

    assert transport.commands == ["a", "b c"]


def test_secrets_are_hidden_in_the_result() -> None:
    assert FakeTransport({"login pw": ""}).run("login pw", hide=["pw"]).shown == "login ***"


def test_bytes_go_in_and_come_out() -> None:
    transport = FakeTransport({"cat": "hello"})

    assert b"".join(transport.stream(["cat"], stdin=[b"a", b"b"])) == b"hello"
    assert transport.streamed == [b"ab"]


def test_a_stream_that_fails_says_so_at_its_end() -> None:
    stream = FakeTransport({"tar x": Result("tar x", 2, "half", "unexpected end")}).stream(["tar", "x"])

    assert next(stream) == b"half"
    with pytest.raises(CommandFailed, match="unexpected end"):
        next(stream)


def test_files_are_kept() -> None:
    transport = FakeTransport()
    transport.put(b"x", "/etc/x", mode=0o600)

    assert transport.get("/etc/x") == b"x"
    with pytest.raises(NotFoundError, match="did you mean /etc/x"):
        transport.get("/etc/xx")
