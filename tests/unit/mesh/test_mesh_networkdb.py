"""Reading the engine's networkdb."""

from __future__ import annotations

import base64
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.mesh.httpget import Connection
from labctl.mesh.networkdb import DecodeError, Endpoint, NetworkDB, NetworkDBError, Port, decode_endpoint, parse_table
from tests.unit.mesh.fakes import encode, text_field, varint

# Two records of a real engine (26.1.5): a task in ingress, and the same task a moment before it was stopped.
SERVING = (
    "Ch93ZWIuMy5od2ZpOHQydGw0cmU3Mmt6ZjhkY2ttMHpxEgN3ZWIaGXp1b2RrbXo3dm5kcGswaTRteHpveWdrdjUi"
    "CDEwLjAuMC41KggxMC4wLjAuODIGGJA/IMA+MggQARiCRyCoRkIMYjMwNzQyMTA5OWI4"
)
LEAVING = base64.b64encode(base64.b64decode(SERVING) + b"\x48\x01").decode()


def test_a_real_record() -> None:
    assert decode_endpoint(SERVING) == Endpoint(
        task="web.3.hwfi8t2tl4re72kzf8dckm0zq",
        service="web",
        service_id="zuodkmz7vndpk0i4mxzoygkv5",
        vip="10.0.0.5",
        address="10.0.0.8",
        ports=(Port("tcp", 8080, 8000), Port("udp", 9090, 9000)),
        disabled=False,
    )


def test_a_task_that_is_about_to_be_stopped() -> None:
    assert decode_endpoint(LEAVING).disabled


def test_a_service_without_a_vip() -> None:
    record = text_field(1, b"rr.1") + text_field(3, b"id") + text_field(4, b"<nil>") + text_field(5, b"10.0.1.9")
    assert decode_endpoint(base64.b64encode(record).decode()).vip == ""


@pytest.mark.parametrize(
    "record",
    [
        "",  # no address
        "not base64!",
        base64.b64encode(text_field(5, b"fe80::1")).decode(),
        base64.b64encode(text_field(5, b"10.0.1.9")[:-2]).decode(),  # cut off
        base64.b64encode(varint(5 << 3 | 3)).decode(),  # a kind of field that there is not
        base64.b64encode(b"\xff" * 12).decode(),  # a number without an end
    ],
)
def test_what_is_no_endpoint(record: str) -> None:
    with pytest.raises(DecodeError):
        decode_endpoint(record)


@pytest.mark.parametrize("port", [(2, 0, 80), (2, 80, 0), (2, 80, 70000), (9, 80, 80)])
def test_a_port_that_makes_no_sense_is_left_out(port: tuple[int, int, int]) -> None:
    message = b"".join(varint(number << 3) + varint(value) for number, value in zip((2, 3, 4), port, strict=True))
    record = text_field(5, b"10.0.1.9") + text_field(6, message)
    expected = () if port[0] == 9 or 0 in port[1:] or 70000 in port else (Port("sctp", port[1], port[2]),)
    assert decode_endpoint(base64.b64encode(record).decode()).ports == expected


def test_fields_that_are_not_known_yet_are_passed_over() -> None:
    later = varint(20 << 3 | 1) + b"8 bytes." + varint(21 << 3 | 5) + b"four" + text_field(22, b"more")
    record = later + text_field(5, b"10.0.1.9") + later
    assert decode_endpoint(base64.b64encode(record).decode()).address == "10.0.1.9"


@given(st.binary(max_size=200))
def test_no_bytes_break_it_otherwise(record: bytes) -> None:
    try:
        decode_endpoint(base64.b64encode(record).decode())
    except DecodeError as error:
        assert str(error)


octet = st.integers(0, 255)
address = st.tuples(octet, octet, octet, octet).map(lambda four: ".".join(map(str, four)))
number = st.integers(1, 65535)
port = st.builds(Port, st.sampled_from(["tcp", "udp", "sctp"]), number, number)
name = st.text(max_size=20)


@given(
    st.builds(
        Endpoint,
        task=name,
        service=name,
        service_id=name,
        vip=address,
        address=address,
        ports=st.lists(port, max_size=4).map(lambda ports: tuple(sorted(ports))),
        disabled=st.booleans(),
    )
)
def test_what_is_written_is_read(endpoint: Endpoint) -> None:
    assert decode_endpoint(encode(endpoint)) == endpoint


def test_a_table() -> None:
    entries = [{"key": "k1", "value": "v1", "owner": "o"}, {"key": "k2", "value": "v2", "owner": "o"}]
    answer = {"message": "OK", "details": {"size": 2, "entries": entries}}
    assert parse_table(json.dumps(answer).encode()) == {"k1": "v1", "k2": "v2"}


def test_an_empty_table() -> None:
    assert parse_table(b'{"message":"OK","details":{"size":0,"entries":null}}') == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"message":"not implemented","details":{"usage":"..."}}', "it says: not implemented"),
        (b'{"message":"OK","details":null}', "not understood"),
        (b'{"message":"OK"}', "not understood"),
        (b"<html>", "not understood"),
        (b"[]", "not understood"),
    ],
)
def test_an_answer_that_is_no_table(answer: bytes, said: str) -> None:
    with pytest.raises(NetworkDBError, match=said):
        parse_table(answer)


def test_no_answer_at_all() -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(NetworkDBError, match=r"no answer: .*refused"):
        NetworkDB(Connection(refuse)).endpoints("n1")
