"""No secret leaves in a bug report, and what is no secret stays readable."""

from __future__ import annotations

import json

import pytest

from labctl.export.redaction import HIDDEN, Redactor
from tests.guard import no_hang

TOKEN = "SWMTKN-1-3lue3i0qt1l9kd7mru4ds7fm0pyez4sz44j9yzcpnd9x4dxc53-b6paom6z0wt9bv6hf5nrr8rs0"
BODY = "b3BlbnNzaC1rZXktdjEAAAAA\nAAAAtzc2gtZWQyNTUxOQ=="
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"docker swarm join --token {TOKEN} 10.0.0.1:2377", TOKEN),
        (
            "unlock with SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8",
            "7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8",
        ),
        (f"before\n{KEY}\nafter", "b3BlbnNzaC1rZXktdjEAAAAA"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA cut off", "MHcCAQEEIA"),
        ("proxy http://me:hunter22@proxy:3128/", "hunter22"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "eyJhbGciOiJIUzI1NiJ9.e30.abc"),
        ("POSTGRES_PASSWORD=s3cr3tpw!", "s3cr3tpw!"),
        ('level=info msg="env" DB_PASSWORD="two words"', "two words"),
        ("password: hunter22", "hunter22"),
        ('{\\"registryToken\\":\\"abcDEF123\\"}', "abcDEF123"),
    ],
)
def test_a_secret_in_a_text_is_hidden(text: str, secret: str) -> None:
    hidden = Redactor().text(text)

    assert secret not in hidden
    assert HIDDEN in hidden


def test_what_stands_around_a_secret_stays() -> None:
    assert Redactor().text(f"before\n{KEY}\nafter").startswith("before\n[***")
    assert Redactor().text(f"before\n{KEY}\nafter").endswith("\nafter")
    assert Redactor().text("http://me:pw@proxy:3128/x") == "http://***@proxy:3128/x"


@pytest.mark.parametrize(
    "text",
    [
        "tcp://172.30.0.11:2376",
        'level=info msg="Loading containers: done."',
        "chain DOCKER-INGRESS { tcp dport 8080 dnat to 172.18.0.2:8080 }",
        "the key of the matter",
        "10.0.0.5/24 brd 10.0.0.255 scope global eth0",
        "sha256:bb78f4d0f178",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text
    assert Redactor().value(text) == text


def test_variables_of_a_container_are_hidden_by_their_names() -> None:
    env = ["PATH=/bin", "MY_PASSWORD=a b c", "API_KEY=x", "TOKEN=t=1", "KEYCLOAK=u", "SECRET_NUMBER=42", "DB_PASS=q"]

    hidden = Redactor().value({"Env": env})["Env"]

    assert hidden[0] == "PATH=/bin"
    assert all(one.endswith("=***") for one in hidden[1:])


def test_members_and_flags_that_bear_such_a_name_are_hidden() -> None:
    given = {
        "JoinTokens": {"Worker": TOKEN},
        "identitytoken": "abc",
        "Args": ["--user", "me", "--password", "hunter22", "--api-key=zzz"],
        "words": ["--user", "me", "--password", "hunter22", "--api-key=zzz"],
        "Secrets": [{"SecretID": "x9", "SecretName": "db_password"}],
        "Labels": {"my.secret": "v", "zone": "a"},
    }

    hidden = Redactor().value(given)

    assert hidden["JoinTokens"] == {"Worker": "SWMTKN-***"}
    assert hidden["identitytoken"] == HIDDEN
    assert hidden["Args"] == ["***"] * 5, "what a command is given may be anything"
    assert hidden["words"] == ["--user", "***", "--password", "***", "--api-key=***"]
    assert hidden["Secrets"] == [{"SecretID": "x9", "SecretName": "db_password"}]
    assert hidden["Labels"] == {"my.secret": "***", "zone": "a"}


def test_a_secret_that_was_met_once_is_hidden_everywhere() -> None:
    redactor = Redactor()
    redactor.value({"Env": ["DB_PASSWORD=Tr0ub4dor"]})

    assert redactor.text("psql postgresql://u@db Tr0ub4dor") == "psql postgresql://u@db ***"
    assert redactor.value(["Tr0ub4dor"]) == ["***"]


def test_a_secret_that_is_an_ordinary_word_is_only_hidden_where_it_stands() -> None:
    redactor = Redactor()

    assert redactor.value(["POSTGRES_PASSWORD=postgres"]) == ["POSTGRES_PASSWORD=***"]
    assert redactor.text("image postgres:9.4") == "image postgres:9.4"


def test_each_line_of_a_known_key_is_hidden() -> None:
    assert "AAAAtzc2gtZWQyNTUxOQ" not in Redactor([KEY]).text("found AAAAtzc2gtZWQyNTUxOQ== in a file")


def test_what_was_json_is_json_after() -> None:
    value = {"Env": ['A_TOKEN="quoted"'], "text": 'password="x\\"y"', "n": 1, "none": None, "list": (1, 2)}

    assert json.loads(json.dumps(Redactor().value(value)))["n"] == 1


def test_a_very_long_word_costs_no_more_than_a_short_one() -> None:
    with no_hang():  # with a cost that grows as the square of the length it takes hours
        Redactor().text("a" * 300_000)
        Redactor().text("token" * 50_000)
