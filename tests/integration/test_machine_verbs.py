"""docker-machine's verbs on real nodes: its words, its columns, its ways of failing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from labctl.concurrent import each
from labctl.errors import LabctlError
from labctl.lab import Context, Lab, UpOptions, find_lab
from labctl.node import Node
from labctl.state import drop_lab_dir
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING
from tests.integration.verbs import LABCTL, labctl, terminal

pytestmark = pytest.mark.lab

NOT_VERIFIED = UpOptions(verify=False)
docker_cli = pytest.mark.skipif(shutil.which("docker") is None, reason="no Docker CLI here")


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and two workers, which a test may stop as long as it starts them again."""
    return make_lab(workers=2, registry=False, options=NOT_VERIFIED)


@pytest.fixture
def no_lab(lab_name: str, context: Context) -> Iterator[str]:
    """A name for a lab that a test makes by itself; it is removed."""
    yield lab_name
    try:
        find_lab(context, lab_name).down()
    except LabctlError:
        drop_lab_dir(lab_name)


# -- list and look


def test_ls_has_docker_machines_columns(lab: Lab) -> None:
    lines = labctl("ls", lab=lab.name).out.splitlines()

    assert re.fullmatch(r"NAME {7}ACTIVE {3}DRIVER {3}STATE {5}URL +SWARM +DOCKER +ERRORS", lines[0])
    row = rf"manager1 {{3}}- {{8}}dind {{5}}Running {{3}}tcp://127\.0\.0\.1:\d+ +{lab.name} \(manager\) +v\d+\.\S+ +"
    assert re.fullmatch(row, lines[1])
    assert [line.split()[0] for line in lines[1:]] == ["manager1", "worker1", "worker2"]
    starts = [re.search(r"tcp", line) for line in lines[1:]]
    assert {found.start() for found in starts if found} == {lines[0].index("URL")}


def test_ls_filters_and_formats(lab: Lab) -> None:
    assert labctl("ls", "-q", lab=lab.name).out == "manager1\nworker1\nworker2\n"
    assert labctl("ls", "-q", "--filter", "name=^w", "--filter", "state=Running", lab=lab.name).out.split() == [
        "worker1",
        "worker2",
    ]
    assert labctl("ls", "--filter", "driver=virtualbox", "-q", lab=lab.name).out == ""
    said = labctl("ls", "--format", "{{.Name}}={{.State}}", lab=lab.name)
    assert said.out.splitlines()[0] == "manager1=Running"


def test_the_machine_that_the_shell_talks_to_is_active(lab: Lab) -> None:
    env = {"DOCKER_HOST": lab.node("w1").endpoint.url, "DOCKER_CERT_PATH": str(lab.node("w1").endpoint.tls)}

    rows = labctl("ls", lab=lab.name, env=env).out.splitlines()
    assert [line.split()[1] for line in rows[1:]] == ["-", "*", "-"]
    assert labctl("active", lab=lab.name, env=env).out == "worker1\n"


def test_an_engine_that_hangs_is_a_timeout_and_holds_up_no_other(lab: Lab) -> None:
    node = lab.node("w2")
    node.expect("pkill -STOP -x dockerd")
    try:
        rows = json.loads(labctl("ls", "-t", "2", "-o", "json", lab=lab.name, limit=30).out)
    finally:
        node.expect("pkill -CONT -x dockerd")

    assert [row["State"] for row in rows] == ["Running", "Running", "Timeout"]
    assert "does not answer" in rows[2]["Error"]
    assert all(float(row["ResponseTime"].removesuffix("s")) < 2 for row in rows[:2])


def test_what_is_known_of_a_node(lab: Lab) -> None:
    node = lab.node("w1")

    assert labctl("ip", "w1", "w2", lab=lab.name).out.split() == [node.address, lab.node("w2").address]
    assert labctl("ip", lab=lab.name).out.strip() == lab.node("m1").address
    assert labctl("url", "w1", lab=lab.name).out.strip() == node.endpoint.url
    assert json.loads(labctl("inspect", "w1", lab=lab.name).out)["Driver"]["IPAddress"] == node.address
    assert labctl("inspect", "-f", "{{.Driver.IPAddress}}", "w1", lab=lab.name).out.strip() == node.address
    assert labctl("version", "w1", lab=lab.name).out.strip() == node.engine.version()["Version"]
    assert labctl("status", "w1", lab=lab.name).out == "Running\n"


@docker_cli
def test_config_is_what_the_docker_cli_takes(lab: Lab) -> None:
    flags = labctl("config", "w1", lab=lab.name).out.split()

    assert [flag.partition("=")[0] for flag in flags] == ["--tlsverify", "--tlscacert", "--tlscert", "--tlskey", "-H"]
    said = subprocess.run(
        ["docker", *flags, "info", "--format", "{{.Name}}"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "worker1\n"


@docker_cli
def test_the_docker_cli_is_led_to_the_lab(lab: Lab) -> None:
    assert labctl("docker", "--", "node", "ls", "--format", "{{.Hostname}}", lab=lab.name).out.split() == [
        "manager1",
        "worker1",
        "worker2",
    ]
    assert labctl("docker", "--node", "w2", "info", "--format", "{{.Name}}", lab=lab.name).out == "worker2\n"
    assert labctl("docker", "--", "nonsense", lab=lab.name).code != 0
    context = ["docker", "--context", f"labctl-{lab.name}", "node", "ls", "-q"]
    assert len(subprocess.run(context, capture_output=True, text=True, check=True).stdout.split()) == 3


def test_without_a_docker_cli_it_is_said(lab: Lab) -> None:
    said = labctl("docker", "--", "ps", lab=lab.name, env={"PATH": "/nowhere"})

    assert said.code == 3
    assert "no docker command" in said.err


def test_logs_are_those_of_the_machine(lab: Lab) -> None:
    assert len(labctl("logs", "w1", "--tail", "2", lab=lab.name).out.splitlines()) == 2
    assert "level=" in labctl("logs", lab=lab.name).out


def test_the_map_shows_what_waits_until_ctrl_c(lab: Lab) -> None:
    manager = lab.manager()
    manager.expect("docker service create -d --name stuck --constraint node.labels.no==one nowhere/image:1")
    try:
        with terminal([*LABCTL, "map", "--watch", "-l", lab.name], lines=30, columns=80) as seat:
            seat.wait_for(r"manager1.*★.*worker1.*worker2")
            seat.wait_for(r"stuck\.1.*pending.*no suitable node")
            manager.expect("docker service scale -d stuck=2")
            seat.wait_for(r"stuck\.2")
            seat.type("\x03")
            assert seat.wait() == 130
        found = json.loads(labctl("map", "-o", "json", lab=lab.name).out)
    finally:
        manager.expect("docker service rm stuck")

    assert [(node["name"], node["role"], node["state"]) for node in found["nodes"]] == [
        ("manager1", "manager", "ready"),
        ("worker1", "worker", "ready"),
        ("worker2", "worker", "ready"),
    ]
    assert [(task["name"], task["state"]) for task in found["waiting"]] == [
        ("stuck.1", "pending"),
        ("stuck.2", "pending"),
    ]
    assert "stuck.1" not in labctl("map", lab=lab.name).out


# -- stop and start


def test_nodes_stop_and_start_by_name(lab: Lab) -> None:
    assert labctl("stop", "w1", "w2", lab=lab.name).code == 0
    assert labctl("status", "w1", lab=lab.name).out == "Stopped\n"
    row = labctl("ls", "--filter", "name=worker1", lab=lab.name).out.splitlines()[1]
    assert row.split() == ["worker1", "-", "dind", "Stopped", "Unknown"]
    assert labctl("ip", "w1", lab=lab.name).out.strip() == lab.node("w1").address
    for verb in (["env", "w1"], ["config", "w1"], ["url", "w1"], ["ssh", "w1"], ["ssh", "w1", "ls"], ["version", "w1"]):
        said = labctl(*verb, lab=lab.name)
        # What a shell is given to run, or docker as arguments, fails there too.
        printed = {"env": "false\n", "config": "--labctl-config-failed\n"}.get(verb[0], "")
        assert (said.code, said.out) == (3, printed)
        assert "node worker1 is exited" in said.err and "labctl start worker1" in said.err

    assert labctl("start", "@worker", lab=lab.name).code == 0
    assert labctl("status", "w1", lab=lab.name).out == "Running\n"
    assert labctl("exec", "@worker", "--", "docker", "info", lab=lab.name).code == 0


def test_kill_and_restart(lab: Lab) -> None:
    began = lab.node("w1").run("stat -c %Z /proc/1").stdout

    assert labctl("kill", "w1", lab=lab.name).code == 0
    assert labctl("status", "w1", lab=lab.name).out == "Stopped\n"
    assert labctl("start", "w1", lab=lab.name).code == 0
    assert labctl("restart", "w1", lab=lab.name).code == 0
    assert lab.refresh().node("w1").run("stat -c %Z /proc/1").stdout != began
    _wait_all_ready(lab)


def test_engines_that_started_before_their_manager_know_each_other_again(lab: Lab) -> None:
    assert labctl("kill", "@all", lab=lab.name).code == 0
    each(lab.select("@worker"), lambda node: lab.backend.start(node))
    for node in lab.refresh().select("@worker"):
        # They have knocked at the manager in vain by then, and would do so again in a minute.
        wait_until("the engine", partial(_answers, node), limit=HANGING)

    assert labctl("start", lab=lab.name).code == 0

    nodes = lab.refresh().nodes
    known = [node.expect("curl -s http://127.0.0.1:61999/clusterpeers").stdout for node in nodes]
    assert [text.count("->") for text in known] == [len(nodes)] * len(nodes)


def _answers(node: Node) -> None:
    if not node.engine.answers():
        raise Pending("no answer")


def test_all_unknown_names_are_told_and_nothing_is_changed(lab: Lab) -> None:
    for verb in ("stop", "start", "restart", "kill", "rm"):
        said = labctl(verb, *(["-y"] if verb == "rm" else []), "worker1", "wroker2", "boss", lab=lab.name)
        assert said.code == 2
        assert "'wroker2': did you mean worker2" in said.err
        assert "'boss'" in said.err
    assert [node.state for node in lab.refresh().nodes] == ["running"] * 3


def test_rm_asks_and_changes_nothing_without_an_answer(lab: Lab) -> None:
    said = labctl("rm", "w1", lab=lab.name)

    assert said.code == 2
    assert "--yes" in said.err
    with terminal([*LABCTL, "rm", "-l", lab.name, "w1"]) as seat:
        seat.wait_for(r"Remove worker1 with its disk\?")
        seat.type("n\n")
        seat.wait_for("nothing was changed")
        assert seat.wait() == 1
    assert len(lab.refresh().nodes) == 3


# -- more and fewer


def test_a_node_comes_and_goes_in_order(lab: Lab) -> None:
    assert labctl("node", "add", "--label", "zone=b", "--no-verify", lab=lab.name).code == 0

    listed = json.loads(labctl("node", "ls", "-o", "json", lab=lab.name).out)
    assert [(row["name"], row["swarm"]) for row in listed][-1] == ("worker3", "ready")
    member = next(member for member in lab.refresh().swarm().nodes() if member.hostname == "worker3")
    assert member.labels == {"zone": "b"}

    assert labctl("node", "rm", "-y", "w3", lab=lab.name).code == 0
    assert [member.hostname for member in lab.refresh().swarm().nodes()] == ["manager1", "worker1", "worker2"]
    assert [node.name for node in lab.refresh().nodes] == ["manager1", "worker1", "worker2"]


def test_managers_come_and_go_without_a_wait(lab: Lab) -> None:
    assert labctl("node", "add", "--role", "manager", "--count", "2", "--no-verify", lab=lab.name).code == 0

    # The swarm goes on changing a member that is demoted: what comes next must not trip over that.
    assert labctl("node", "rm", "-y", "manager2", "manager3", lab=lab.name, limit=60).code == 0

    assert [member.hostname for member in lab.refresh().swarm().nodes()] == ["manager1", "worker1", "worker2"]


def test_the_only_manager_stays(lab: Lab) -> None:
    said = labctl("node", "rm", "-y", "manager1", lab=lab.name)

    assert said.code == 2
    assert "only manager" in said.err and "promote" in said.err
    assert lab.refresh().node("m1").is_running


def test_a_bare_engine_in_a_lab_with_a_swarm(lab: Lab) -> None:
    assert labctl("create", "--memory", "512m", "extra", lab=lab.name).code == 0
    try:
        found = lab.refresh()
        assert found.node("extra").engine.info()["Swarm"]["LocalNodeState"] == "inactive"
        status = labctl("status", lab=lab.name)
        assert status.code == 0, status.out
        assert "no swarm" in status.out
        assert labctl("up", "-l", lab.name, "--no-verify").code == 0, "and up leaves it bare"
        assert lab.refresh().node("extra").engine.info()["Swarm"]["LocalNodeState"] == "inactive"
    finally:
        assert labctl("rm", "-y", "extra", lab=lab.name).code == 0
    assert [node.name for node in lab.refresh().nodes] == ["manager1", "worker1", "worker2"]


def test_two_machines_made_at_once_both_come_to_be(no_lab: str, context: Context) -> None:
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda name: labctl("create", "-l", no_lab, name, limit=300), ("one", "two")))

    assert [one.code for one in said] == [0, 0], said
    found = find_lab(context, no_lab)
    assert sorted(node.name for node in found.nodes) == ["one", "two"]
    assert sorted(node.name for node in found.spec.all_nodes()) == ["one", "two"]


# -- the tutorial


def test_the_tutorial_of_two_machines(no_lab: str, tmp_path: Path, context: Context) -> None:
    """Docker's "Get Started, part 4: Swarms", with labctl in docker-machine's place."""

    def machine(*words: str) -> str:
        said = labctl(*words, lab=no_lab, cwd=tmp_path, limit=300)
        assert said.code == 0, said.err
        return said.out

    (tmp_path / "docker-compose.yml").write_text(
        "version: '3'\nservices:\n  web:\n    image: nginx:latest\n    deploy: {replicas: 2}\n    ports: ['80:80']\n"
    )
    machine("create", "--driver", "dind", "myvm1")
    machine("create", "myvm2")
    assert [line.split()[0] for line in machine("ls").splitlines()[1:]] == ["myvm1", "myvm2"]
    address = machine("ip", "myvm1").strip()
    said = machine("ssh", "myvm1", f"docker swarm init --advertise-addr {address}")
    join = next(line.strip() for line in said.splitlines() if line.strip().startswith("docker swarm join --token"))
    assert machine("ssh", "myvm2", join) == "This node joined a swarm as a worker.\n"
    assert machine("ssh", "myvm1", "docker node ls --format '{{.Hostname}}'").split() == ["myvm1", "myvm2"]

    machine("scp", "docker-compose.yml", "myvm1:~")
    machine("ssh", "myvm1", "docker stack deploy -c docker-compose.yml getstartedlab")
    node = find_lab(context, no_lab).node("myvm2")

    def answered() -> None:
        result = node.run(f"curl -fsS -m 2 http://{node.address}/")
        if not result.ok:
            raise Pending(result.stderr)

    wait_until("the app's answer on the other machine", answered, limit=HANGING, pause=0.5)

    # Part 5: a folder at home, and a service that keeps its data there.
    machine("ssh", "myvm1", "mkdir ./data")
    (tmp_path / "docker-compose.yml").write_text(
        "version: '3'\nservices:\n  redis:\n    image: redis\n    command: redis-server --appendonly yes\n"
        "    volumes: ['/home/docker/data:/data']\n"
        "    deploy: {placement: {constraints: [node.role == manager]}}\n"
    )
    machine("scp", "docker-compose.yml", "myvm1:~")
    assert machine("ssh", "docker@myvm1", "ls").split() == ["data", "docker-compose.yml"]
    machine("ssh", "myvm1", "docker stack deploy -c docker-compose.yml getstartedlab")

    def kept() -> None:
        if "appendonlydir" not in machine("ssh", "myvm1", "sudo ls data"):
            raise Pending("nothing is kept yet")

    wait_until("what the service keeps in the folder", kept, limit=60, pause=0.5)

    machine("ssh", "myvm1", "docker stack rm getstartedlab")
    machine("ssh", "myvm2", "docker swarm leave")
    machine("ssh", "myvm1", "docker swarm leave --force")
    machine("stop", *machine("ls", "-q").split())
    assert {line.split()[3] for line in machine("ls").splitlines()[1:]} == {"Stopped"}
    machine("rm", "-y", *machine("ls", "-q").split())
    assert labctl("ls", lab=no_lab).code == 2, "with its last machine the lab is gone"


def _wait_all_ready(lab: Lab) -> None:
    def look() -> None:
        states = [member.state for member in lab.refresh().swarm().nodes()]
        if states != ["ready"] * 3:
            raise Pending(", ".join(states))

    wait_until("all nodes being ready", look, limit=HANGING)
