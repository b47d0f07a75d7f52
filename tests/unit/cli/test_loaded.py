"""What a command that only looks loads, and what not: a learner types forty of them in a lesson."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from labctl.spec import LabSpec, NodeSpec, labels, note_of

from ..tiny_engine import Reply, Server

LARGE = (
    "docker",
    "requests",
    "urllib3",
    "fabric",
    "invoke",
    "paramiko",
    "pydantic",
    "ruamel.yaml",
    "rich",
    "cryptography",
    "pytest",
    "psutil",
)
# What a command can do without that asks the host's engine alone, over its socket.
MORE = ("ssl", "email", "http.client", "logging", "concurrent.futures", "tarfile", "hashlib", "subprocess", "asyncio")
MOST = {"ssh": 75, "completion": 65, "ls": 85, "status": 105}  # modules of labctl's own
SCRIPT = """
import atexit, json, sys
atexit.register(lambda: print("LOADED " + json.dumps(sorted(sys.modules)), file=sys.stderr))
from labctl.cli.main import main
sys.argv[0] = "labctl"
main()
"""
SPEC = LabSpec(name="demo", nodes=(NodeSpec(name="manager1", role="manager"),))
LABEL = {labels.LAB: "demo"}
NODE = {
    **LABEL, labels.KIND: "node", labels.NODE: "manager1", labels.ROLE: "manager", labels.ADDRESS: "10.9.0.11",
    labels.PORT: "1",
}  # fmt: skip
CONTAINER = {"Id": "c1", "Names": ["/demo-manager1"], "Labels": NODE, "State": "running"}
NETWORK = {"Name": "labctl-demo", "Labels": LABEL, "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}}
VOLUME = {"Name": "s", "Labels": {**LABEL, labels.KIND: "spec", labels.SPEC: note_of(SPEC)}}
COMPLETING = {"_LABCTL_COMPLETE": "bash_complete", "COMP_WORDS": "labctl ssh -l demo m", "COMP_CWORD": "4"}


def sent(content: object) -> Reply:
    return lambda handler: handler.send(200, content)


@pytest.fixture
def loaded(tiny_engine: Callable[[Mapping[str, Reply]], Server], tmp_path: Path) -> Callable[..., set[str]]:
    """Run a command on a lab whose node's engine does not answer, and return the modules that it has loaded."""
    engine = tiny_engine(
        {
            "GET /containers/json": lambda handler: handler.send(
                200, [] if "registry" in handler.path else [CONTAINER]
            ),
            "GET /networks": sent([NETWORK]),
            "GET /volumes": sent({"Volumes": [VOLUME]}),
            "GET /images/json": sent([]),
            "GET /containers/demo-manager1/json": sent({"State": {"Status": "running"}}),
            "POST /containers/demo-manager1/exec": sent({"Id": "e1"}),
            "POST /exec/e1/start": lambda handler: handler.hijack(struct.pack(">BxxxL", 1, 3) + b"hi\n"),
            "GET /exec/e1/json": sent({"Running": False, "ExitCode": 0}),
        }
    )
    keys = tmp_path / "state" / "labs" / "demo"
    keys.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (keys / name).write_text("no key")

    def run(*words: str, says: str, **variables: str) -> set[str]:
        # Coverage would load modules of its own there.
        strange = ("DOCKER_", "LABCTL_", "COVERAGE_")
        around = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *words],
            env={**around, "DOCKER_HOST": engine.url, "LABCTL_STATE": str(tmp_path / "state"), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "bug in labctl" not in done.stderr
        assert says in done.stdout
        return set(json.loads(done.stderr.rpartition("LOADED ")[2]))

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("status -l demo", "manager1"),
        ("ls -l demo", "manager1"),
        ("labs", "demo"),
        ("ip -l demo manager1", "10.9.0.11"),
        ("ssh -l demo m1 echo hi", "hi"),
        ("exec -l demo m1 -- echo hi", "hi"),
        ("exercise list -l demo", "voting-app"),
        ("image ls -l demo", "nginx"),
        ("port ls -l demo", ""),
    ],
)
def test_who_only_looks_loads_nothing_large(loaded: Callable[..., set[str]], words: str, says: str) -> None:
    assert loaded(*words.split(), says=says) & set(LARGE) == set()


def test_completion_of_nodes_loads_little(loaded: Callable[..., set[str]]) -> None:
    modules = loaded(says="manager1", **COMPLETING)

    assert modules & {*LARGE, *MORE} == set()
    assert own(modules) <= MOST["completion"]


def test_a_command_on_a_node_loads_little(loaded: Callable[..., set[str]]) -> None:
    modules = loaded("ssh", "-l", "demo", "m1", "echo hi", says="hi")

    assert modules & {*LARGE, *MORE} == set()
    assert own(modules) <= MOST["ssh"]


@pytest.mark.parametrize("command", ["ls", "status"])
def test_who_asks_all_engines_loads_no_more_of_labctl_than_that_takes(
    loaded: Callable[..., set[str]], command: str
) -> None:
    assert own(loaded(command, "-l", "demo", says="manager1")) <= MOST[command]


def own(modules: set[str]) -> int:
    return sum(name.startswith("labctl") for name in modules)
