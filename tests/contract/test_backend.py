"""One suite for all backends: what a lab may count on, whatever its nodes are made of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from labctl import host
from labctl.backend import Backend, FakeBackend, NodePlan
from labctl.backend.daemon import engine_config
from labctl.concurrent import each
from labctl.events import Emit, Event, NodeStarted, quiet
from labctl.lab import Context
from labctl.lab.machines import claimed
from labctl.node import Node
from labctl.spec import LabSpec
from labctl.spec.addresses import free_addresses

MACHINES = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"
)
BACKENDS = [
    "fake",
    pytest.param("dind", marks=pytest.mark.lab),
    pytest.param("vagrant", marks=[pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(1200), MACHINES]),
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, lab_name: str) -> Iterator[Backend]:
    """Each backend in turn; whatever a test leaves is removed."""
    found: Backend
    if request.param == "fake":
        found = FakeBackend()
    else:
        context: Context = request.getfixturevalue("context")
        found = context.maker(LabSpec(name=lab_name, backend=request.param))
    yield found
    found.destroy(lab_name, ())


@pytest.fixture
def subnet(request: pytest.FixtureRequest, backend: Backend) -> str:
    """A subnet that is free where the backend's nodes will be."""
    if isinstance(backend, FakeBackend):
        return "172.30.9.0/24"
    engine = request.getfixturevalue("context").engine
    return host.free_subnet(engine, taken=[*claimed(), *backend.reserved], prefix=24)


def wanted(backend: Backend, lab: str, *, workers: int) -> LabSpec:
    """One manager and so many workers of the backend's own kind."""
    if backend.name == "vagrant":
        return LabSpec(name=lab, backend="vagrant", provider="libvirt", workers=workers)
    return LabSpec(name=lab, workers=workers)


def plans(spec: LabSpec, subnet: str) -> list[NodePlan]:
    """What the nodes of the spec shall be."""
    config = engine_config(mtu=1500, uplink_mtu=1500, registry=False, options={}, node_options={})
    addresses = free_addresses(subnet, (), len(spec.all_nodes()))
    return [NodePlan(node, address, config) for node, address in zip(spec.all_nodes(), addresses, strict=True)]


def made(backend: Backend, spec: LabSpec, subnet: str, emit: Emit = quiet) -> list[Node]:
    """Make the nodes as a lab does: all are expected, made at once, and waited for."""
    planned = plans(spec, subnet)
    backend.expect(spec, planned)
    nodes = each(planned, lambda plan: backend.create_node(spec, plan, emit))
    backend.settle(failed=False)
    return nodes


def test_a_lab_that_was_never_made_is_not_found(backend: Backend, lab_name: str) -> None:
    assert backend.find(lab_name) is None
    assert lab_name not in backend.labs()
    assert backend.destroy(lab_name, ()) == []


def test_a_lab_is_found_again_as_it_was_made(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=1)
    heard: list[Event] = []
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    made(backend, spec, subnet, heard.append)

    record = backend.find(lab_name)

    assert record is not None
    assert record.spec == spec
    assert record.subnet == subnet
    assert [(node.name, node.role) for node in record.nodes] == [("manager1", "manager"), ("worker1", "worker")]
    assert all(node.is_running for node in record.nodes)
    assert [node.address for node in record.nodes] == free_addresses(subnet, (), 2)
    assert sorted(event.node for event in heard if isinstance(event, NodeStarted)) == ["manager1", "worker1"]
    assert lab_name in backend.labs()


def test_the_base_may_be_made_twice_and_the_spec_changed(backend: Backend, lab_name: str, subnet: str) -> None:
    backend.create_base(wanted(backend, lab_name, workers=1), subnet)
    backend.create_base(wanted(backend, lab_name, workers=2), subnet)

    record = backend.find(lab_name)

    assert record is not None and record.spec is not None
    assert record.spec.workers == 2


def test_stop_kill_and_start(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    (node,) = made(backend, spec, subnet)

    first = backend.look(node)
    backend.stop(node)
    assert backend.look(node).run_id == first.run_id
    stopped = backend.find(lab_name)
    assert stopped is not None and not stopped.nodes[0].is_running
    backend.stop(node)  # twice is fine

    again = backend.start(node)
    assert again.is_running
    assert again.address == node.address
    assert again.endpoint == node.endpoint
    if backend.name != "vagrant":  # which knows the machine, and no more of its starts
        assert backend.look(again).run_id != first.run_id

    backend.kill(again)
    killed = backend.find(lab_name)
    assert killed is not None and not killed.nodes[0].is_running
    backend.kill(again)  # twice is fine


def test_suspend_and_resume(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    (node,) = made(backend, spec, subnet)

    backend.suspend(node)
    assert state(backend, lab_name) == "paused"
    backend.suspend(node)  # twice is fine

    again = backend.resume(node)
    assert again.is_running
    assert (again.address, again.endpoint) == (node.address, node.endpoint)
    assert backend.resume(again).is_running  # twice is fine
    assert state(backend, lab_name) == "running"


@pytest.mark.parametrize("end", ["start", "stop", "kill", "remove_node"])
def test_a_node_that_is_suspended_is_started_stopped_killed_and_removed(
    backend: Backend, lab_name: str, subnet: str, end: str
) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    (node,) = made(backend, spec, subnet)
    backend.suspend(node)

    getattr(backend, end)(backend.look(node))

    assert state(backend, lab_name) == {"start": "running", "remove_node": "gone"}.get(end, "exited")


def test_one_that_is_down_is_not_suspended(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    (node,) = made(backend, spec, subnet)
    backend.kill(node)

    backend.suspend(node)

    assert state(backend, lab_name) == "exited"
    assert not backend.resume(node).is_running, "what is down has nothing to go on with"


def test_a_snapshot_is_of_the_whole_lab_and_brings_all_of_it_back(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    (node,) = made(backend, spec, subnet)
    backend.prepare_save(lab_name, "fresh")
    backend.suspend(node)
    backend.save_snapshot(lab_name, "fresh", silent)
    backend.kill(node)

    backend.prepare_restore(lab_name, "fresh", silent)
    backend.restore_snapshot(lab_name, "fresh")

    assert state(backend, lab_name) == ("paused" if backend.keeps_memory else "running")
    record = backend.find(lab_name)
    assert record is not None and record.restoring == ""
    (again,) = record.nodes
    assert (again.name, again.address, again.endpoint) == (node.name, node.address, node.endpoint)
    assert [(known.name, known.nodes) for known in backend.snapshots(lab_name)] == [("fresh", ("manager1",))]
    backend.delete_snapshot(lab_name, "fresh")
    backend.delete_snapshot(lab_name, "fresh")  # twice is fine
    assert backend.snapshots(lab_name) == []


def silent(_text: str) -> None:
    """Nobody reads what is told of a snapshot meanwhile."""


def state(backend: Backend, lab: str) -> str:
    """The state of the lab's only node."""
    record = backend.find(lab)
    return record.nodes[0].state if record and record.nodes else "gone"


def test_a_removed_node_is_gone_and_the_others_stay(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=1)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    first, second = made(backend, spec, subnet)

    backend.remove_node(second)
    backend.remove_node(second)  # twice is fine

    record = backend.find(lab_name)
    assert record is not None
    assert [node.name for node in record.nodes] == [first.name]


def test_destroy_leaves_nothing_and_may_be_called_twice(backend: Backend, lab_name: str, subnet: str) -> None:
    spec = wanted(backend, lab_name, workers=0)
    backend.prepare_keys(lab_name)
    backend.create_base(spec, subnet)
    made(backend, spec, subnet)

    removed = backend.destroy(lab_name, ())

    assert any("manager1" in name for name in removed)
    assert backend.find(lab_name) is None
    assert backend.destroy(lab_name, ()) == []
