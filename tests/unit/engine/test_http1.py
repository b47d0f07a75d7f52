"""An answer's bytes are read as HTTP has them, and what is no answer is told as that and as nothing else."""

from __future__ import annotations

import contextlib
import io
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.http1 import BadAnswer, Connection, Response

HEAD = b"HTTP/1.1 200 OK\r\n"


def response(content: bytes) -> Response:
    return Response(io.BufferedReader(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nabcdef", b"abc"),
        (HEAD + b"content-length:0\r\n\r\n", b""),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n", b"a"),
        (HEAD + b"\r\nup to the end", b"up to the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\na", b"a"),
    ],
)
def test_a_body_is_as_long_as_the_head_says(content: bytes, body: bytes) -> None:
    found = response(content)

    assert found.read() == body
    assert found.is_over


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"Content-Length: 0\r\n", False),
        (b"Transfer-Encoding: chunked\r\n", False),
        (b"Content-Length: 0\r\nConnection: close\r\n", True),
        (b"", True),
    ],
)
def test_whether_the_engine_will_close_stands_in_the_head(head: bytes, closes: bool) -> None:
    assert response(HEAD + head + b"\r\n").will_close is closes


def test_a_header_is_known_however_it_is_written() -> None:
    assert response(HEAD + b"API-Version:  1.41 \r\nContent-Length: 0\r\n\r\n").headers["api-version"] == "1.41"


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", HEAD, HEAD + b"no colon\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n", HEAD + b"Content-Length: 4\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", HEAD + b"A: b\r\n" * 300 + b"\r\n",
        HEAD + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_answer_or_ends_in_the_middle_of_one_is_told(content: bytes) -> None:
    with pytest.raises(BadAnswer):
        response(content).read()


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: HEAD + rest))
def test_bytes_of_any_kind_are_an_answer_or_none(content: bytes) -> None:
    with contextlib.suppress(BadAnswer, ConnectionResetError):
        response(content).read()


def test_an_engine_that_hangs_up_has_said_nothing() -> None:
    with pytest.raises(ConnectionResetError, match="said nothing"):
        response(b"")


def test_a_question_is_one_head_and_its_body() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        connection = Connection(ours)
        connection.ask("POST", "/x", b"{}", {"Content-Type": "application/json"})
        connection.close()
        said = theirs.makefile("rb").read()

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /x HTTP/1.1"
    assert {b"Host: docker", b"Content-Length: 2", b"Content-Type: application/json"} <= set(head.split(b"\r\n"))
    assert body == b"{}"


def test_a_question_that_is_cut_off_is_not_answered_by_a_success() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(ours)

    def answer_early() -> None:
        theirs.recv(10)
        theirs.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        theirs.close()

    thread = threading.Thread(target=answer_early)
    thread.start()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.ask("PUT", "/x", b"." * (8 << 20), {})
    thread.join(10)
    connection.close()
