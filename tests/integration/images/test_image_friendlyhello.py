"""The first app of many tutorials."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Stage

pytestmark = pytest.mark.lab

Build = Callable[..., str]


def test_says_hello_and_who_says_it(image: Build, stage: Stage) -> None:
    app = stage.start(image("friendlyhello"), options=["--hostname", "here"], publish=80)
    body = app.ask(80).body
    assert "<h3>Hello World!</h3>" in body
    assert "<b>Hostname:</b> here" in body


def test_name_by_environment(image: Build, stage: Stage) -> None:
    app = stage.start(image("friendlyhello"), env={"NAME": "<Ann>"}, publish=80)
    assert "Hello &lt;Ann&gt;!" in app.ask(80).body


def test_counts_visits_in_redis(image: Build, stage: Stage) -> None:
    redis = stage.start(image("redis"), alias="redis")
    redis.wait_for("redis", "redis-cli", "ping")
    app = stage.start(image("friendlyhello"), publish=80)
    assert "<b>Visits:</b> 1" in app.ask(80).body
    assert "<b>Visits:</b> 2" in app.ask(80).body
    assert redis.execute("redis-cli", "get", "counter").strip() == "2"


def test_says_so_without_redis_and_counts_once_it_is_there(image: Build, stage: Stage) -> None:
    app = stage.start(image("friendlyhello"), publish=80)
    assert "<b>Visits:</b> <i>cannot connect to Redis, counter disabled</i>" in app.ask(80).body
    stage.start(image("redis"), alias="redis")
    app.wait_for("a count", "sh", "-c", "wget -qO- http://127.0.0.1/ | grep -q 'Visits:</b> [0-9]'")


def test_ends_soon(image: Build, stage: Stage) -> None:
    app = stage.start(image("friendlyhello"), publish=80)
    app.ask(80)
    assert app.stop() < CONTRACT_STOP
    assert app.exit_code() == 0
    assert app.inspect()["Config"]["Labels"]["labctl.standin"] == "friendlyhello"
