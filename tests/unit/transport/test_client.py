"""What OpenSSH's and Docker's own clients are told, where the terminal is theirs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from labctl.engine import Endpoint
from labctl.errors import HostError
from labctl.transport.client import docker_words, hand_over, is_clients, ssh_words
from labctl.transport.ssh_connection import Login


def login(folder: Path, alias: str = "") -> Login:
    return Login("w1", "192.0.2.7", 2222, "vagrant", folder / "key", folder / "known_hosts", alias)


def test_the_terminal_is_ours_unless_the_system_or_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_TERMINAL", raising=False)
    assert not is_clients()
    monkeypatch.setenv("LABCTL_TERMINAL", "client")
    assert is_clients()


def test_openssh_takes_the_labs_key_and_believes_the_labs_file_alone() -> None:
    words = ssh_words(login(Path("/state/my labs/100%")), "exec bash -l")

    assert words[:4] == ["ssh", "-F", "none", "-t"]
    assert 'UserKnownHostsFile="/state/my labs/100%%/known_hosts"' in words
    assert {"StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "GlobalKnownHostsFile=none"} <= set(words)
    assert "IdentityAgent=none" in words, "one that hangs is asked even for a key that is not its own"
    assert words[-6:] == ["-i", "/state/my labs/100%%/key", "-p", "2222", "vagrant@192.0.2.7", "exec bash -l"]
    assert not any("HostKeyAlias" in word for word in words)
    assert "HostKeyAlias=labctl-x" in ssh_words(login(Path("/state"), "labctl-x"), "true")


def test_docker_goes_to_the_engine_that_the_lab_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.setenv("TERM", "vt100")

    words, environment = docker_words(
        Endpoint("tcp://127.0.0.1:2376", Path("/tls")), "demo-w1", ["bash", "-l"], user="docker"
    )

    assert words[:3] == ["docker", "exec", "-it"]
    as_docker = ["-u", "docker", "-e", "TERM=vt100", "-e", "USER=docker", "-e", "LOGNAME=docker"]
    assert words[-11:] == [*as_docker, "demo-w1", "bash", "-l"]
    assert {key: value for key, value in environment.items() if key.startswith("DOCKER_")} == {
        "DOCKER_HOST": "tcp://127.0.0.1:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/tls",
    }
    _, plain = docker_words(Endpoint("unix:///var/run/docker.sock"), "demo-w1", ["true"], user="root")
    assert "DOCKER_TLS_VERIFY" not in plain


def test_a_clients_exit_code_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ssh"
    program.write_text('#!/bin/sh\n[ "$1" = "a b" ] && exit 7\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert hand_over(["ssh", "a b"]) == 7


@pytest.mark.parametrize("program", ["ssh", "docker"])
def test_a_client_that_is_not_there_is_told_with_where_to_get_it(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(HostError, match=f"needs the program {program}") as told:
        hand_over([program])
    assert told.value.hint
