"""What a real swarm accepts and cannot keep: labctl keeps its nodes, and says what will not work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Lab
from labctl.lab.verify import PROBE_IMAGE
from labctl.swarm.caveats import lacks_esp

pytestmark = pytest.mark.lab

STACK = f"""
services:
  web:
    image: {PROBE_IMAGE}
    ports: ["2376:8080", "2377:8080", "7946:8080/udp"]
    networks: [secret]
networks:
  secret: {{driver_opts: {{encrypted: ""}}}}
"""
Labctl = Callable[..., tuple[int, str]]


@pytest.fixture
def labctl(shared_lab: Lab, capsys: pytest.CaptureFixture[str]) -> Labctl:
    """Run a command on the lab; returns its exit code and what it said."""

    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run([*words, "-l", shared_lab.name])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def test_a_stack_takes_no_port_of_the_nodes_and_an_encrypted_network_is_tried(
    shared_lab: Lab, labctl: Labctl, tmp_path: Path
) -> None:
    (tmp_path / "stack.yml").write_text(STACK)
    try:
        code, said = labctl("stack", "deploy", str(tmp_path / "stack.yml"), "own")
        assert code == 0
        assert "service own_web publishes 2376/tcp, the nodes' own port (the engine's API)" in said

        assert all(node.engine.answers() for node in shared_lab.refresh().nodes)
        code, said = labctl("status")
        assert code == 3
        assert "service own_web publishes 2377/tcp, the nodes' own port (the swarm's managers)" in said

        helpless = all(lacks_esp(node) for node in shared_lab.nodes)
        assert ("network own_secret is encrypted" in said) == helpless
        code, said = labctl("verify")
        assert code == (3 if helpless else 0)
        assert ("the encrypted network own_secret does not work" in said) == helpless
    finally:
        labctl("stack", "rm", "own")
    assert labctl("verify")[0] == 0
