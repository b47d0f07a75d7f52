"""What a node's container may, and what it may not; and the tools that lessons count on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.errors import NodeDown
from labctl.lab import Context, Lab, status_of
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
        assert host["PidMode"] == ""
        if one["Labels"][labels.KIND] == "edge":  # it opens ports of this host's 127.0.0.1, and may do nothing else
            assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_BIND_SERVICE"])
            assert host["ReadonlyRootfs"]
        else:
            assert host["NetworkMode"] != "host"


@pytest.fixture
def disk_of_the_host(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The numbers of a block device of this host, which its root can read."""
    if shutil.which("losetup") is None:
        pytest.skip("this host has no losetup")
    file = tmp_path / "disk"
    file.write_bytes(b"of-the-host".ljust(1 << 20, b"\0"))
    made = subprocess.run(["losetup", "-f", "--show", str(file)], capture_output=True, text=True, timeout=30)
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    loop = Path(made.stdout.strip())
    try:
        with loop.open("rb") as opened:
            assert opened.read(11) == b"of-the-host"
        number = loop.stat().st_rdev
        yield number >> 8 & 0xFFF, number & 0xFF
    finally:
        subprocess.run(["losetup", "-d", str(loop)], check=True, timeout=30)


def test_a_node_cannot_read_a_disk_of_the_host(shared_lab: Lab, disk_of_the_host: tuple[int, int]) -> None:
    major, minor = disk_of_the_host
    worker = shared_lab.node("w1")
    try:
        worker.expect(f"mknod /tmp/disk b {major} {minor}")
        read = worker.run("dd if=/tmp/disk bs=11 count=1")
        written = worker.run("echo of-the-node > /tmp/disk")
    finally:
        worker.run("rm -f /tmp/disk")

    for tried in (read, written):
        assert not tried.ok
        assert "Operation not permitted" in tried.stderr
    assert "of-the-host" not in read.stdout


def test_a_lab_may_ask_for_privileged_tasks_and_others_are_told_the_key(
    shared_lab: Lab, own_lab: object, context: Context, disk_of_the_host: tuple[int, int]
) -> None:
    assert callable(own_lab)
    major, minor = disk_of_the_host
    script = f"mknod /disk b {major} {minor} && head -c 11 /disk"
    run = ["docker", "run", "--rm", "--privileged", "labctl/probe:1", "sh", "-c", script]
    refused = shared_lab.node("w1").run(run)
    assert "of-the-host" not in refused.stdout

    opened = own_lab(workers=0, privileged_tasks=True)

    assert opened.nodes[0].expect(run).stdout == "of-the-host"
    assert status_of(context, opened.record).privileged_tasks


SETTING = "/proc/sys/kernel/core_pattern"


def test_a_node_writes_no_setting_of_the_hosts_kernel(shared_lab: Lab) -> None:
    before = Path(SETTING).read_bytes()
    worker = shared_lab.node("w1")

    # What it had is written again, so that nothing is lost where this fails.
    assert not worker.run(f"cat {SETTING} > /tmp/was && cat /tmp/was > {SETTING}").ok

    assert Path(SETTING).read_bytes() == before
    assert worker.run("sysctl -q -w net.ipv4.conf.all.log_martians=0").ok, "the settings of its own network are its own"


@pytest.mark.parametrize("path", ["/proc/sys", "/proc/irq", "/sys"])
def test_what_the_hosts_engine_makes_read_only_stays_so(shared_lab: Lab, path: str) -> None:
    options = shared_lab.node("w1").expect(f"findmnt -n -o OPTIONS {path}").stdout.split(",")
    assert "ro" in [option.strip() for option in options]


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"])
def test_what_the_hosts_engine_hides_stays_hidden(shared_lab: Lab, path: str) -> None:
    tried = shared_lab.node("w1").run(f"[ -e {path} ] || exit 0; [ -d {path} ] && ls -A {path} || head -c 1 {path}")
    assert tried.stdout == ""


def test_where_a_runtime_may_mount_no_proc_the_hidden_parts_are_opened(shared_lab: Lab) -> None:
    """The kernel refuses that in a user namespace; no engine of such a host is here, so the refusal is played."""
    worker = shared_lab.node("w1")
    script = (
        "source <(sed -n '/^say()/p; /^writable()/p; /^open_paths()/,/^}/p' /usr/lib/labctl/node); "
        "unshare() { return 1; }; open_paths && cat /proc/self/mounts"
    )

    said = worker.expect(["unshare", "--mount", "bash", "-c", script]).stdout

    assert "the hidden parts of /proc are opened" in said
    places = {line.split()[1] for line in said.splitlines() if line.count(" ") == 5}
    assert {place for place in places if place.startswith("/proc/")} == {"/proc/sys/net"}
    assert "ro" in worker.expect("findmnt -n -o OPTIONS /proc/sys").stdout, "the node itself stays as it was"


MANY = """
import subprocess
begun, refused = [], ""
try:
    for _ in range(80):
        begun.append(subprocess.Popen(["sleep", "60"]))
except OSError as problem:
    refused = problem.strerror
for each in begun:
    each.kill()
    each.wait()
print(len(begun), refused)
"""


def test_the_processes_of_a_node_have_a_limit_that_holds(context: Context, own_lab: object) -> None:
    assert callable(own_lab)
    node = own_lab(nodes=[{"name": "manager", "role": "manager"}], swarm="empty", registry=False).nodes[0]
    found = context.engine.container(node.machine)
    assert found is not None
    usual = found["HostConfig"]["PidsLimit"]
    folder = node.expect(
        "dirname $(ls /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null)"
    ).stdout.strip()
    assert int(node.expect(f"cat {folder}/pids.max").stdout) == usual

    there = int(node.expect(f"cat {folder}/pids.current").stdout)
    node.expect(f"echo {there + 20} > {folder}/pids.max")
    begun, refused = node.expect(["python3", "-c", MANY]).stdout.strip().split(" ", 1)

    assert int(begun) < 40
    assert refused == "Resource temporarily unavailable"


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
        for name in (*addresses, "manager", "m1", "w1", "w2", "registry"):
            assert node.run(["getent", "hosts", name]).ok, f"{node.name} does not know {name}"
    said = shared_lab.node("w1").expect("getent hosts manager").stdout
    assert addresses["manager1"] in said


@pytest.mark.parametrize("user", ["root", "docker"])
def test_nodes_let_each_other_in_without_a_question(shared_lab: Lab, user: str) -> None:
    for node in shared_lab.nodes:
        for other in shared_lab.nodes:
            for name in (other.name, other.name[0] + other.name[-1], other.address):
                said = node.expect(["runuser", "-u", user, "--", "ssh", name, "hostname; id -un"]).stdout
                assert said == f"{other.name}\n{user}\n", f"{node.name} to {name}"
    node.expect("runuser -u docker -- scp -q /etc/hostname manager:/tmp/by-scp")
    assert shared_lab.node("m1").expect("cat /tmp/by-scp").stdout == f"{node.name}\n"


def test_a_host_that_the_labs_ca_did_not_sign_is_still_a_question(shared_lab: Lab) -> None:
    node = shared_lab.node("w1")
    other = shared_lab.node("w2")
    node.expect("ssh w2 true")
    other.expect("mv /etc/ssh/ssh_host_ed25519_key-cert.pub /root/cert && pkill -HUP -o -x sshd")
    try:
        said = node.run("sleep 0.5; ssh -o BatchMode=yes w2 true")
        assert not said.ok and "Host key verification failed" in said.stderr
    finally:
        other.expect("mv /root/cert /etc/ssh/ssh_host_ed25519_key-cert.pub && pkill -HUP -o -x sshd")


def test_a_key_that_somebody_made_in_a_home_stays(own_lab: Callable[..., Lab]) -> None:
    lab = own_lab(workers=0, swarm="empty", registry=False)
    lab.node("m1").expect("echo mine > /home/docker/.ssh/id_ed25519")
    lab.backend.stop(lab.node("m1"))
    lab.backend.start(lab.node("m1"))
    assert lab.refresh().node("m1").expect("cat /home/docker/.ssh/id_ed25519").stdout == "mine\n"


def test_compose_is_there(shared_lab: Lab) -> None:
    assert shared_lab.node("w1").expect("docker compose version --short").stdout.startswith("2.")


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


@pytest.mark.parametrize("command", ["sudo reboot", "sudo shutdown -r now"])
def test_a_reboot_ends_all_that_runs_and_begins_again(shared_lab: Lab, command: str) -> None:
    worker = shared_lab.node("w2")
    worker.expect("nohup sleep 1000 > /dev/null 2>&1 &")
    before, mounts = worker.expect("pgrep -x dockerd").stdout, worker.expect("wc -l < /proc/self/mountinfo").stdout

    worker.run(command, limit=10)

    def is_back() -> None:
        if not worker.run("docker version", limit=5).ok or worker.run("pgrep -x dockerd").stdout == before:
            raise Pending("its engine is not back")

    wait_until("the node coming back", is_back, limit=HANGING, pause=0.5)
    assert not worker.run("pgrep -fx 'sleep 1000'").ok
    assert int(worker.expect("wc -l < /proc/self/mountinfo").stdout) < int(mounts) + 10, "they would double each time"
    shared_lab.start([worker])
    assert shared_lab.refresh().node("w2").expect("docker info -f '{{.Swarm.LocalNodeState}}'").stdout == "active\n"


def test_an_engine_that_is_killed_comes_back(shared_lab: Lab) -> None:
    worker = shared_lab.node("w1")
    before = worker.expect("pgrep -x dockerd").stdout
    worker.run("pkill -KILL -x dockerd")

    def is_back() -> None:
        asked = worker.run("docker version --format '{{.Server.Version}}'", limit=5)
        if not asked.ok or worker.run("pgrep -x dockerd").stdout == before:
            raise Pending(asked.stderr.strip())

    wait_until("the engine coming back", is_back, limit=HANGING, pause=0.5)
    shared_lab.start([worker])
    assert shared_lab.status().problems == ()


def test_a_ssh_server_that_is_killed_comes_back(shared_lab: Lab) -> None:
    worker = shared_lab.node("w1")
    before = worker.expect("pgrep -o -x sshd").stdout
    worker.run("pkill -KILL -x sshd")

    def is_back() -> None:
        there = worker.run("pgrep -o -x sshd").stdout
        if there in ("", before) or not worker.run("ssh-keyscan -T 2 127.0.0.1").stdout:
            raise Pending("no sshd")

    wait_until("sshd coming back", is_back, limit=HANGING, pause=0.2)


def test_limits_of_memory_and_cpu_reach_the_container(context: Context, own_lab: object) -> None:
    assert callable(own_lab)
    nodes = [{"name": "manager", "role": "manager", "memory": "700m", "cpus": 0.5}]
    lab = own_lab(nodes=nodes, swarm="empty", registry=False)

    inspected = context.engine.container(lab.nodes[0].machine)

    assert inspected is not None
    assert inspected["HostConfig"]["Memory"] == 700 * 2**20
    assert inspected["HostConfig"]["NanoCpus"] == 500_000_000
