"""What a node is given: its keys, and what its users need to reach the other nodes and the registry."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from labctl.backend import NodePlan
from labctl.backend.daemon import engine_config
from labctl.backend.node_files import HOMES, HOST_CERTIFICATE, Authorities, NodeFiles, node_files
from labctl.pki import registry_secret, ssh_keys
from labctl.spec import NodeSpec


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of the test's own."""
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "state"))


def given(*, registry: bool = True, host_key: bytes = b"") -> NodeFiles:
    config = engine_config(mtu=1500, uplink_mtu=1500, registry=registry, options={}, node_options={})
    plan = NodePlan(NodeSpec(name="worker1", role="worker"), "10.0.0.12", config)
    return node_files(Authorities().of("demo"), "demo", plan, host_key)


def test_nodes_log_in_to_each_other_and_know_each_other_by_what_the_labs_ca_signed() -> None:
    keys = ssh_keys("demo")

    files = given(host_key=keys.host.certificate)

    allowed = files["etc/labctl/authorized_keys"][0]
    assert allowed == keys.client.certificate + keys.node.certificate
    assert files["etc/labctl/home/.ssh/id_ed25519"] == (keys.node.key, 0o600)
    assert files["etc/ssh/ssh_known_hosts"][0] == b"@cert-authority * " + keys.ca.certificate
    assert files[HOST_CERTIFICATE][0].startswith(b"ssh-ed25519-cert-v01@openssh.com ")


def test_the_users_own_key_and_the_cas_are_on_no_node() -> None:
    keys = ssh_keys("demo")
    content = b"".join(content for content, _ in given(host_key=keys.host.certificate).values())

    assert keys.client.key not in content
    assert keys.ca.key not in content


def test_a_machine_whose_key_is_not_known_yet_has_no_certificate() -> None:
    assert HOST_CERTIFICATE not in given()


def test_a_node_may_write_to_the_labs_registry_and_nobody_else_reads_how() -> None:
    content, mode = given()["etc/labctl/home/.docker/config.json"]

    login = base64.b64decode(json.loads(content)["auths"]["registry:5000"]["auth"]).decode()
    assert login == f"labctl:{registry_secret('demo')}"
    assert mode == 0o600


def test_a_lab_without_a_registry_has_no_login_there() -> None:
    assert not any("config.json" in path for path in given(registry=False))


def test_what_gives_the_homes_their_files_is_a_shell_script() -> None:
    content, mode = given()[HOMES.strip("/")]

    assert subprocess.run(["sh", "-n"], input=content, check=False).returncode == 0
    assert mode == 0o755
