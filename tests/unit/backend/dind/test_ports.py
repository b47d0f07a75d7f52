"""Free ports on this host, and an engine's words for one that is not free."""

from __future__ import annotations

import socket

import pytest

from labctl.backend.dind.ports import free_port, is_port_taken
from labctl.errors import EngineRefused


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    "words",
    [
        "driver failed programming external connectivity: Bind for 127.0.0.1:8080 failed: port is already allocated",
        "listen tcp4 127.0.0.1:8080: bind: address already in use",
        "Ports are not available: exposing port TCP 127.0.0.1:8080 -> 0.0.0.0:0: listen tcp 127.0.0.1:8080",
        "failed to bind host port for 127.0.0.1:8080:172.18.0.2:2376/tcp: address already in use",
    ],
)
def test_a_taken_port_is_recognised_in_each_engines_words(words: str) -> None:
    assert is_port_taken(EngineRefused(words, status=500))


def test_another_refusal_is_not_a_taken_port() -> None:
    assert not is_port_taken(EngineRefused("no such image", status=404))
