"""What makes a container a node: not privileged, nothing of the host in it, its engine on loopback only."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.backend import NodePlan
from labctl.backend.dind.config import container_name, network_name, node_container
from labctl.owner import own_mark
from labctl.spec import LabSpec, NodeSpec, labels

CONFINEMENT = {"SecurityOpt": ["seccomp=unconfined"]}


def container(spec: LabSpec | None = None, **node: Any) -> dict[str, Any]:
    plan = NodePlan(
        NodeSpec(**{"name": "worker1", "role": "worker"} | node),
        "10.0.0.12",
        {},
        aliases=("web",),
        environment={"MESH": "on"},
    )
    spec = spec or LabSpec(name="demo")
    return node_container(spec, plan, image="node:1", capabilities=["NET_ADMIN"], confinement=CONFINEMENT, port=34567)


def test_a_host_that_confines_containers_is_told_not_to() -> None:
    assert container()["HostConfig"]["SecurityOpt"] == ["seccomp=unconfined"]


def test_a_node_is_never_privileged() -> None:
    host = container()["HostConfig"]

    assert not host.get("Privileged")
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_ADMIN"])


def test_a_node_uses_no_device_of_the_host() -> None:
    rules = container()["HostConfig"]["DeviceCgroupRules"]

    assert [rule for rule in rules if rule.startswith(("a", "b"))] == ["b *:* m"]  # made, never read or written
    assert not any("*" in rule.split()[1].partition(":")[0] for rule in rules if not rule.endswith(" m"))


def test_every_device_is_open_where_privileged_tasks_are_asked_for() -> None:
    spec = LabSpec(name="demo", privileged_tasks=True)

    assert container(spec)["HostConfig"]["DeviceCgroupRules"] == ["a *:* rwm"]


def test_what_the_hosts_engine_hides_of_proc_and_sys_stays_hidden() -> None:
    assert not {"MaskedPaths", "ReadonlyPaths"} & set(container()["HostConfig"])


def test_a_node_cannot_take_every_process_number_of_the_host() -> None:
    assert 4096 <= container()["HostConfig"]["PidsLimit"] < 32768


def test_nothing_of_the_host_is_mounted() -> None:
    host = container()["HostConfig"]

    assert "Binds" not in host
    assert [mount["Type"] for mount in host["Mounts"]] == ["volume"]


def test_no_namespace_of_the_host_is_shared() -> None:
    host = container()["HostConfig"]

    assert not {"PidMode", "IpcMode", "UTSMode", "UsernsMode"} & set(host)
    assert host["NetworkMode"] == "labctl-demo"
    assert host["CgroupnsMode"] == "private"


def test_the_engine_is_published_on_loopback_only() -> None:
    assert container()["HostConfig"]["PortBindings"] == {"2376/tcp": [{"HostIp": "127.0.0.1", "HostPort": "34567"}]}


def test_everything_that_a_node_is_found_by_is_on_its_labels() -> None:
    assert container()["Labels"] == {
        labels.LAB: "demo",
        labels.OWNER: own_mark(),
        labels.KIND: "node",
        labels.NODE: "worker1",
        labels.ROLE: "worker",
        labels.ADDRESS: "10.0.0.12",
        labels.PORT: "34567",
    }


def test_a_nodes_disk_goes_with_its_lab() -> None:
    (disk,) = container()["HostConfig"]["Mounts"]

    assert disk["Target"] == "/var/lib/docker"
    assert disk["VolumeOptions"]["Labels"][labels.LAB] == "demo"
    assert "Source" not in disk  # an anonymous volume is removed with its container


def test_a_node_has_its_name_its_address_and_its_aliases_in_the_labs_network() -> None:
    made = container()
    attached = made["NetworkingConfig"]["EndpointsConfig"]["labctl-demo"]

    assert made["Hostname"] == "worker1"
    assert attached["IPAMConfig"] == {"IPv4Address": "10.0.0.12"}
    assert attached["Aliases"] == ["worker1", "web"]


def test_a_node_that_was_shut_down_stays_down() -> None:
    assert container()["HostConfig"]["RestartPolicy"] == {"Name": "no"}


def test_the_environment_is_passed_on() -> None:
    assert container()["Env"] == ["MESH=on"]


def test_a_node_without_a_size_has_no_limits() -> None:
    assert not {"Memory", "NanoCpus"} & set(container()["HostConfig"])


def test_a_nodes_size_is_its_limit() -> None:
    host = container(memory="512m", cpus=1.5)["HostConfig"]

    assert (host["Memory"], host["NanoCpus"]) == (512 << 20, 1_500_000_000)


@pytest.mark.parametrize(("bare", "name"), [(False, "demo-worker1"), (True, "worker1")])
def test_a_container_bears_its_labs_name_unless_bare_names_are_asked_for(bare: bool, name: str) -> None:
    assert container_name(LabSpec(name="demo", bare_names=bare), "worker1") == name


def test_a_labs_network_bears_its_name() -> None:
    assert network_name("demo") == "labctl-demo"
