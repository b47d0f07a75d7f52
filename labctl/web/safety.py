"""Who may speak to the page's server: the browser that was given the token, at localhost, from this very page.

The server stands in front of root shells, so what is not known to be right is refused with 403. A cookie knows no
ports: what serves at another port of localhost is sent it too. That is why published ports are told at 127.0.0.1,
another site to a browser, and why a request that another origin makes is refused whatever cookie it has.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labctl.state import lab_dir, lock, write_private

__all__ = ["Guard", "opening_file", "session_key"]

HEALTH = "/healthz"
KEY_FILE, OPEN_FILE = "web-session", "web-open.html"
KEY_LENGTH = 43  # of what token_urlsafe makes of 32 bytes
LOCK_LIMIT = 30.0  # seconds
STRANGE = ("cross-site", "same-site")
LEAD_ON = '<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>labctl</title>'
SAY = "403: open the address that `labctl web` printed in the terminal.\n"


def opening_file(lab: str, address: str) -> Path:
    """A file that leads a browser to the address. What starts a browser is seen by all users of this machine."""
    path = lab_dir(lab) / OPEN_FILE
    write_private(path, f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n'.encode())
    return path


def session_key(lab: str) -> str:
    """The secret of a browser that may see this lab: kept with the lab, so that a page outlives its server."""
    path = lab_dir(lab) / KEY_FILE
    with lock(f"{lab}-web", wait=LOCK_LIMIT):
        if path.is_file():
            key = path.read_text(encoding="ascii", errors="replace").strip()
            if len(key) == KEY_LENGTH:
                return key
        key = secrets.token_urlsafe(32)
        write_private(path, key.encode())
        return key


@dataclass
class Guard:
    """Stands before the app: checks Host, Origin, token and cookie, and adds what a browser shall keep to.

    `key` is what the cookie holds; `token` is what the address in the terminal has, and is of this server alone.
    """

    app: ASGIApp
    port: int
    key: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def host(self) -> str:
        """What the browser calls us by."""
        return f"localhost:{self.port}"

    @property
    def address(self) -> str:
        """What the user opens."""
        return f"http://{self.host}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The cookie's name; that of another server on this machine is another one."""
        return f"labctl-web-{self.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through what may pass."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        answer = self._refusal(scope)
        if scope["type"] == "websocket" and answer is not None:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: a plain 403
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers()]
            await send(message)

        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered in the app's place; None for what may pass."""
        refused = PlainTextResponse(SAY, status_code=403)
        if _all(scope, b"host") != [self.host] or not self._is_from_here(scope):
            return refused
        is_led_here = any(site in STRANGE for site in _all(scope, b"sec-fetch-site"))
        if scope["type"] == "http":
            if scope["method"] not in ("GET", "HEAD"):
                return refused
            if scope["path"] == HEALTH:
                return PlainTextResponse("ok\n")
            if (given := _token(scope)) is not None:
                return self._welcome(is_led_here=is_led_here) if _same(given, self.token) else refused
        if is_led_here:
            return refused
        return None if any(_same(one, self.key) for one in _cookies(scope, self.cookie)) else refused

    def _is_from_here(self, scope: Scope) -> bool:
        """Whether this page, or the user alone, made the request. A browser names a socket's origin always."""
        origins = _all(scope, b"origin")
        if scope["type"] == "websocket":
            return origins == [f"http://{self.host}"]
        return origins in ([], [f"http://{self.host}"])

    def _welcome(self, *, is_led_here: bool) -> Response:
        """The token becomes a cookie, and leaves the address.

        To a browser that another page led here (the file of `--open`) a redirect is still that page's, and it would
        keep the cookie to itself: so that one is led on by a page of ours.
        """
        answer: Response = HTMLResponse(LEAD_ON) if is_led_here else RedirectResponse("/", status_code=303)
        answer.set_cookie(self.cookie, self.key, httponly=True, samesite="strict", path="/")
        return answer

    def _headers(self) -> list[tuple[bytes, bytes]]:
        policy = (
            "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
            # xterm.js writes its colours into a <style> of its own; a style cannot run anything.
            f"style-src 'self' 'unsafe-inline'; connect-src 'self' ws://{self.host}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        said = {
            "content-security-policy": policy,
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "cache-control": "no-store",
        }
        return [(name.encode(), value.encode()) for name, value in said.items()]


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _token(scope: Scope) -> str | None:
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return given[0] if given else None


def _cookies(scope: Scope, name: str) -> Sequence[str]:
    found = []
    for line in _all(scope, b"cookie"):
        try:
            read = SimpleCookie(line)
        except CookieError:
            continue
        if name in read:
            found.append(read[name].value)
    return found


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
