"""Moves votes from the redis list `votes` into the table `votes`: for ever, in order, and without losing one.

A vote leaves the list only after it was committed. So a worker that is killed at any moment loses nothing: the next one
finds the vote still at the head and writes it again, which changes nothing, as the table keeps one row a voter. Workers
take turns by an advisory lock of the database. Without it, one that stalled between reading and writing could put an
old vote over a newer one.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator

import psycopg2
import redis
from database import connect
from psycopg2.extensions import connection, cursor
from redis.backoff import NoBackoff
from redis.retry import Retry

POLL_SECONDS = 0.1
RETRY_SECONDS = (0.2, 0.5, 1.0)
FINISH_SECONDS = 1.5
BATCH = 100
LONGEST = 255
IDLE_TIMEOUT_SINCE = 90600  # PostgreSQL 9.6, as libpq counts
LOCK = 7683  # any number, the same in every worker

# Takes the given votes off the head of the list, as long as they are what stands there: another worker may have written
# and removed the same ones.
REMOVE = """
for _, vote in ipairs(ARGV) do
    if redis.call('LINDEX', KEYS[1], 0) ~= vote then break end
    redis.call('LPOP', KEYS[1])
end
"""

stopping = threading.Event()


def log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def parse(raw: bytes) -> tuple[str, str] | None:
    """(voter, vote) of a queued vote, or None when it is none: it would stop the queue for ever."""
    try:
        vote = json.loads(raw)
        voter, choice = vote["voter_id"], vote["vote"]
    except (ValueError, KeyError, TypeError):
        return None
    texts = all(isinstance(text, str) and len(text) <= LONGEST and "\0" not in text for text in (voter, choice))
    return (voter, choice) if texts else None


def prepare(database: connection) -> None:
    """Make the table unless it is there; under the lock, since two CREATEs at once fail."""
    if database.server_version >= IDLE_TIMEOUT_SINCE:
        # A worker that freezes inside its turn (a paused container) loses it, so that the others go on.
        with database, database.cursor() as sql:
            sql.execute("SET idle_in_transaction_session_timeout = '5s'")
    with transaction(database) as sql:
        sql.execute("CREATE TABLE IF NOT EXISTS votes (id VARCHAR(255) NOT NULL UNIQUE, vote VARCHAR(255) NOT NULL)")


@contextlib.contextmanager
def transaction(database: connection) -> Iterator[cursor]:
    """A transaction that only one worker is in at a time."""
    with database, database.cursor() as sql:
        sql.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        yield sql


def store(sql: cursor, voter: str, choice: str) -> None:
    """Write one vote over the voter's last one. In two steps: ON CONFLICT came with PostgreSQL 9.5."""
    sql.execute("UPDATE votes SET vote = %s WHERE id = %s", (choice, voter))
    if sql.rowcount == 0:
        sql.execute("INSERT INTO votes (id, vote) VALUES (%s, %s)", (voter, choice))


def move_batch(queue: redis.Redis, database: connection) -> int:
    """Write the votes at the head of the list, then take them off it; how many they were."""
    with transaction(database) as sql:
        batch = queue.lrange("votes", 0, BATCH - 1)
        for raw in batch:
            vote = parse(raw)
            if vote is None:
                log(f"dropped what is no vote: {raw[:100]!r}")
            else:
                store(sql, *vote)
    if batch:
        queue.eval(REMOVE, 1, "votes", *batch)
    return len(batch)


def work(queue: redis.Redis, database: connection) -> None:
    """Move votes until told to stop; raises the client's error when redis or the database goes away."""
    log("connected to redis and the database")
    # Redis says what the queue holds; the database is asked now and then too, so that its loss is noticed while no
    # vote comes.
    idle = 0.0
    while not stopping.is_set():
        if queue.llen("votes"):
            log(f"moved {move_batch(queue, database)} vote(s)")
            continue
        stopping.wait(POLL_SECONDS)
        idle += POLL_SECONDS
        if idle >= 1:
            idle = 0.0
            with database, database.cursor() as sql:
                sql.execute("SELECT 1")


def work_for_ever() -> None:
    """Connect, work, and start over when something breaks, with a pause of at most one second."""
    failures = 0
    while not stopping.is_set():
        try:
            with contextlib.closing(open_queue()) as queue, contextlib.closing(connect()) as database:
                queue.ping()
                prepare(database)
                failures = 0
                work(queue, database)
        except (redis.RedisError, psycopg2.Error, OSError) as error:
            log(f"starting over: {' '.join(str(error).split())}")
            stopping.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1


def open_queue() -> redis.Redis:
    return redis.Redis(
        host=os.environ.get("REDIS_HOST", "redis"),
        socket_connect_timeout=2,
        socket_timeout=5,
        retry=Retry(NoBackoff(), 0),
    )


def main() -> None:
    """Work in a thread, so that SIGTERM is heard even while a connection is being made."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    thread = threading.Thread(target=work_for_ever, daemon=True)
    thread.start()
    stopping.wait()
    thread.join(FINISH_SECONDS)
    os._exit(0)  # a thread that still waits for a name server must not keep the process; nothing is lost


if __name__ == "__main__":
    main()
