"""The door for programs: what is shown there stays, and costs nothing before it is used."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import labctl
from labctl import errors, events
from labctl.lab.wanted import SpecKeys
from labctl.spec import LabSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
# A name is taken away or changed with a new major version only.
SHOWN = {
    "Lab", "LabSpec", "NodeSpec", "PortSpec", "Node", "Result", "SwarmView", "LabStatus", "NodeStatus", "Deployment",
    "Terminal", "LabEvents", "LabEvent", "NodeEvent", "ServiceEvent", "NetworkEvent", "ContainerEvent", "LinkEvent",
    "Snapshot", "__version__", "ForwardedPort", "PublishedPort", "StoredImage", "RegistryInfo", "NodeResult",
    "SwarmMap", "MapNode", "MapTask", "StackService", "StackTask", "Fault", "Plan", "Recap", "Host", "Report", "Row",
    "OwnImage", "ImageName", "Pruned", "Bundle",
}  # fmt: skip
VERBS = {
    "add_nodes", "add_ports", "all", "build_image", "copy", "deploy", "docker_env", "down", "events",
    "export_logs", "fault", "faults", "find", "forwarded_ports", "heal_faults", "inject_fault", "inventory",
    "kill", "load", "map", "name", "node", "node_logs", "nodes", "plan", "ports", "provision", "pull", "push",
    "refresh", "registry", "remove_nodes", "remove_ports", "remove_snapshot", "remove_stack", "restart",
    "restore_snapshot", "resume", "run", "save_snapshot", "select", "service_logs", "snapshots", "spec",
    "ssh_config", "stack_config", "stack_services", "stack_tasks", "stacks", "start", "status", "stop",
    "stored_images", "suspend", "swarm", "targets", "up", "url", "urls", "verify",
}  # fmt: skip
HOST_VERBS = {"build_box", "build_images", "check", "fix", "hub", "images", "load_bundle", "prune", "save_bundle"}
# What the rest of labctl asks of a lab; no promise to others.
OWN = {"as_now", "gone", "heard_by", "held", "made_here", "manager", "registry_port", "scene"}
# What is raised, but for what only a command meets: its own output that takes no more.
ERRORS = set(errors.__all__) - {"OutputFailed", "raise_all"}
PROGRESS = set(events.__all__) - {"Emit", "Steps", "quiet", "to_dict"}


def test_the_names_are_those_that_were_promised() -> None:
    assert set(labctl.__all__) == SHOWN | ERRORS | PROGRESS
    assert len(labctl.__all__) == len(set(labctl.__all__))


def test_each_name_is_there_and_another_is_not() -> None:
    assert [name for name in labctl.__all__ if getattr(labctl, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'Labb'"):
        _ = labctl.Labb


def test_the_verbs_of_a_lab_are_those_that_were_promised() -> None:
    found = {name for name in dir(labctl.Lab) if not name.startswith("_")}

    assert found == VERBS | OWN


def test_the_verbs_of_the_host_are_those_that_were_promised() -> None:
    assert {name for name in dir(labctl.Host) if not name.startswith("_")} == HOST_VERBS


def test_there_is_one_class_of_that_name() -> None:
    from labctl.lab import Lab

    assert labctl.Lab is Lab


def test_up_takes_every_key_of_lab_yaml() -> None:
    counted = {"name", "nodes", "managers", "workers"}

    assert set(get_type_hints(SpecKeys)) == {one.name for one in fields(LabSpec)} - counted
    assert counted <= set(inspect.signature(labctl.Lab.up).parameters)


def test_the_page_tells_of_every_name_and_every_verb() -> None:
    page = PAGE.read_text()
    told = {"CheckFinished", "SwarmView", "PortSpec"}  # an exercise's; typed views; what ports= says too

    assert [name for name in labctl.__all__ if name not in page and name not in told | {"__version__"}] == []
    assert [verb for verb in VERBS | HOST_VERBS if not re.search(rf"\b{verb}\b", page)] == []


def test_the_page_has_the_signatures_as_they_are() -> None:
    page = re.sub(r"\s+", " ", PAGE.read_text())
    hidden = {"self", "on_event", "cls"}
    verbs = [getattr(labctl.Lab, name) for name in VERBS - {"name", "nodes", "spec", "node", "select", "refresh"}]
    for method in [*verbs, *(getattr(labctl.Host, name) for name in HOST_VERBS)]:
        verb, parameters = method.__name__, inspect.signature(method).parameters
        for name in parameters.keys() - hidden:
            assert re.search(rf"\b{verb}\([^`]*\b{name}\b", page), f"{verb}({name})"


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_every_block_of_the_page_is_python_and_asks_for_what_is_there(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module not in sys.stdlib_module_names:
            assert {alias.name for alias in node.names} <= set(labctl.__all__)


@pytest.mark.parametrize(
    ("said", "absent"),
    [
        ("import labctl", "docker pydantic requests yaml click labctl.lab labctl.engine"),
        ("from labctl import Lab, Node, LabctlError, Warned", "docker pydantic requests fabric invoke paramiko click"),
    ],
)
def test_what_is_not_used_is_not_read(said: str, absent: str) -> None:
    code = f"{said}; import sys; print(*[name for name in {absent.split()!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
