"""What a service's tasks have said: two streams of the manager's docker as one log again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.errors import CommandFailed, NotFoundError
from labctl.lab.saying import service_logs
from labctl.transport import Result

from ..nodes import fake_node, raw_service

COMMAND = "docker service logs --timestamps app_web"
SAID = Result(COMMAND, 0, "2026-01-01T00:00:01.5Z web.1@w1 | one\n2026-01-01T00:00:03.5Z web.1@w1 | three\n", "", 0.1)


def lab(answer: Result, tail: str = "") -> Any:
    api: Any = {"GET /services/app_web": raw_service("app_web"), "GET /services": [raw_service("app_web")]}
    manager = fake_node(api=api | {"GET /services/app_wbe": None})
    manager.shell.answers[f"docker service logs --timestamps {tail}app_web"] = answer
    return SimpleNamespace(manager=lambda: manager)


def test_stdout_and_stderr_are_told_in_the_order_of_time_and_what_docker_says_itself_comes_last() -> None:
    stderr = "error from daemon in stream\n2026-01-01T00:00:02.5Z web.2@w2 | two\n"

    said = service_logs(lab(replace(SAID, stderr=stderr)), "app_web", None, 5)

    assert [line.rpartition("| ")[2] for line in said.splitlines()] == [
        "one",
        "two",
        "three",
        "error from daemon in stream",
    ]


def test_the_last_lines_only_and_what_was_too_much() -> None:
    said = service_logs(lab(replace(SAID, dropped=3 << 20), "--tail 2 "), "app_web", 2, 5)

    assert said.startswith("[3 MiB before this were left out]\n2026")


def test_a_service_that_is_not_there_and_a_docker_that_fails() -> None:
    with pytest.raises(NotFoundError, match="did you mean app_web"):
        service_logs(lab(SAID), "app_wbe", None, 5)
    with pytest.raises(CommandFailed, match="no such luck"):
        service_logs(lab(Result(COMMAND, 1, "", "no such luck", 0.1)), "app_web", None, 5)
