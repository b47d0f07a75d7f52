"""What a user wrote into a service is not in the archive, wherever the engine or a log repeats it."""

from __future__ import annotations

import json
import string
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.export import Collector, Redactor, write_archive
from labctl.export.allowed import is_plain


def whole(file: Path) -> str:
    with tarfile.open(file) as archive:
        return "".join(archive.extractfile(entry).read().decode() for entry in archive)  # type: ignore[union-attr]


def service(secret: str, name: str = "MODE") -> dict[str, Any]:
    """A service with the secret wherever a user can write one."""
    container = {
        "Image": "redis:alpine",
        "Env": [f"{name}={secret}", "TZ=Europe/Berlin", "HTTP_PORT=8080"],
        "Command": ["redis-server", secret],
        "Args": [secret, "--requirepass", secret, f"--flag={secret}"],
        "Healthcheck": {"Test": ["CMD-SHELL", f"curl -u me:{secret} http://x"], "Interval": 10},
        "Labels": {"traefik.users": secret, "com.docker.stack.namespace": "web"},
        "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": f"password={secret}"}}}}],
        "SomethingNew": secret,
        "Hints": [secret],
    }
    spec = {
        "Name": "db",
        "Labels": {"mine": secret},
        "TaskTemplate": {"ContainerSpec": container, "LogDriver": {"Name": "gelf", "Options": {"address": secret}}},
    }
    return {"ID": "x1", "Spec": spec, "PreviousSpec": spec, "Endpoint": {"Ports": [{"PublishedPort": 8080}]}}


# Whatever a person may type, told from what the archive says anyway by a sign at each end.
SECRETS = st.text(st.sampled_from(string.printable + "üß\u2028"), min_size=2, max_size=30).map(lambda text: f"§{text}¤")
NAMES = st.sampled_from(
    ["MODE", "X", "PATH", "LANG", "TZ", "HOSTNAME", "HOME", "PORT", "MY_PORT", "NGINX_VERSION", "MESH"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(SECRETS, NAMES)
def test_whatever_is_planted_in_a_service_is_not_in_the_archive(tmp_path: Path, secret: str, name: str) -> None:
    raw = service(secret, name)
    looks = [
        Collector("swarm/services.json", lambda: [raw]),
        Collector("swarm/tasks.json", lambda: [{"ID": "t", "Spec": raw["Spec"]["TaskTemplate"]}]),
        Collector("nodes/w1/docker-ps.json", lambda: [{"Command": f"redis-server {secret}", "State": "running"}]),
    ]

    write_archive(tmp_path / "logs.tar.gz", looks, Redactor())

    found = whole(tmp_path / "logs.tar.gz")
    assert json.dumps(secret)[1:-1] not in found
    assert secret not in found


TOKENS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=40).filter(lambda text: not is_plain(text))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(TOKENS)
def test_a_password_of_a_service_is_in_no_log(tmp_path: Path, secret: str) -> None:
    looks = [
        Collector("a.log", lambda: f'msg="it runs with {secret}" url=redis://:{secret}@db {{"x":"{secret}"}}'),
        Collector("swarm/services.json", lambda: [service(secret)]),
    ]

    write_archive(tmp_path / "logs.tar.gz", looks, Redactor())

    assert secret not in whole(tmp_path / "logs.tar.gz")


def test_what_a_reader_needs_stays() -> None:
    hidden = Redactor().value([service("S3cr3t!x")])[0]
    container = hidden["Spec"]["TaskTemplate"]["ContainerSpec"]

    assert (hidden["Spec"]["Name"], container["Image"]) == ("db", "redis:alpine")
    assert container["Env"] == ["MODE=***", "TZ=Europe/Berlin", "HTTP_PORT=8080"]
    assert container["Command"] == ["redis-server", "***"]
    assert container["Healthcheck"] == {"Test": ["CMD-SHELL", "***"], "Interval": 10}
    assert container["Labels"] == {"traefik.users": "***", "com.docker.stack.namespace": "web"}
    assert hidden["Endpoint"]["Ports"] == [{"PublishedPort": 8080}]


def test_ordinary_words_and_addresses_of_a_service_stay_in_logs() -> None:
    redactor = Redactor()
    words = [
        "nginx:1.27",
        "10.0.0.5:2376",
        "/etc/nginx/nginx.conf",
        "web-frontend",
        "--interval=10s",
        "eth0",
        "worker1",
    ]
    redactor.value({"Env": [f"X={word}" for word in words]})

    assert redactor.text(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("redis://:pwPW12@cache:6379/0", "pwPW12"),
        ("MYSQL_PWD=pwPW12 mysql", "pwPW12"),
        ("dsn me:pwPW12@tcp(db:3306)/app", "pwPW12"),
        ("Server=db;Uid=me;Pwd=pwPW12;", "pwPW12"),
        ("connect me:pw-PW12@db.example.org", "pw-PW12"),
        ("redis-server --requirepass pwPW12", "pwPW12"),
        ("mysql -u root -ppwPW12 app", "pwPW12"),
        ("curl -u me:pwPW12 http://x", "pwPW12"),
        ("curl --user=me:pwPW12 http://x", "pwPW12"),
        ("wget --http-password=pwPW12", "pwPW12"),
        ('"auth": "bWU6cHdQVzEy"', "bWU6cHdQVzEy"),
        ('{"auths":{"x":{"auth":"bWU6cHdQVzEy"}}}', "bWU6cHdQVzEy"),
        ("the login was bWU6cHdQVzEy then", "bWU6cHdQVzEy"),
        ("X-Registry-Auth: eyJ1c2VybmFtZSI6Im1lIn0=", "eyJ1c2VybmFtZSI6Im1lIn0"),
        ("cookie eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_x", "eyJzdWIiOiIxIn0"),
        ("https://ghp_abcdefghijklmnopqrst@github.com/x", "ghp_abcdefghijklmnopqrst"),
        ("pushed with dckr_pat_abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
        ('level=debug msg="form data: {"Env":["X=pwPW12"]}"', "pwPW12"),
    ],
)
def test_a_secret_in_a_log_is_hidden(text: str, secret: str) -> None:
    assert secret not in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "nginx:latest@sha256:bb78f4d0f178",
        "labctl-vote:ab12cd-ef34@sha256:bb78f4d0f178",
        "iptables -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
        "docker run -p8080:80 web",
        "10.0.0.1:2377 failed",
        "peer 3fca739bb640 -> 172.30.2.12",
        "NoNewPrivs PWD=/root",
        "author: me",
        "q37mox5f64c0p860w0svgp2sz",
        "MBMxETAPBgNVBAMTCHN3YXJtLWNh",
        "sha256:b710e1b9e94a953d82ddea830f91d195afe6c3d8435fb052a20420eea07d90cb",
    ],
)
def test_what_looks_only_a_little_like_one_stays(text: str) -> None:
    assert Redactor().text(text) == text
