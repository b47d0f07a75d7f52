"""What a node's container may, and what it may not; and the tools that lessons count on."""

from __future__ import annotations

import pytest

from labctl.errors import NodeDown
from labctl.lab import Context, Lab
from labctl.spec import labels
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING

pytestmark = pytest.mark.lab

# Those that testinfra's modules run, and those that lessons type.
TOOLS = [
    "bash",
    "curl",
    "nc",
    "ip",
    "ss",
    "ps",
    "pgrep",
    "tcpdump",
    "nft",
    "iptables",
    "sudo",
    "ssh-keygen",
    "ping",
    "host",
    "jq",
    "vi",
    "less",
    "docker",
    "dockerd",
    "timeout",
    "conntrack",
    "getent",
    "stat",
    "sha256sum",
    "find",
    "useradd",
]


def test_no_container_of_a_lab_is_privileged_or_mounts_the_host(shared_lab: Lab, context: Context) -> None:
    found = context.engine.containers(labels.of_lab(shared_lab.name))
    assert len(found) >= 4  # three nodes and the registry
    for one in found:
        inspected = context.engine.container(one["Id"])
        assert inspected is not None
        host = inspected["HostConfig"]
        assert host["Privileged"] is False
        assert not host["Binds"]
        assert [mount["Type"] for mount in inspected["Mounts"] if mount["Type"] not in ("volume", "tmpfs")] == []
        assert host["PidMode"] == "" and host["NetworkMode"] != "host"


def test_everything_published_is_on_the_loopback_only(shared_lab: Lab, context: Context) -> None:
    for one in context.engine.containers(labels.of_lab(shared_lab.name)):
        inspected = context.engine.container(one["Id"])
        assert inspected is not None
        for bindings in (inspected["HostConfig"]["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_everything_of_a_lab_bears_its_label(shared_lab: Lab, context: Context) -> None:
    engine = context.engine
    by_name = [c for c in engine.containers([labels.LAB]) if c["Names"][0].startswith(f"/{shared_lab.name}-")]
    assert {c["Labels"][labels.LAB] for c in by_name} == {shared_lab.name}
    for container in by_name:
        for mount in container["Mounts"]:
            if mount["Type"] == "volume" and not mount["Name"].startswith("labctl-"):
                volume = engine.api.inspect_volume(mount["Name"])
                assert volume["Labels"][labels.LAB] == shared_lab.name


def test_an_engine_refuses_who_has_no_key_of_the_lab(shared_lab: Lab) -> None:
    import ssl
    import urllib.request

    url = shared_lab.nodes[0].endpoint.url.replace("tcp://", "https://") + "/version"
    loose = ssl.create_default_context()
    loose.check_hostname = False
    loose.verify_mode = ssl.CERT_NONE
    with pytest.raises(OSError, match=r"(?i)certificate required|alert|reset|closed"):
        urllib.request.urlopen(url, context=loose, timeout=5)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_node_has_the_tool(shared_lab: Lab, tool: str) -> None:
    assert shared_lab.nodes[0].run(f"command -v {tool}").ok


def test_nodes_know_each_other_and_the_registry_by_name(shared_lab: Lab) -> None:
    addresses = {node.name: node.address for node in shared_lab.nodes}
    for node in shared_lab.nodes:
        for name in (*addresses, "manager", "registry"):
            assert node.run(["getent", "hosts", name]).ok, f"{node.name} does not know {name}"
    said = shared_lab.node("w1").expect("getent hosts manager").stdout
    assert addresses["manager1"] in said


def test_sudo_needs_no_password(shared_lab: Lab) -> None:
    assert shared_lab.nodes[0].expect("su docker -c 'sudo -n id -u'").stdout.strip() == "0"


def test_shutdown_now_stops_a_node_until_it_is_started(shared_lab: Lab) -> None:
    worker = shared_lab.node("w2")
    worker.run("sudo shutdown now", limit=10)

    def is_down() -> Lab:
        lab = shared_lab.refresh()
        if lab.node("w2").is_running:
            raise Pending("it runs")
        return lab

    lab = wait_until("worker2 being down", is_down, limit=HANGING)
    with pytest.raises(NodeDown, match="worker2 is exited"):
        lab.node("w2").run("true")

    lab.start([lab.node("w2")])

    assert shared_lab.refresh().node("w2").run("true").ok


def test_an_engine_that_is_killed_comes_back(shared_lab: Lab) -> None:
    worker = shared_lab.node("w1")
    before = worker.expect("pgrep -x dockerd").stdout
    worker.run("pkill -KILL -x dockerd")

    def is_back() -> None:
        asked = worker.run("docker version --format '{{.Server.Version}}'", limit=5)
        if not asked.ok or worker.run("pgrep -x dockerd").stdout == before:
            raise Pending(asked.stderr.strip())

    wait_until("the engine coming back", is_back, limit=HANGING, pause=0.5)


def test_limits_of_memory_and_cpu_reach_the_container(context: Context, own_lab: object) -> None:
    assert callable(own_lab)
    nodes = [{"name": "manager", "role": "manager", "memory": "700m", "cpus": 0.5}]
    lab = own_lab(nodes=nodes, swarm="empty", registry=False)

    inspected = context.engine.container(lab.nodes[0].machine)

    assert inspected is not None
    assert inspected["HostConfig"]["Memory"] == 700 * 2**20
    assert inspected["HostConfig"]["NanoCpus"] == 500_000_000
