"""The stand-in for redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Container, Stage

pytestmark = pytest.mark.lab

Build = Callable[..., str]


def ready(redis: Container, *options: str) -> Container:
    redis.wait_for("redis", "sh", "-c", f"redis-cli {' '.join(options)} ping | grep -q PONG")
    return redis


def test_answers_others_on_port_6379(image: Build, stage: Stage) -> None:
    ready(stage.start(image("redis"), alias="redis"))
    assert stage.once(image("redis"), "redis-cli", "-h", "redis", "set", "k", "v").stdout == "OK\n"
    assert stage.once(image("redis"), "redis-cli", "-h", "redis", "-p", "6379", "get", "k").stdout == "v\n"


def test_runs_as_redis_in_data(image: Build, stage: Stage) -> None:
    redis = ready(stage.start(image("redis")))
    assert "Uid:\t999\t" in redis.execute("cat", "/proc/1/status")
    assert redis.execute("pwd").strip() == "/data"
    assert redis.execute("stat", "-c", "%U %u", "/data").split() == ["redis", "999"]


def test_data_survives_a_restart_and_a_new_container(image: Build, stage: Stage) -> None:
    volume = f"{stage.volume()}:/data"
    first = ready(stage.start(image("redis"), volume=volume))
    first.execute("redis-cli", "set", "kept", "yes")
    first.stop()
    second = ready(stage.start(image("redis"), volume=volume))
    assert second.execute("redis-cli", "get", "kept") == "yes\n"


def test_volume_of_another_user_becomes_its_own(image: Build, stage: Stage) -> None:
    volume = f"{stage.volume()}:/data"
    stage.once(
        image("redis"), "-c", "touch /data/mine && chown -R 0:0 /data", options=["--entrypoint", "sh", "-v", volume]
    )
    redis = ready(stage.start(image("redis"), "--appendonly", "yes", volume=volume))
    assert redis.execute("stat", "-c", "%U", "/data/mine").strip() == "redis"


@pytest.mark.parametrize("command", [["--appendonly", "yes"], ["redis-server", "--appendonly", "yes"]])
def test_options_of_the_server(image: Build, stage: Stage, command: list[str]) -> None:
    redis = ready(stage.start(image("redis"), *command))
    assert redis.execute("redis-cli", "config", "get", "appendonly").split() == ["appendonly", "yes"]
    assert "appendonlydir" in redis.execute("ls", "/data")


def test_password(image: Build, stage: Stage) -> None:
    redis = ready(
        stage.start(image("redis"), "redis-server", "--requirepass", "secret"), "--no-auth-warning", "-a", "secret"
    )
    assert "NOAUTH" in redis.execute("redis-cli", "get", "k")


def test_configuration_file(image: Build, stage: Stage) -> None:
    start = "printf 'maxmemory 5mb\\n' > /tmp/my.conf; exec docker-entrypoint.sh /tmp/my.conf"
    redis = ready(stage.start(image("redis"), "-c", start, options=["--entrypoint", "sh"]))
    assert redis.execute("redis-cli", "config", "get", "maxmemory").split() == ["maxmemory", "5242880"]


def test_sentinel_watches_a_master(image: Build, stage: Stage) -> None:
    ready(stage.start(image("redis"), alias="master"))
    watch = "printf 'sentinel resolve-hostnames yes\\nsentinel monitor m master 6379 1\\n' > /data/s.conf"
    sentinel = stage.start(image("redis"), "sh", "-c", f"{watch}; exec redis-sentinel /data/s.conf")
    sentinel.wait_for("sentinel", "sh", "-c", "redis-cli -p 26379 sentinel master m | grep -q 6379")


def test_protected_mode_is_off_unless_asked_for(image: Build, stage: Stage) -> None:
    ask = ["redis-cli", "config", "get", "protected-mode"]
    assert ready(stage.start(image("redis"))).execute(*ask).split()[1] == "no"
    assert ready(stage.start(image("redis"), "--protected-mode", "yes")).execute(*ask).split()[1] == "yes"


def test_other_commands_just_run(image: Build, stage: Stage) -> None:
    assert stage.once(image("redis"), "redis-server", "--version").stdout.startswith("Redis server v=8.")
    assert stage.once(image("redis"), "echo", "hello").stdout == "hello\n"


def test_ends_soon_and_saves(image: Build, stage: Stage) -> None:
    redis = ready(stage.start(image("redis")))
    redis.execute("redis-cli", "set", "k", "v")
    assert redis.stop() < CONTRACT_STOP
    assert redis.exit_code() == 0
    assert "DB saved on disk" in redis.logs()
    assert redis.inspect()["Config"]["Labels"]["labctl.standin"] == "redis"


def test_tools(image: Build, stage: Stage) -> None:
    redis = ready(stage.start(image("redis"), alias="redis"))
    assert "1 packets received" in redis.execute("ping", "-c", "1", "redis")
    assert "Address" in redis.execute("nslookup", "redis")
    assert "redis-server" in redis.execute("ps")
