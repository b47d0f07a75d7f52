"""The stand-in for postgres."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Container, Stage, docker, until

pytestmark = pytest.mark.lab

Build = Callable[..., str]
PASSWORD = {"POSTGRES_PASSWORD": "secret"}
SCRIPTS = r"""
cd /docker-entrypoint-initdb.d
echo 'CREATE TABLE t (source text);' > 1.sql
echo "INSERT INTO t VALUES ('sql.gz');" | gzip > 2.sql.gz
cat > 3.sh <<'END'
#!/bin/bash
psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO t VALUES ('run')"
END
chmod +x 3.sh
cat > 4.sh <<'END'
psql -c "INSERT INTO t VALUES ('sourced')"
END
echo 'echo "log_connections = on" >> "$PGDATA/postgresql.conf"' > 5.sh
echo nothing > 6.txt
"""


def ready(database: Container, user: str = "postgres") -> Container:
    database.wait_for("the database", "pg_isready", "--host", "127.0.0.1", "--username", user)
    return database


def ask(database: Container, query: str, *options: str) -> str:
    return database.execute("psql", "-U", "postgres", "-At", *options, "-c", query).strip()


def log_in(image: Build, stage: Stage, url: str) -> tuple[int, str]:
    """Log in over the network as another container does; psql's exit code and its output."""
    result = stage.once(image("postgres"), "psql", url, "-At", "-c", "SELECT current_user")
    return result.returncode, result.stdout.strip() + result.stderr


def prepared(image: Build, stage: Stage, script: str, env: Mapping[str, str]) -> Container:
    """A database that finds files where a bind mount or a secret would put them."""
    start = f"{script}\nexec docker-entrypoint.sh postgres"
    return stage.start(image("postgres"), "-c", start, options=["--entrypoint", "bash"], env=env, alias="db")


def test_password_over_the_network(image: Build, stage: Stage) -> None:
    ready(stage.start(image("postgres"), env=PASSWORD, alias="db"))
    assert log_in(image, stage, "postgresql://postgres:secret@db/postgres") == (0, "postgres")
    code, said = log_in(image, stage, "postgresql://postgres:wrong@db/postgres")
    assert code != 0
    assert "password authentication failed" in said


def test_user_and_database(image: Build, stage: Stage) -> None:
    ready(stage.start(image("postgres"), env={**PASSWORD, "POSTGRES_USER": "ann"}, alias="db"), "ann")
    assert log_in(image, stage, "postgresql://ann:secret@db/ann") == (0, "ann")


def test_database_of_another_name(image: Build, stage: Stage) -> None:
    environment = {**PASSWORD, "POSTGRES_USER": "ann", "POSTGRES_DB": 'sales "2"'}
    ready(stage.start(image("postgres"), env=environment, alias="db"), "ann")
    assert log_in(image, stage, "postgresql://ann:secret@db/sales%20%222%22") == (0, "ann")


def test_settings_from_files(image: Build, stage: Stage) -> None:
    script = "cd /run; echo fromfile > password; echo ann > user; echo sales > name"
    names = {"POSTGRES_PASSWORD_FILE": "password", "POSTGRES_USER_FILE": "user", "POSTGRES_DB_FILE": "name"}
    ready(prepared(image, stage, script, {key: f"/run/{name}" for key, name in names.items()}), "ann")
    assert log_in(image, stage, "postgresql://ann:fromfile@db/sales") == (0, "ann")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "set POSTGRES_PASSWORD"),
        ({"POSTGRES_PASSWORD": ""}, "set POSTGRES_PASSWORD"),
        ({"POSTGRES_PASSWORD": "x", "POSTGRES_PASSWORD_FILE": "/y"}, "not both"),
        ({"POSTGRES_PASSWORD_FILE": "/run/secrets/nothing"}, "names '/run/secrets/nothing', which cannot be read"),
    ],
)
def test_refuses_to_start_without_a_password(image: Build, stage: Stage, env: dict[str, str], said: str) -> None:
    options = [text for key, value in env.items() for text in ("--env", f"{key}={value}")]
    result = stage.once(image("postgres"), options=options)
    assert result.returncode == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_trust_lets_everybody_in_and_says_so(image: Build, stage: Stage) -> None:
    database = ready(stage.start(image("postgres"), env={"POSTGRES_HOST_AUTH_METHOD": "trust"}, alias="db"))
    assert log_in(image, stage, "postgresql://postgres@db/postgres") == (0, "postgres")
    assert "let in without a password" in database.logs()


def test_other_authentication_method(image: Build, stage: Stage) -> None:
    database = ready(stage.start(image("postgres"), env={**PASSWORD, "POSTGRES_HOST_AUTH_METHOD": "md5"}, alias="db"))
    assert "host all all all md5" in database.execute("cat", "/var/lib/postgresql/data/pg_hba.conf")
    assert log_in(image, stage, "postgresql://postgres:secret@db/postgres")[0] == 0


def test_arguments_of_initdb(image: Build, stage: Stage) -> None:
    environment = {**PASSWORD, "POSTGRES_INITDB_ARGS": "--data-checksums --locale=C"}
    database = ready(stage.start(image("postgres"), env=environment))
    assert ask(database, "SHOW data_checksums") == "on"
    assert ask(database, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"


def test_arguments_of_the_server(image: Build, stage: Stage) -> None:
    for command in (["postgres", "-c", "max_connections=33"], ["-c", "max_connections=33"]):
        database = ready(stage.start(image("postgres"), *command, env=PASSWORD))
        assert ask(database, "SHOW max_connections") == "33"


def test_scripts_of_initdb_d(image: Build, stage: Stage) -> None:
    database = ready(prepared(image, stage, SCRIPTS, {**PASSWORD, "POSTGRES_DB": "sales"}))
    assert ask(database, "SELECT source FROM t", "-d", "sales").split() == ["sql.gz", "run", "sourced"]
    assert ask(database, "SHOW log_connections") == "on"
    assert "ignored /docker-entrypoint-initdb.d/6.txt" in database.logs()


def test_script_that_fails_leaves_no_database_behind(image: Build, stage: Stage) -> None:
    script = "echo 'SELECT nonsense;' > /docker-entrypoint-initdb.d/1.sql"
    database = prepared(image, stage, script, PASSWORD)
    assert database.wait_for_end() != 0
    assert 'column "nonsense" does not exist' in database.logs()
    docker("start", database.name)
    assert database.wait_for_end() != 0  # and not a database that lacks what the script should have made


def test_data_survives_restart_and_recreation(image: Build, stage: Stage) -> None:
    volume = f"{stage.volume()}:/var/lib/postgresql/data"
    first = ready(stage.start(image("postgres"), env=PASSWORD, volume=volume))
    ask(first, "CREATE TABLE kept AS SELECT 42 AS n")
    first.stop()
    docker("start", first.name)
    assert ask(ready(first), "SELECT n FROM kept") == "42"
    docker("kill", first.name)
    second = ready(stage.start(image("postgres"), volume=volume))  # the password was for the first start only
    assert ask(second, "SELECT n FROM kept") == "42"


def test_killed_while_it_made_the_database(image: Build, stage: Stage) -> None:
    volume = f"{stage.volume()}:/var/lib/postgresql/data"
    for pause in (0.1, 0.3, 0.5):
        half = stage.start(image("postgres"), env=PASSWORD, volume=volume)
        time.sleep(pause)  # any moment will do: the point is that none may matter
        docker("kill", half.name, check=False)
    whole = ready(stage.start(image("postgres"), env=PASSWORD, volume=volume))
    assert ask(whole, "SELECT 1") == "1"


def test_pgdata_in_another_place(image: Build, stage: Stage) -> None:
    place = "/var/lib/postgresql/data/inner"
    database = ready(stage.start(image("postgres"), env={**PASSWORD, "PGDATA": place}))
    assert ask(database, "SHOW data_directory") == place
    assert "PG_VERSION" in database.execute("ls", place)


def test_runs_as_user_999(image: Build, stage: Stage) -> None:
    database = ready(stage.start(image("postgres"), env=PASSWORD))
    assert "Uid:\t999\t" in database.execute("cat", "/proc/1/status")
    assert database.execute("stat", "-c", "%u %a", "/var/lib/postgresql/data").split() == ["999", "700"]


def test_ends_soon_and_whole(image: Build, stage: Stage) -> None:
    database = ready(stage.start(image("postgres"), env=PASSWORD))
    assert database.inspect()["Config"]["StopSignal"] == "SIGINT"
    assert database.stop() < CONTRACT_STOP
    assert database.exit_code() == 0
    assert "database system is shut down" in database.logs()


def test_tools(image: Build, stage: Stage) -> None:
    ready(stage.start(image("postgres"), env=PASSWORD, alias="db"))
    options = ["--env", "PGPASSWORD=secret"]
    dump = until(
        "a dump", lambda: stage.once(image("postgres"), "pg_dump", "-h", "db", "-U", "postgres", options=options)
    )
    assert "PostgreSQL database dump" in dump
    assert "PostgreSQL) 17" in stage.once(image("postgres"), "postgres", "--version").stdout
    assert "1 packets received" in stage.once(image("postgres"), "ping", "-c", "1", "db").stdout
