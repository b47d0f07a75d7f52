"""The voting page: a form with two options; each vote goes as JSON onto the redis list `votes`."""

import html
import json
import os
import secrets
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from webserver import HOSTNAME, Handler, serve

OPTIONS = {"a": os.environ.get("OPTION_A", "Cats"), "b": os.environ.get("OPTION_B", "Dogs")}
VERSION = os.environ.get("VERSION", "1")
PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
LONGEST_FORM = 10_000
LONGEST_VOTER = 255

# One more try on a fresh connection: redis may have moved to another node since the last vote. A vote that is pushed
# twice is counted once, since the worker keeps one row a voter.
QUEUE = redis.Redis(
    host=os.environ.get("REDIS_HOST", "redis"),
    socket_connect_timeout=1,
    socket_timeout=2,
    retry=Retry(NoBackoff(), 1),
    retry_on_error=[redis.ConnectionError, redis.TimeoutError],
)


def voter_of(cookies: str) -> str:
    """The voter that the Cookie header names, or a new one."""
    try:
        morsel = SimpleCookie(cookies).get("voter_id")
    except CookieError:
        morsel = None
    known = morsel.value if morsel else ""
    return known if 0 < len(known) <= LONGEST_VOTER else secrets.token_hex(8)


def button(name: str, chosen: str | None) -> str:
    """The submit button of option `name`."""
    pressed = name == chosen
    mark = '<span class="mark">your vote</span>' if pressed else ""
    return (
        f'<button name="vote" value="{name}" class="{name}" aria-pressed="{str(pressed).lower()}">'
        f"{html.escape(OPTIONS[name])}{mark}</button>"
    )


def page(chosen: str | None = None, alert: str = "") -> str:
    """The whole page, with the option that was just chosen and what went wrong, if anything."""
    return PAGE.substitute(
        title=html.escape(f"{OPTIONS['a']} or {OPTIONS['b']}?"),
        button_a=button("a", chosen),
        button_b=button("b", chosen),
        alert=f'<p role="alert">{html.escape(alert)}</p>' if alert else "",
        host=html.escape(HOSTNAME),
        version=html.escape(VERSION),
        theme="violet" if VERSION == "2" else "teal",
    )


class Vote(Handler):
    """GET / shows the form, POST / takes a vote."""

    def do_GET(self) -> None:  # noqa: N802
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self.reply_plain("ok")
        elif path == "/":
            self.reply_page(voter_of(self.headers.get("Cookie", "")), page())
        else:
            self.reply_plain("nothing here: the vote is at /", HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        voter = voter_of(self.headers.get("Cookie", ""))
        chosen = self.form_vote()
        if self.path.partition("?")[0] != "/":
            self.reply_plain("nothing here: votes go to /", HTTPStatus.NOT_FOUND)
        elif chosen not in OPTIONS:
            self.reply_page(voter, page(alert="Not counted: a vote is either a or b."), HTTPStatus.BAD_REQUEST)
        else:
            self.take_vote(voter, chosen)

    def form_vote(self) -> str | None:
        """The form's field `vote`, or None where there is none to be read."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_FORM:
            return None
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        return form.get("vote", [None])[0]

    def take_vote(self, voter: str, chosen: str) -> None:
        """Queue the vote; only then say that it was taken."""
        try:
            QUEUE.rpush("votes", json.dumps({"voter_id": voter, "vote": chosen}))
        except redis.RedisError as error:
            self.log_error("vote not queued: %s", error)
            alert = "Not counted: the queue (redis) cannot be reached just now. Please vote again."
            self.reply_page(voter, page(alert=alert), HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self.reply_page(voter, page(chosen))

    def reply_page(self, voter: str, body: str, status: int = HTTPStatus.OK) -> None:
        """Send a page and the cookie that makes the next vote replace this one."""
        cookie = SimpleCookie()
        cookie["voter_id"] = voter
        cookie["voter_id"].update({"path": "/", "samesite": "Lax", "httponly": True})
        self.reply(body, status=status, headers={"Set-Cookie": cookie["voter_id"].OutputString()})


if __name__ == "__main__":
    serve(Vote)
