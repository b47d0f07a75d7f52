"""The result page: the tally of the table `votes`, live."""

import contextlib
import html
import json
import os
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from string import Template

import psycopg2
from database import connect
from psycopg2 import errorcodes
from psycopg2.extensions import connection
from webserver import HOSTNAME, Handler, serve, stopping

OPTIONS = {"a": os.environ.get("OPTION_A", "Cats"), "b": os.environ.get("OPTION_B", "Dogs")}
VERSION = os.environ.get("VERSION", "1")
PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 10


@dataclass(frozen=True)
class Tally:
    """How many voters chose each option; nothing is known of it while `error` is set."""

    a: int = 0
    b: int = 0
    error: str = ""

    def as_dict(self) -> dict[str, object]:
        """What /api/tally and the live events carry."""
        if self.error:
            return {"error": self.error, "served_by": HOSTNAME}
        return {"a": self.a, "b": self.b, "total": self.a + self.b, "options": OPTIONS, "served_by": HOSTNAME}


class Board:
    """The latest tally, kept by one thread and read by every request."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tally = Tally(error="no connection with the database yet")

    def latest(self) -> Tally:
        return self._tally

    def wait_for_other_than(self, seen: Tally, seconds: float) -> Tally:
        """The tally as soon as it differs from the one seen; the same after so many seconds, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._tally != seen or stopping.is_set(), timeout=seconds)
            return self._tally

    def keep_up(self) -> None:
        """Read the tally twice a second, for ever; a broken connection is made anew, its name resolved anew."""
        while not stopping.is_set():
            try:
                with contextlib.closing(connect()) as database:
                    database.autocommit = True
                    while not stopping.is_set():
                        self._set(count(database))
                        stopping.wait(POLL_SECONDS)
            except (psycopg2.Error, OSError) as error:
                print(f"no tally: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
                self._set(Tally(error="no connection with the database"))
                stopping.wait(POLL_SECONDS)
        self._set(self._tally)  # wakes those who wait, so that they see the end

    def _set(self, tally: Tally) -> None:
        with self._changed:
            self._tally = tally
            self._changed.notify_all()


def count(database: connection) -> Tally:
    """The tally that the table holds; no table yet is no votes yet."""
    try:
        with database.cursor() as sql:
            sql.execute("SELECT vote, count(*) FROM votes GROUP BY vote")
            rows = dict(sql.fetchall())
    except psycopg2.Error as error:
        if error.pgcode != errorcodes.UNDEFINED_TABLE:
            raise
        rows = {}
    return Tally(rows.get("a", 0), rows.get("b", 0))


BOARD = Board()


def page(tally: Tally) -> str:
    """The whole page with the counts in it: its script only keeps them up to date."""
    total = tally.a + tally.b
    return PAGE.substitute(
        title=html.escape(f"{OPTIONS['a']} or {OPTIONS['b']}?"),
        name_a=html.escape(OPTIONS["a"]),
        name_b=html.escape(OPTIONS["b"]),
        count_a="–" if tally.error else tally.a,
        count_b="–" if tally.error else tally.b,
        total="–" if tally.error else total,
        share=round(100 * tally.a / total, 2) if total else 50,
        notice=html.escape(tally.error),
        host=html.escape(HOSTNAME),
        version=html.escape(VERSION),
    )


class Result(Handler):
    """GET / is the page, /api/tally the same as JSON, /events the page's live source (server-sent events)."""

    def do_GET(self) -> None:  # noqa: N802
        path = self.path.partition("?")[0]
        tally = BOARD.latest()
        if path == "/healthz":
            self.reply_plain("ok")
        elif path == "/":
            self.reply(page(tally))
        elif path == "/api/tally":
            status = HTTPStatus.SERVICE_UNAVAILABLE if tally.error else HTTPStatus.OK
            self.reply(json.dumps(tally.as_dict()) + "\n", "application/json", status)
        elif path == "/events" and self.command == "GET":
            self.stream()
        else:
            self.reply_plain("nothing here: /, /api/tally, /events", HTTPStatus.NOT_FOUND)

    def stream(self) -> None:
        """Send the tally at once and then each new one, until the browser or this server leaves."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        tally = BOARD.latest()
        self.wfile.write(b"retry: 1000\n")
        while not stopping.is_set():
            self.wfile.write(f"data: {json.dumps(tally.as_dict())}\n\n".encode())
            tally = BOARD.wait_for_other_than(tally, KEEP_ALIVE_SECONDS)


if __name__ == "__main__":
    threading.Thread(target=BOARD.keep_up, daemon=True).start()
    serve(Result)
