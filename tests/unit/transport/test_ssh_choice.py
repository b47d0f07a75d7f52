"""Which way commands go to nodes that are containers: as the flag says, or the environment, or by exec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from labctl.backend import DindBackend
from labctl.cli.common import App, lab_command
from labctl.engine.fake import FakeEngine
from labctl.errors import UsageError
from labctl.lab import open_context
from labctl.pki import ssh_keys
from labctl.spec import labels
from labctl.transport import DockerExec, Transport
from labctl.transport.known_hosts import HostKey, KnownHosts
from labctl.transport.ssh import Ssh

CONTAINER = {
    "Names": ["/demo-w1"],
    "State": "running",
    "Labels": {
        labels.LAB: "demo",
        labels.KIND: "node",
        labels.NODE: "w1",
        labels.ADDRESS: "172.30.0.11",
        labels.PORT: "40001",
    },
}


def transport_of_a_node(**how: Any) -> Transport:
    answers: Any = {"GET /containers/json": [CONTAINER], "GET /networks": [], "GET /volumes": {"Volumes": []}}
    record = DindBackend(FakeEngine(answers), **how).find("demo")
    assert record is not None
    return record.nodes[0].transport


def test_exec_is_the_way_where_nothing_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_TRANSPORT", raising=False)

    assert open_context().transport == "exec"
    assert isinstance(transport_of_a_node(), DockerExec)


def test_the_environment_chooses_and_the_flag_wins(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TRANSPORT", "ssh")

    assert open_context().transport == "ssh"
    assert open_context(transport="exec").transport == "exec"


def test_a_way_that_there_is_not_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TRANSPORT", "telnet")

    with pytest.raises(UsageError, match="LABCTL_TRANSPORT: there is no transport 'telnet'; there is exec and ssh"):
        open_context()


def test_every_command_on_a_lab_takes_the_flag(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_TRANSPORT", "exec")
    seen: list[str] = []

    import click

    @click.command()
    @lab_command
    def look(app: App) -> None:
        seen.extend((app.context.transport, os.environ["LABCTL_TRANSPORT"]))

    assert CliRunner().invoke(look, ["--transport", "ssh"], catch_exceptions=False).exit_code == 0
    assert seen == ["ssh", "ssh"], "what is started from here goes the same way"
    assert CliRunner().invoke(look, ["--transport", "telnet"]).exit_code == 2


def test_the_host_key_of_a_labs_containers_is_known_before_they_boot(state: Path) -> None:
    keys = ssh_keys("demo")

    assert isinstance(transport_of_a_node(transport="ssh"), Ssh)

    known = KnownHosts(state / "labs" / "demo" / "known_hosts")
    assert known.keys("labctl-demo") == [HostKey.parse(keys.host.certificate.decode())]


def test_to_look_at_a_lab_whose_keys_are_elsewhere_leaves_nothing_behind(state: Path) -> None:
    assert isinstance(transport_of_a_node(transport="ssh"), Ssh)

    assert not (state / "labs" / "demo").exists()
