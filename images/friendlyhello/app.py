"""Says hello, who says it, and how often it was asked: the first app of many tutorials."""

import html
import os
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from webserver import HOSTNAME, Handler, serve

NAME = os.environ.get("NAME", "world")
REST_SECONDS = 2  # how long redis is left alone after it could not be reached, so that pages stay quick

COUNTER = redis.Redis(
    host=os.environ.get("REDIS_HOST", "redis"),
    socket_connect_timeout=1,
    socket_timeout=1,
    retry=Retry(NoBackoff(), 0),
)


class Hello(Handler):
    """GET / greets and counts; any other path but the health check does so too."""

    next_try = 0.0

    def do_GET(self) -> None:  # noqa: N802
        if self.path == "/healthz":
            self.reply_plain("ok")
        else:
            self.reply(
                f"<h3>Hello {html.escape(NAME)}!</h3>"
                f"<b>Hostname:</b> {html.escape(HOSTNAME)}<br/><b>Visits:</b> {self.visits()}\n"
            )

    def visits(self) -> str:
        """The counter after this visit, as HTML."""
        if self.command == "HEAD" or time.monotonic() < Hello.next_try:
            return "<i>cannot connect to Redis, counter disabled</i>"
        try:
            return str(COUNTER.incr("counter"))
        except redis.RedisError:
            Hello.next_try = time.monotonic() + REST_SECONDS
            return "<i>cannot connect to Redis, counter disabled</i>"


if __name__ == "__main__":
    serve(Hello)
