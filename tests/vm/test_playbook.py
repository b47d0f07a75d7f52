"""The playbook on a bare Debian, which a container suffices for: run twice, it changes nothing the second time."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from labctl.engine import Endpoint
from labctl.images import ensure_base
from labctl.images.recipes import BASE
from labctl.lab import open_context
from labctl.node import Node
from labctl.provision import provision_inside
from labctl.transport import DockerExec

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(1800)]
FILES = {
    "etc/docker/daemon.json": (b"{}\n", 0o644),
    "etc/labctl/tls/key.pem": (b"no key\n", 0o600),
    "etc/labctl/authorized_keys": (b"ssh-ed25519 AAAA nobody\n", 0o644),
}


@pytest.fixture(scope="module")
def bare() -> Iterator[Node]:
    """A container of a bare Debian, as a node that is to be provisioned."""
    engine = open_context().engine
    ensure_base(engine)
    name = f"labctl-test-{secrets.token_hex(4)}"
    engine.create(name, {"Image": BASE, "Cmd": ["sleep", "3600"], "HostConfig": {"NetworkMode": "host", "Init": True}})
    try:
        engine.start(name)
        transport = DockerExec(engine, name, "bare")
        yield Node("lab", "bare", "worker", "", "running", Endpoint("tcp://127.0.0.1:1"), transport, machine=name)
    finally:
        engine.remove(name)


def test_a_second_run_changes_nothing(bare: Node) -> None:
    told: list[str] = []
    first = provision_inside([bare], told.append, files={"bare": FILES}, digest="abc")["bare"]
    second = provision_inside([bare], files={"bare": FILES}, digest="abc")["bare"]

    assert first.changed > 0
    assert second.changed == 0
    assert second.ok >= 10
    assert told[0] == "Ansible"
    assert "Install the engine and its tools" in told


def test_a_node_has_its_own_files_as_they_were_given(bare: Node) -> None:
    assert bare.expect(["stat", "-c", "%a %U", "/etc/labctl/tls/key.pem"]).stdout == "600 root\n"
    assert bare.expect(["stat", "-c", "%a", "/", "/etc", "/etc/docker"]).stdout.split() == ["755"] * 3


def test_what_a_node_needs_is_there(bare: Node) -> None:
    bare.expect("command -v dockerd docker containerd sshd sudo jq >/dev/null && sudo -u vagrant sudo -n true")
    assert bare.expect("id -nG docker").stdout.split() == ["docker", "sudo"]
    assert '"digest": "abc"' in bare.expect("cat /etc/labctl/box.json").stdout
    assert bare.run("ls /var/lib/labctl/provision").code != 0
