"""Who may speak to the page's server, line by line of what docs/security.md promises."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from labctl.web.safety import Guard, opening_file, session_key

from .conftest import HERE, SOCKET, Talk


def test_without_token_and_cookie_there_is_nothing(client: TestClient) -> None:
    for path in ("/", "/index.html", "/ws", "/no-such", "/?token="):
        assert client.get(path).status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(client: TestClient, guard: Guard) -> None:
    answer = client.get("/", params={"token": guard.token})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and guard.key in cookie
    assert guard.token not in cookie
    assert client.get("/").status_code == 200


def test_a_wrong_token_is_none_even_with_the_cookie(inside: TestClient) -> None:
    assert inside.get("/", params={"token": "x" * 43}).status_code == 403


def test_a_wrong_cookie_is_none(client: TestClient, guard: Guard) -> None:
    for value in ("", "x" * 43, guard.key[:-1], guard.token):
        assert client.get("/", headers={"cookie": f"{guard.cookie}={value}"}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:7070", "localhost", "localhost:7071", "evil.example:7070", "[::1]:7070"])
def test_another_host_is_refused(inside: TestClient, guard: Guard, host: str) -> None:
    """A name that somebody lets lead here (DNS rebinding), and the address of the lab's own ports."""
    said = {"host": host, "cookie": f"{guard.cookie}={guard.key}"}
    assert inside.get("/", headers=said).status_code == 403
    assert inside.get("/healthz", headers=said).status_code == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7070", "http://localhost:8080", "https://evil.example", "null"])
def test_another_origin_is_refused(inside: TestClient, origin: str) -> None:
    assert inside.get("/", headers={"origin": origin}).status_code == 403
    with pytest.raises(WebSocketDisconnect), inside.websocket_connect(SOCKET, headers={"origin": origin}):
        pass


def test_a_socket_without_an_origin_is_refused(inside: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), inside.websocket_connect(SOCKET):
        pass


def test_a_socket_without_the_cookie_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={"origin": HERE}):
        pass


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_asks_for_is_refused(inside: TestClient, site: str) -> None:
    assert inside.get("/", headers={"sec-fetch-site": site}).status_code == 403
    assert inside.get("/", params={"token": "x" * 43}, headers={"sec-fetch-site": site}).status_code == 403


def test_a_browser_that_a_file_led_here_is_led_on_by_a_page_of_ours(client: TestClient, guard: Guard) -> None:
    answer = client.get("/", params={"token": guard.token}, headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 200 and guard.token not in answer.text and "<script" not in answer.text
    assert client.get("/").status_code == 200


def test_what_starts_a_browser_does_not_show_the_token_to_others(state: Path, guard: Guard) -> None:
    file = opening_file("demo", guard.address)

    assert guard.address in file.read_text() and file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_is_changed_by_a_plain_request(inside: TestClient, method: str) -> None:
    assert inside.request(method, "/").status_code == 403


def test_health_needs_no_token_and_says_nothing(client: TestClient) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_every_answer_tells_the_browser_what_to_keep_to(client: TestClient, inside: TestClient) -> None:
    for answer in (client.get("/healthz"), inside.get("/"), inside.get("/none")):
        policy = answer.headers["content-security-policy"]
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is not None and scripts[1] == "'self'"
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_paths_do_not_leave_the_page(inside: TestClient) -> None:
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/../../secret.txt", "/%00"):
        assert inside.get(path).status_code in (403, 404)


def test_no_log_has_the_token(client: TestClient, guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="starlette"), caplog.at_level(logging.DEBUG, logger="uvicorn"):
        client.get("/", params={"token": guard.token})
        client.get("/", params={"token": "wrong"})

    told = [record.getMessage() for record in caplog.records if record.name.startswith(("starlette", "uvicorn"))]
    assert guard.token not in "".join(told)


def test_a_browser_is_known_again_after_the_server_restarted_and_in_this_lab_alone(state: Path) -> None:
    assert session_key("demo") == session_key("demo") != session_key("other")
    kept = state / "labs" / "demo" / "web-session"
    assert kept.stat().st_mode & 0o077 == 0


def test_a_spoiled_key_is_made_anew(state: Path) -> None:
    before = session_key("demo")
    (state / "labs" / "demo" / "web-session").write_text("")

    assert len(session_key("demo")) == len(before) and session_key("demo") != before


def test_the_socket_talks_to_whoever_was_let_in(talk: Talk) -> None:
    with talk() as socket:
        assert socket.receive_json() == {"type": "hello", "lab": "demo", "exercise": False}
