"""The engine's own HTTP: connections are kept and replaced, versions agreed on, streams and raw bytes left whole."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from labctl.engine import Endpoint, Engine
from labctl.engine.http1 import BadAnswer
from labctl.engine.wire import NEWEST_API, Answer, Refused, Wire
from labctl.errors import EngineUnreachable

from ..tiny_engine import Handler, Reply, Server

Serving = Callable[[Mapping[str, Reply]], Server]


@pytest.fixture
def wire(tiny_engine: Serving) -> Iterator[Callable[..., Wire]]:
    made: list[Wire] = []

    def start(replies: Mapping[str, Reply] | None = None) -> Wire:
        made.append(Wire(tiny_engine(replies or {}).url, None, limit=10, first_limit=10))
        return made[-1]

    yield start
    for one in made:
        one.close()


def said(content: object) -> Reply:
    return lambda handler: handler.send(200, content)


def test_one_connection_serves_one_call_after_the_other(wire: Callable[..., Wire]) -> None:
    seen: list[object] = []

    def answer(handler: Handler) -> None:
        seen.append(handler)
        handler.send(200, {})

    asked = wire({"GET /info": answer})
    for _ in range(3):
        asked.ask("GET", "/info")

    assert len(set(map(id, seen))) == 1


def test_one_that_nobody_has_any_more_closes_what_it_kept_and_warns_of_nothing(tiny_engine: Serving) -> None:
    asked = Wire(tiny_engine({"GET /info": said({})}).url, None, limit=10, first_limit=10)
    asked.ask("GET", "/info")
    in_a_ring: list[object] = [asked]
    in_a_ring.append(in_a_ring)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        del asked, in_a_ring
        gc.collect()

    assert [str(one.message) for one in warned if "socket" in str(one.message)] == []


def test_a_connection_that_the_engine_has_closed_meanwhile_is_replaced(wire: Callable[..., Wire]) -> None:
    def answer_and_close(handler: Handler) -> None:
        handler.send(200, {"n": 1})
        handler.close_connection = True

    asked = wire({"GET /info": answer_and_close})

    assert [asked.ask("GET", "/info").json() for _ in range(3)] == [{"n": 1}] * 3


def test_threads_get_a_connection_each(wire: Callable[..., Wire]) -> None:
    both = threading.Barrier(2, timeout=10)

    def together(handler: Handler) -> None:
        both.wait()
        handler.send(200, {})

    asked = wire({"GET /info": together})
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(asked.ask("GET", "/info").status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert codes == [200, 200]


@pytest.mark.parametrize(
    ("theirs", "spoken"),
    [("1.41", "/v1.41/info"), ("1.99", "/v{}.{}/info".format(*NEWEST_API)), ("", "/v{}.{}/info".format(*NEWEST_API))],
)
def test_the_older_of_both_versions_is_spoken_and_asked_for_once(
    wire: Callable[..., Wire], theirs: str, spoken: str
) -> None:
    paths: list[str] = []

    def pong(handler: Handler) -> None:
        paths.append(handler.path)
        handler.send_response(200)
        handler.send_header("Api-Version", theirs)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def info(handler: Handler) -> None:
        paths.append(handler.path)
        handler.send(200, {})

    asked = wire({"GET /_ping": pong, "GET /info": info, f"GET {spoken}": info})
    asked.ask("GET", "/_ping")
    asked.ask("GET", "/info")
    asked.ask("GET", "/info")

    assert paths == ["/_ping", spoken, spoken]


def test_a_refusal_has_its_status_and_the_engines_words(wire: Callable[..., Wire]) -> None:
    asked = wire({"GET /info": lambda handler: handler.send(503, {"message": "no leader"})})

    with pytest.raises(Refused, match=r"^no leader$") as caught:
        asked.ask("GET", "/info")
    assert caught.value.status == 503


def test_an_engine_that_refuses_before_it_has_read_all_is_heard(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 26\r\nConnection: close\r\n\r\n" + b'{"message": "no folder x"} '
    )
    pong = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    path = tmp_path / "early.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            for said in (pong, answer):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(said)

        serving = threading.Thread(target=serve)
        serving.start()
        asked = Wire(f"unix://{path}", None, limit=10, first_limit=10)

        with pytest.raises(Refused, match="no folder x") as caught:
            asked.ask("PUT", "/containers/x/archive", body=b"." * (8 << 20))
        serving.join(10)

    assert caught.value.status == 404


def test_a_name_is_quoted_and_a_list_is_said_word_by_word(wire: Callable[..., Wire]) -> None:
    paths: list[str] = []

    def answer(handler: Handler) -> None:
        paths.append(handler.path)
        handler.send(200, {})

    asked = wire({"GET /images/a%20b:1/json": answer})
    asked.ask("GET", "/images/a b:1/json", params={"names": ["x", "y"], "left_out": None})

    assert paths == ["/v1.41/images/a%20b:1/json?names=x&names=y"]


@pytest.mark.parametrize("content", [b"", b"  \n"])
def test_an_empty_answer_is_none(content: bytes) -> None:
    assert Answer(200, {}, content).json() is None


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    with pytest.raises(BadAnswer):
        Answer(200, {}, b"<html>").json()


def test_a_stream_comes_in_pieces_and_a_cut_one_is_told(wire: Callable[..., Wire]) -> None:
    asked = wire(
        {
            "GET /events": lambda handler: handler.stream(b"one", b"two"),
            "GET /cut": lambda handler: handler.stream(b"one", whole=False),
        }
    )

    assert b"".join(asked.stream("GET", "/events")) == b"onetwo"
    with pytest.raises(OSError):
        list(asked.stream("GET", "/cut"))


def test_a_stream_that_is_silent_for_longer_than_its_limit_is_an_engine_that_does_not_answer(
    wire: Callable[..., Wire],
) -> None:
    over = threading.Event()

    def silent(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        over.wait(10)
        handler.close_connection = True

    with pytest.raises(OSError, match="timed out"):
        list(wire({"GET /slow": silent}).stream("GET", "/slow", limit=0.1))
    over.set()


def test_an_engine_without_its_keys_authority_is_told_as_one_that_does_not_answer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (folder / name).write_text("no key")

    with pytest.raises(EngineUnreachable, match="does not answer"):
        Engine(Endpoint("tcp://127.0.0.1:1", tls=folder)).version()
