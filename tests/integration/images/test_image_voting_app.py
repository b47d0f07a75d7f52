"""The voting app: vote and result alone, then all five parts together, and what happens when one goes away."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from labctl.waiting import Pending, wait_until
from tests.integration.images.containers import CONTRACT_STOP, LIMIT, Answer, Container, Stage, docker, fetch, until

pytestmark = pytest.mark.lab

Build = Callable[..., str]
PASSWORD = {"POSTGRES_PASSWORD": "postgres"}


@dataclass
class VotingApp:
    """The parts, under the names by which they know each other."""

    stage: Stage
    image: Build
    vote: Container
    redis: Container
    workers: list[Container]
    database: Container
    result: Container

    def cast(self, voter: str, choice: str) -> Answer:
        """Vote as a browser does."""
        return self.vote.ask(80, body=f"vote={choice}", headers={"Cookie": f"voter_id={voter}"})

    def push(self, *votes: str) -> None:
        """Put raw texts onto the queue, as many as wanted at once."""
        self.redis.execute("redis-cli", "RPUSH", "votes", *votes)

    def queued(self) -> int:
        return int(self.redis.execute("redis-cli", "LLEN", "votes"))

    def rows(self) -> dict[str, str]:
        """What the table holds: voter -> vote."""
        text = self.database.execute("psql", "-U", "postgres", "-At", "-F", "=", "-c", "SELECT id, vote FROM votes")
        return dict(line.split("=") for line in text.splitlines())

    def wait_for_rows(self, wanted: dict[str, str]) -> None:
        def probe() -> None:
            rows = self.rows()
            if rows != wanted or self.queued():
                raise Pending(f"{len(rows)} rows, {self.queued()} votes queued")

        wait_until(f"{len(wanted)} votes in the table", probe, limit=LIMIT)

    def wait_for_sql(self, what: str, query: str) -> None:
        """Wait until a query has a row."""
        until(what, lambda: docker("exec", self.database.name, "psql", "-U", "postgres", "-Atc", query), "1")

    def wait_for_tally(self, a: int, b: int) -> None:
        def probe() -> None:
            tally = json.loads(self.result.ask(80, "/api/tally").body)
            if (tally.get("a"), tally.get("b")) != (a, b):
                raise Pending(str(tally))

        wait_until(f"a tally of {a} to {b}", probe, limit=LIMIT)

    def start_worker(self) -> Container:
        worker = self.stage.start(self.image("worker"))
        self.workers.append(worker)
        return worker

    def start_database(self) -> Container:
        self.database = self.stage.start(self.image("postgres"), alias="db", env=PASSWORD)
        return self.database


@pytest.fixture
def app(image: Build, stage: Stage) -> Iterator[VotingApp]:
    """All five, started in no good order: the database last."""
    vote = stage.start(image("vote"), publish=80)
    worker = stage.start(image("worker"))
    result = stage.start(image("result"), publish=80)
    redis = stage.start(image("redis"), alias="redis")
    database = stage.start(image("postgres"), alias="db", env=PASSWORD)
    app = VotingApp(stage, image, vote, redis, [worker], database, result)
    worker.wait_for_log("connected to redis and the database")
    yield app


def ballot(voter: str, choice: str) -> str:
    return json.dumps({"voter_id": voter, "vote": choice})


# The form


def test_form_and_who_served_it(image: Build, stage: Stage) -> None:
    vote = stage.start(image("vote"), options=["--hostname", "booth"], publish=80)
    answer = vote.ask(80)
    assert answer.status == 200
    assert 'name="vote" value="a"' in answer.body
    assert 'name="vote" value="b"' in answer.body
    assert "<h1>Cats or Dogs?</h1>" in answer.body
    assert "<code>booth</code>" in answer.body
    assert answer.headers["X-Served-By"] == "booth"
    assert answer.headers["Set-Cookie"].startswith("voter_id=")
    for outside in ("http://", "https://", "//cdn"):
        assert outside not in answer.body


def test_options_by_environment(image: Build, stage: Stage) -> None:
    environment = {"OPTION_A": "Tea & milk", "OPTION_B": "<b>Coffee</b>"}
    vote = stage.start(image("vote"), env=environment, publish=80)
    result = stage.start(image("result"), env=environment, publish=80)
    for part in (vote, result):
        body = part.ask(80).body
        assert "Tea &amp; milk" in body
        assert "&lt;b&gt;Coffee&lt;/b&gt;" in body


def test_versions_tell_themselves_apart(image: Build, stage: Stage) -> None:
    pages = [stage.start(image("vote", version), publish=80).ask(80).body for version in ("1", "2")]
    assert "version <strong>1</strong>" in pages[0]
    assert "version <strong>2</strong>" in pages[1]
    assert ('class="teal"' in pages[0], 'class="violet"' in pages[1]) == (True, True)


def test_vote_goes_onto_the_list(image: Build, stage: Stage) -> None:
    redis = stage.start(image("redis"), alias="redis")
    redis.wait_for("redis", "redis-cli", "ping")
    vote = stage.start(image("vote"), publish=80)
    answer = vote.ask(80, body="vote=b", headers={"Cookie": "voter_id=ann"})
    assert answer.status == 200
    assert 'value="b" class="b" aria-pressed="true"' in answer.body
    assert json.loads(redis.execute("redis-cli", "LPOP", "votes")) == {"voter_id": "ann", "vote": "b"}


@pytest.mark.parametrize("body", ["vote=c", "vote=", "", "v=a", "vote=" + "a" * 20_000, "%ff%fe"])
def test_what_is_no_vote_is_refused(image: Build, stage: Stage, body: str) -> None:
    vote = stage.start(image("vote"), publish=80)
    vote.ask(80)
    answer = vote.ask(80, body=body)
    assert answer.status == 400
    assert "Not counted" in answer.body
    assert vote.ask(80, "/elsewhere").status == 404


def test_vote_without_redis_is_not_called_counted(image: Build, stage: Stage) -> None:
    vote = stage.start(image("vote"), publish=80)
    answer = vote.ask(80, body="vote=a")
    assert answer.status == 503
    assert "Not counted: the queue (redis) cannot be reached" in answer.body
    stage.start(image("redis"), alias="redis")

    def probe() -> None:
        if vote.ask(80, body="vote=a").status != 200:
            raise Pending("503")

    wait_until("a vote taken", probe, limit=LIMIT)


@pytest.mark.parametrize("name", ["vote", "result"])
def test_health_check(image: Build, stage: Stage, name: str) -> None:
    part = stage.start(image(name), publish=80)
    assert part.ask(80, "/healthz").body == "ok\n"

    def probe() -> None:
        health = part.inspect()["State"]["Health"]["Status"]
        if health != "healthy":
            raise Pending(health)

    wait_until("a healthy container", probe, limit=LIMIT)
    assert "/healthz" not in part.logs()


@pytest.mark.parametrize("name", ["vote", "result", "worker"])
def test_ends_soon_as_nobody(image: Build, stage: Stage, name: str) -> None:
    part = stage.start(image(name))
    part.wait_for_log("starting over" if name == "worker" else "answers on port 80")
    assert part.execute("id", "-un").strip() == "nobody"
    assert part.stop() < CONTRACT_STOP
    assert part.exit_code() == 0
    assert part.inspect()["Config"]["Labels"]["labctl.standin"] == f"examplevotingapp_{name}"


def test_requests_that_come_while_it_leaves_are_answered(image: Build, stage: Stage) -> None:
    vote = stage.start(image("vote"), publish=80)
    vote.ask(80)
    url = vote.url(80)
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n")
        docker("kill", "--signal", "TERM", vote.name)
        deadline = time.monotonic() + 0.5  # the second half of the linger is for a busy machine
        statuses = []
        while time.monotonic() < deadline:
            statuses.append(fetch(url).status)
        slow.sendall(b"\r\n")
        assert b" 200 OK" in slow.recv(4096)
    assert len(statuses) > 1
    assert set(statuses) == {200}
    assert vote.wait_for_end() == 0


# The whole


def test_vote_arrives_and_a_second_one_replaces_it(app: VotingApp) -> None:
    assert app.cast("ann", "a").status == 200
    assert app.cast("bob", "a").status == 200
    app.wait_for_rows({"ann": "a", "bob": "a"})
    app.wait_for_tally(2, 0)
    app.cast("ann", "b")
    app.wait_for_rows({"ann": "b", "bob": "a"})
    app.wait_for_tally(1, 1)


def test_result_page_has_the_counts_in_it(app: VotingApp) -> None:
    app.push(*(ballot(f"v{n}", "a") for n in range(12)), ballot("w", "b"))
    app.wait_for_tally(12, 1)
    body = app.result.ask(80).body
    assert '<dd id="a">12</dd>' in body
    assert '<dd id="b">1</dd>' in body
    assert '<span id="total">13</span>' in body
    for outside in ("http://", "https://", "//cdn"):
        assert outside not in body


def test_result_page_is_live(app: VotingApp) -> None:
    host, port = app.result.url(80, "").removeprefix("http://").split(":")
    app.wait_for_tally(0, 0)
    with socket.create_connection((host, int(port)), timeout=LIMIT) as browser:
        browser.sendall(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n")
        stream = browser.makefile("r")
        events = (json.loads(line.removeprefix("data: ")) for line in stream if line.startswith("data: "))
        assert next(events)["total"] == 0
        app.cast("ann", "b")
        assert next(event for event in events if event["total"])["b"] == 1
        docker("kill", "--signal", "TERM", app.result.name)
        assert list(stream) is not None  # the stream ends with the server
    assert app.result.wait_for_end() == 0
    assert "unanswered" not in app.result.logs()


def test_table_is_the_well_known_one(app: VotingApp) -> None:
    app.cast("ann", "a")
    app.wait_for_rows({"ann": "a"})
    query = (
        "SELECT column_name, data_type, character_maximum_length FROM information_schema.columns"
        " WHERE table_name = 'votes' ORDER BY column_name"
    )
    columns = app.database.execute("psql", "-U", "postgres", "-At", "-c", query).split("\n")
    assert columns[:2] == ["id|character varying|255", "vote|character varying|255"]


def test_what_is_no_vote_does_not_stop_the_queue(app: VotingApp) -> None:
    poison = ["not json", "[]", '"x"', "{}", '{"voter_id": 1, "vote": "a"}', ballot("x" * 256, "a"), ballot("\0", "a")]
    app.push(*poison, ballot("ann", "a"))
    app.wait_for_rows({"ann": "a"})
    assert app.workers[0].logs().count("dropped what is no vote") == len(poison)


def test_no_vote_is_lost_when_workers_are_killed(app: VotingApp) -> None:
    for _ in range(2):
        app.start_worker()
    voters = [f"v{n}" for n in range(600)]
    stop = threading.Event()

    def kill_again_and_again() -> None:
        while not stop.wait(0.2):
            for worker in app.workers:
                docker("kill", worker.name, check=False)
                docker("start", worker.name, check=False)

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        for choice in ("a", "b", "a"):
            for begin in range(0, len(voters), 100):
                app.push(*(ballot(voter, choice) for voter in voters[begin : begin + 100]))
        app.wait_for_rows(dict.fromkeys(voters, "a"))
    finally:
        stop.set()
        killer.join()


def test_vote_survives_a_kill_between_pop_and_insert(app: VotingApp) -> None:
    app.cast("ann", "a")
    app.wait_for_rows({"ann": "a"})
    hold = "BEGIN; LOCK TABLE votes IN EXCLUSIVE MODE; SELECT pg_sleep(60)"
    docker("exec", "--detach", app.database.name, "psql", "-U", "postgres", "-c", hold)
    app.wait_for_sql("the table locked", "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    app.cast("bob", "b")
    app.wait_for_sql(
        "the worker held up in the middle",
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'voting-app' AND wait_event_type = 'Lock'",
    )
    docker("kill", app.workers[0].name)
    assert app.queued() == 1
    app.wait_for_sql(
        "the lock gone",
        "SELECT 1 WHERE (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep')",
    )
    app.start_worker()
    app.wait_for_rows({"ann": "a", "bob": "b"})


def test_several_workers_keep_the_order(app: VotingApp) -> None:
    for _ in range(3):
        app.start_worker()
    for choice in "abababab":
        app.push(*(ballot(f"v{n}", choice) for n in range(150)))
    app.wait_for_rows({f"v{n}": "b" for n in range(150)})


def test_new_redis_under_the_old_name(app: VotingApp) -> None:
    app.cast("ann", "a")
    app.wait_for_rows({"ann": "a"})
    docker("rm", "--force", "--volumes", app.redis.name)
    app.stage.start(app.image("probe"))  # takes the address, so that the new one has another
    app.redis = app.stage.start(app.image("redis"), alias="redis")
    app.redis.wait_for("redis", "redis-cli", "ping")
    assert app.cast("bob", "b").status == 200
    app.wait_for_rows({"ann": "a", "bob": "b"})


def test_new_database_under_the_old_name(app: VotingApp) -> None:
    app.cast("ann", "a")
    app.wait_for_tally(1, 0)
    docker("rm", "--force", "--volumes", app.database.name)

    def no_tally() -> None:
        if app.result.ask(80, "/api/tally").status != 503:
            raise Pending("still a tally")

    wait_until("the loss noticed", no_tally, limit=LIMIT)
    assert "no connection with the database" in app.result.ask(80).body
    app.cast("bob", "b")
    app.stage.start(app.image("probe"))  # takes the address, so that the new one has another
    app.start_database()
    app.wait_for_tally(0, 1)


def test_password_from_a_secret(image: Build, stage: Stage) -> None:
    environment = {"POSTGRES_PASSWORD": "other", "POSTGRES_USER": "ann", "POSTGRES_DB": "ballots"}
    stage.start(image("postgres"), alias="store", env=environment)
    stage.start(image("redis"), alias="queue")
    given = {"POSTGRES_HOST": "store", "POSTGRES_USER": "ann", "POSTGRES_DB": "ballots", "REDIS_HOST": "queue"}
    given["POSTGRES_PASSWORD_FILE"] = "/tmp/password"
    start = "echo other > /tmp/password; exec python3 "
    worker = stage.start(image("worker"), "sh", "-c", start + "worker.py", env=given)
    result = stage.start(image("result"), "sh", "-c", start + "app.py", env=given, publish=80)
    worker.wait_for_log("connected to redis and the database")

    def probe() -> None:
        if result.ask(80, "/api/tally").status != 200:
            raise Pending(result.logs()[-300:])

    wait_until("a tally", probe, limit=LIMIT)


def test_database_that_trusts(image: Build, stage: Stage) -> None:
    stage.start(image("postgres"), alias="db", env={"POSTGRES_HOST_AUTH_METHOD": "trust"})
    stage.start(image("redis"), alias="redis")
    stage.start(image("worker")).wait_for_log("connected to redis and the database")
