"""The calls that a lab needs of an engine, over a real connection where its form matters."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
import threading
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine import Endpoint, Engine
from labctl.engine.client import tar_of
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, EngineUnreachable
from tests.guard import HANGING, LONG

from ..tiny_engine import VERSION
from .conftest import Serve

segments = st.text("aZ09éß√ .-_~:", min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
paths = st.lists(segments, min_size=1, max_size=6).map("/".join)
files = st.dictionaries(
    paths, st.tuples(st.binary(max_size=50), st.sampled_from([0o600, 0o644, 0o755])), max_size=6
).filter(lambda found: not any(one != other and other.startswith(f"{one}/") for one in found for other in found))


def refused(status: int, words: str = "no") -> EngineRefused:
    return EngineRefused(words, status=status)


def frame(kind: int, content: bytes) -> bytes:
    """A piece of a multiplexed stream: 1 is stdout, 2 is stderr."""
    return struct.pack(">BxxxL", kind, len(content)) + content


def test_no_connection_is_made_before_something_is_asked(tmp_path: Path) -> None:
    Engine(Endpoint(f"unix://{tmp_path}/none.sock")).close()


def test_an_engine_that_answers_is_known_to_answer(serve: Serve) -> None:
    engine = serve()

    assert engine.version() == VERSION
    assert engine.answers()


def test_an_engine_that_does_not_answer_is_known_not_to(tmp_path: Path) -> None:
    assert not Engine(Endpoint(f"unix://{tmp_path}/none.sock")).answers()


def test_an_engine_that_only_refuses_does_not_answer(serve: Serve) -> None:
    assert not serve({"GET /_ping": lambda handler: handler.send(503, {"message": "starting"})}).answers()


def test_no_proxy_of_the_environment_comes_between(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    engine = serve()

    assert engine.version() == VERSION
    assert engine.api.trust_env is False


def test_a_command_in_a_container_gives_both_streams_and_its_code(serve: Serve) -> None:
    engine = serve(
        {
            "POST /containers/c1/exec": lambda handler: handler.send(201, {"Id": "e1"}),
            "POST /exec/e1/start": lambda handler: handler.hijack(
                frame(1, b"out ") + frame(2, b"err") + frame(1, b"more")
            ),
            "GET /exec/e1/json": lambda handler: handler.send(200, {"Running": False, "ExitCode": 3}),
        }
    )

    outcome = engine.execute("c1", ["sh", "-c", "exit 3"])

    assert (outcome.code, outcome.stdout, outcome.stderr) == (3, b"out more", b"err")


def test_events_are_followed_until_the_connection_ends(serve: Serve) -> None:
    engine = serve({"GET /events": lambda handler: handler.stream(b'{"Action": "start"}\n{"Act', b'ion": "die"}\n')})

    assert [event["Action"] for event in engine.events()] == ["start", "die"]


@pytest.mark.parametrize(
    ("asked", "query", "ask"),
    [
        ("POST /containers/x/start", {}, lambda engine: engine.start("x")),
        ("POST /containers/x/stop", {"t": "3"}, lambda engine: engine.stop("x", grace=3)),
        ("POST /containers/x/kill", {"signal": "SIGTERM"}, lambda engine: engine.kill("x", "SIGTERM")),
        ("DELETE /containers/x", {"v": "True", "link": "False", "force": "True"}, lambda engine: engine.remove("x")),
        ("DELETE /volumes/x", {}, lambda engine: engine.remove_volume("x")),
        ("DELETE /services/x", {}, lambda engine: engine.delete("/services/x")),
    ],
)
def test_a_call_asks_once_what_it_is_named_after(asked: str, query: dict[str, str], ask: object) -> None:
    engine = FakeEngine({asked: None})
    assert callable(ask)

    ask(engine)

    assert [(str(one), one.query) for one in engine.asked] == [(asked, query)]


@pytest.mark.parametrize(
    ("asked", "ask"),
    [
        ("GET /containers/x/json", lambda engine: engine.container("x")),
        ("GET /networks/x", lambda engine: engine.network("x")),
        ("GET /images/x/json", lambda engine: engine.image("x")),
        ("GET /services/x", lambda engine: engine.swarm_object("services", "x")),
        ("DELETE /containers/x", lambda engine: engine.remove("x")),
        ("DELETE /networks/x", lambda engine: engine.remove_network("x")),
        ("DELETE /volumes/x", lambda engine: engine.remove_volume("x")),
        ("DELETE /images/x", lambda engine: engine.remove_image("x")),
    ],
)  # fmt: skip
def test_what_is_not_there_is_none_and_need_not_be_removed(asked: str, ask: object) -> None:
    assert callable(ask)

    assert ask(FakeEngine({asked: refused(404)})) is None
    with pytest.raises(EngineRefused):
        ask(FakeEngine({asked: refused(500)}))


def test_a_container_that_another_call_removes_at_this_moment_need_not_be_removed() -> None:
    FakeEngine({"DELETE /containers/x": refused(409, "removal is already in progress")}).remove("x")


def test_a_container_gets_another_name() -> None:
    engine = FakeEngine({"POST /containers/x/rename": None})

    engine.rename("x", "y")

    assert engine.asked[0].query == {"name": "y"}


def test_a_network_that_is_in_use_is_not_removed_silently() -> None:
    with pytest.raises(EngineRefused, match="has active endpoints"):
        FakeEngine({"DELETE /networks/x": refused(403, "has active endpoints")}).remove_network("x")


def test_containers_are_listed_by_labels_and_stopped_ones_too() -> None:
    engine = FakeEngine({"GET /containers/json": [{"Id": "c1"}]})

    assert engine.containers(["labctl.lab=demo", "labctl.kind=node"]) == [{"Id": "c1"}]
    (asked,) = engine.asked
    assert asked.query["all"] == "1"
    assert asked.query["filters"] == '{"label": ["labctl.lab=demo", "labctl.kind=node"]}'


def test_volumes_of_an_engine_that_has_none_are_an_empty_list() -> None:
    assert FakeEngine({"GET /volumes": {"Volumes": None}}).volumes(["labctl.lab"]) == []


def test_a_network_gets_its_subnet_its_gateway_and_what_may_be_handed_out() -> None:
    engine = FakeEngine({"POST /networks/create": {"Id": "n1"}})

    made = engine.create_network(
        "labctl-demo", "10.0.0.0/24", {"a": "b"}, {"o": "1"}, gateway="10.0.0.1", handed_out="10.0.0.192/26"
    )

    assert made == "n1"
    body = engine.asked[0].body
    assert body["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1", "IPRange": "10.0.0.192/26"}]
    assert (body["Driver"], body["Labels"], body["Options"]) == ("bridge", {"a": "b"}, {"o": "1"})


def test_swarm_objects_are_filtered_as_the_api_wants_it() -> None:
    engine = FakeEngine({"GET /tasks": []})

    engine.swarm_objects("tasks", {"service": ["web"], "desired-state": "running"})

    assert engine.asked[0].query == {"filters": '{"service": ["web"], "desired-state": ["running"]}'}


def test_a_containers_end_is_waited_for_and_its_code_returned() -> None:
    assert FakeEngine({"POST /containers/x/wait": {"StatusCode": 7}}).wait_exit("x", limit=5) == 7


def test_a_volume_is_made_with_its_labels() -> None:
    engine = FakeEngine({"POST /volumes/create": {}})

    engine.create_volume("v", {"a": "b"})

    assert engine.asked[0].body == {"Name": "v", "Labels": {"a": "b"}}


def test_a_post_without_an_answer_returns_nothing() -> None:
    assert FakeEngine({"POST /swarm/leave": None}).post("/swarm/leave", force="true") == {}


def test_a_post_that_is_answered_with_a_bare_value_returns_it() -> None:
    assert FakeEngine({"POST /swarm/init": '"node-id"'}).post("/swarm/init", {}) == {"": "node-id"}


def test_a_container_that_stays_is_not_waited_for_for_ever() -> None:
    assert not FakeEngine({"GET /containers/x/json": {"Id": "x"}}).wait_gone("x", limit=0)


def test_a_container_that_is_gone_is_gone() -> None:
    assert FakeEngine({"GET /containers/x/json": refused(404)}).wait_gone("x", limit=0)


@given(files)
def test_an_archive_holds_every_file_with_its_content_and_mode(wanted: dict[str, tuple[bytes, int]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(wanted))) as archive:
        found = {
            entry.name: (content.read(), entry.mode)
            for entry in archive
            if (content := archive.extractfile(entry)) is not None
        }

    assert found == wanted


@given(files)
def test_an_archive_makes_each_folder_once_and_before_what_is_in_it(wanted: dict[str, tuple[bytes, int]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(wanted))) as archive:
        entries = archive.getmembers()

    seen = {"."}
    for entry in entries:
        assert entry.name not in seen
        assert str(PurePosixPath(entry.name).parent) in seen
        assert (entry.uid, entry.gid) == (0, 0)
        if entry.isdir():
            assert entry.mode == 0o755
            seen.add(entry.name)


def test_a_leading_slash_is_the_archives_own_root() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of({"/etc/x": (b"", 0o644)}))) as archive:
        assert archive.getnames() == ["etc", "etc/x"]


def test_an_engine_that_hangs_holds_up_no_other(serve: Serve) -> None:
    asked, over = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        asked.set()
        over.wait(LONG)

    hanging = serve({"GET /_ping": hang})
    other = serve({"GET /info": lambda handler: handler.send(200, {"Name": "other"})})

    def ask() -> None:
        with contextlib.suppress(EngineUnreachable):
            hanging.ping()

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()
    assert asked.wait(HANGING)

    assert other.info()["Name"] == "other"

    assert waiting.is_alive(), "it still waits for its answer"
    over.set()
    waiting.join(HANGING)
