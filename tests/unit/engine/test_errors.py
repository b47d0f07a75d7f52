"""Whatever happens on the way to an engine becomes one of two errors of ours, with the engine's own words."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
import requests

from labctl.engine import Endpoint, Engine
from labctl.engine.errors import translated
from labctl.errors import EngineRefused, EngineUnreachable, HostError

from ..tiny_engine import Handler
from .conftest import Serve


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 503])
def test_a_refusal_keeps_the_engines_words_and_its_status(serve: Serve, status: int) -> None:
    engine = serve(
        {"GET /info": lambda handler: handler.send(status, {"message": "This node is not a swarm manager."})}
    )

    with pytest.raises(EngineRefused) as caught:
        engine.info()

    assert caught.value.message == "the engine of w1 refused: This node is not a swarm manager."
    assert caught.value.status == status


def test_a_container_that_asks_for_devices_is_refused_with_the_key_that_gives_them(serve: Serve) -> None:
    said = 'failed to write "c 10:229 rwm": write /sys/fs/cgroup/devices/7a/devices.allow: operation not permitted'
    engine = serve({"GET /info": lambda handler: handler.send(500, {"message": said})})

    with pytest.raises(EngineRefused) as caught:
        engine.info()

    assert "`privileged_tasks: true`" in (caught.value.hint or "")


def test_a_lack_of_the_ingress_network_is_told_with_the_command_that_makes_it(serve: Serve) -> None:
    said = "service needs ingress network, but no ingress network is present"
    wire = {"message": f"rpc error: code = FailedPrecondition desc = {said}"}
    engine = serve({"GET /info": lambda handler: handler.send(400, wire)})

    with pytest.raises(EngineRefused) as caught:
        engine.info()

    assert caught.value.message == f"the engine of w1 refused: {said}"
    assert caught.value.hint == (
        "`labctl docker -- network create --driver overlay --ingress ingress` makes it again, "
        "and then `labctl up` lets all nodes enter it."
    )


def test_a_lack_of_managers_is_told_with_where_to_look(serve: Serve) -> None:
    said = "raft: failed to process the request: node lost leader status"
    engine = serve({"GET /info": lambda handler: handler.send(500, {"message": said})})

    with pytest.raises(EngineRefused) as caught:
        engine.info()

    assert (caught.value.hint or "").startswith("Too few managers answer to agree on a change: `labctl status` tells")


def test_a_refusal_that_is_no_json_keeps_its_words_too(serve: Serve) -> None:
    engine = serve({"GET /info": lambda handler: handler.send(502, None, raw=b"bad gateway\n")})

    with pytest.raises(EngineRefused, match="the engine of w1 refused: bad gateway"):
        engine.info()


def test_a_socket_that_is_not_there_is_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    engine = Engine(Endpoint(f"unix://{tmp_path}/none.sock"))

    with pytest.raises(EngineUnreachable, match=r"^the engine does not answer: No such file or directory\n") as caught:
        engine.version()

    assert "labctl doctor" in (caught.value.hint or "")


def test_a_port_where_nobody_listens_is_an_engine_that_does_not_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = Engine(Endpoint(f"tcp://127.0.0.1:{taken.getsockname()[1]}"))

        with pytest.raises(EngineUnreachable, match=r"^the engine does not answer: Connection refused\n"):
            engine.version()


def test_an_engine_that_is_silent_for_longer_than_the_limit_does_not_answer(serve: Serve) -> None:
    over = threading.Event()
    engine = serve({"GET /info": lambda handler: over.wait(10) and None}, limit=0.1)

    with pytest.raises(EngineUnreachable, match=r"the engine of w1 does not answer: .*timed out"):
        engine.info()

    over.set()


@pytest.mark.parametrize("doing", ["handshake", "read"])
def test_an_engine_that_hangs_is_told_without_openssls_words(doing: str) -> None:
    with pytest.raises(EngineUnreachable) as caught, translated("the engine of w1"):
        raise TimeoutError(f"_ssl.c:989: The {doing} operation timed out")

    assert caught.value.message == "the engine of w1 does not answer: it takes connections and says nothing"
    assert caught.value.silent


def test_an_engine_that_hangs_up_does_not_answer(serve: Serve) -> None:
    def hang_up(handler: Handler) -> None:
        handler.close_connection = True

    with pytest.raises(EngineUnreachable, match="the engine of w1 does not answer"):
        serve({"GET /info": hang_up}).info()


def test_an_engine_that_speaks_no_json_does_not_answer(serve: Serve) -> None:
    with pytest.raises(EngineUnreachable):
        serve({"GET /info": lambda handler: handler.send(200, None, raw=b"<html>")}).info()


def test_an_engine_that_dies_while_it_streams_does_not_answer(serve: Serve) -> None:
    engine = serve({"POST /images/create": lambda handler: handler.stream(b'{"status": "Pulling"}\n', whole=False)})

    with pytest.raises(EngineUnreachable):
        list(engine.pull("nginx"))


def test_a_stream_that_is_cut_in_the_middle_of_a_line_is_no_answer(serve: Serve) -> None:
    engine = serve({"POST /images/create": lambda handler: handler.stream(b'{"status": "Pul')})

    with pytest.raises(EngineUnreachable):
        list(engine.pull("nginx"))


def test_keys_that_are_not_there_are_told(tmp_path: Path) -> None:
    engine = Engine(Endpoint("tcp://127.0.0.1:1", tls=tmp_path / "none"))

    with pytest.raises(HostError, match=r"keys are missing in .*none: cert\.pem, key\.pem, ca\.pem"):
        engine.version()


def test_what_is_no_fault_of_the_engine_is_left_alone(serve: Serve) -> None:
    engine = serve({"GET /info": lambda handler: handler.send(200, {})})

    with pytest.raises(KeyError):
        engine.info()["Swarm"]


def test_the_doctor_is_not_sent_to_a_nodes_engine() -> None:
    with pytest.raises(EngineUnreachable) as caught, translated("the engine of w1"):
        raise ConnectionRefusedError(111, "Connection refused")

    again = "`labctl restart w1` restarts the node"
    assert caught.value.hint == f"{again}; `labctl export logs` keeps what its engine said."


def tls_error(kind: type[ssl.SSLError], reason: str = "", *, verify: tuple[int, str] = (0, "")) -> ssl.SSLError:
    problem = kind(1, f"[SSL: {reason}] in OpenSSL's own words (_ssl.c:1006)")
    problem.reason = reason
    if isinstance(problem, ssl.SSLCertVerificationError):
        problem.verify_code, problem.verify_message = verify
    return problem


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (tls_error(ssl.SSLEOFError, "UNEXPECTED_EOF_WHILE_READING"), "it closed the connection"),
        (tls_error(ssl.SSLZeroReturnError), "it closed the connection"),
        (tls_error(ssl.SSLError, "UNEXPECTED_EOF_WHILE_READING"), "it closed the connection"),
        (tls_error(ssl.SSLError, "TLSV1_ALERT_UNKNOWN_CA"), "it does not take this lab's key"),
        (tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), "it speaks no TLS"),
        (tls_error(ssl.SSLError, "NO_SHARED_CIPHER"), "TLS failed: no shared cipher"),
        (tls_error(ssl.SSLError), "TLS failed: no reason was told"),
        (
            tls_error(ssl.SSLCertVerificationError, verify=(19, "self-signed certificate in certificate chain")),
            "its certificate is not of this lab's CA",
        ),
        (
            tls_error(ssl.SSLCertVerificationError, verify=(10, "certificate has expired")),
            "its certificate is not good: certificate has expired",
        ),
    ],
)
def test_what_tls_has_against_an_engine_is_told_in_words(problem: ssl.SSLError, told: str) -> None:
    with pytest.raises(EngineUnreachable) as caught, translated("the engine of w1"):
        raise requests.exceptions.SSLError(problem)

    assert caught.value.message == f"the engine of w1 does not answer: {told}"
    mend = "LABCTL_STATE" if "this lab's" in told else "labctl restart w1"
    assert mend in (caught.value.hint or "")
