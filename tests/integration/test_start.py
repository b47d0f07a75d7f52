"""Nodes that went down come back by `labctl start`, and what runs on the others never notices."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest

from labctl.backend.dind.renaming import tell_names
from labctl.lab import Lab
from labctl.owner import marks
from labctl.waiting import Pending, wait_until
from tests.integration.verbs import labctl

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(workers=2)


def containers(lab: Lab, *nodes: str) -> dict[str, list[str]]:
    """The ids of the service's containers on each of the nodes."""
    ask = "docker ps --no-trunc -q --filter label=com.docker.swarm.service.name=web"
    return {name: sorted(lab.node(name).expect(ask).stdout.split()) for name in nodes}


def let_run(lab: Lab) -> None:
    """Let the service run on every node, unless it does."""
    if not labctl("docker", "--", "service", "inspect", "web", lab=lab.name).out.startswith("[{"):
        lab.manager().run("docker network create -d overlay front")
        make = "docker service create --quiet --mode global --network front --name web labctl/probe:1"
        lab.manager().run(make, limit=180)


def all_run(lab: Lab, *nodes: str) -> dict[str, list[str]]:
    """Wait until each of the nodes has its container, and return the ids."""

    def look() -> dict[str, list[str]]:
        found = containers(lab, *nodes)
        if not all(found.values()):
            raise Pending(str(found))
        return found

    return wait_until("the service on the nodes", look, limit=60)


def shut_down(lab: Lab, node: str) -> None:
    """Shut a node down from within, and wait until it is."""
    assert labctl("ssh", node, "sudo shutdown now", lab=lab.name).code == 0

    def look() -> None:
        if lab.refresh().node(node).is_running:
            raise Pending("it runs")

    wait_until(f"{node} going down", look, limit=60)


@pytest.mark.parametrize("victim", ["worker1", "manager1"])
@pytest.mark.parametrize("verb", [("start",), ("up", "--name")])
def test_a_node_that_was_shut_down_is_started_and_the_others_keep_their_containers(
    lab: Lab, victim: str, verb: tuple[str, ...]
) -> None:
    others = [node.name for node in lab.refresh().nodes if node.name != victim]
    let_run(lab)
    before = all_run(lab, *others)
    shut_down(lab, victim)

    said = labctl(*verb, *([lab.name] if "--name" in verb else []), lab=lab.name, limit=400)

    assert said.code == 0, said.err
    assert "starts over" not in said.err
    assert containers(lab, *others) == before
    assert labctl("status", lab=lab.name).code == 0


def test_a_node_that_is_still_going_down_is_waited_for_and_started(lab: Lab) -> None:
    slow = (
        "docker service create --quiet --detach --mode global --name slow labctl/probe:1 sh -c 'trap : TERM; sleep 900'"
    )
    lab.manager().expect(slow)
    assert labctl("ssh", "worker1", "sudo shutdown now", lab=lab.name).code == 0

    said = labctl("start", "worker1", lab=lab.name, limit=400)

    assert said.code == 0, said.err
    assert "worker1: started." in said.err
    assert labctl("status", lab=lab.name).code == 0
    lab.manager().expect("docker service rm slow")


def key_of(lab: Lab) -> str:
    """Lock the lab's managers from their next start on, and return the key."""
    said = lab.manager().expect("docker swarm update --autolock=true").stdout
    return next(line.strip() for line in said.splitlines() if "SWMKEY" in line)


def test_a_locked_manager_is_told_at_once_and_unlocked_with_its_key(lab: Lab) -> None:
    key = key_of(lab.refresh())

    said = labctl("restart", "manager1", lab=lab.name)
    assert said.code == 3
    assert "manager1 is locked" in said.err and "ssh manager1 docker swarm unlock" in said.err
    assert "manager1 is locked" in labctl("status", lab=lab.name).out

    unlocked = labctl("-v", "start", "--unlock-key", "-", lab=lab.name, stdin=f"{key}\n".encode(), limit=400)
    assert unlocked.code == 0, unlocked.err
    assert "manager1: unlocked" in unlocked.err and key not in unlocked.err
    lab.refresh().manager().expect("docker swarm update --autolock=false")


def test_when_the_only_manager_has_left_up_makes_a_new_swarm_of_all_nodes(lab: Lab) -> None:
    lab.refresh().manager().expect("docker swarm leave --force")

    told = labctl("status", lab=lab.name).out
    assert "manager1 has left its swarm; the swarm of worker1, worker2 has no manager any more" in told
    assert labctl("start", lab=lab.name).code == 3

    said = labctl("up", "--name", lab.name, limit=400)

    assert said.code == 0, said.err
    assert "its services are lost" in said.err
    assert {node.state for node in lab.refresh().swarm().nodes()} == {"ready"}
    assert len(lab.swarm().nodes()) == 3


def test_the_cure_for_a_lost_majority_leads_to_a_lab_that_serves_and_keeps_its_services(
    make_lab: Callable[..., Lab],
) -> None:
    """As printed. A manager that makes a new swarm of what it has forgets to announce its part of the mesh."""
    lab = make_lab(managers=2, workers=0)
    let_run(lab)
    lab.context.engine.remove(f"{lab.name}-manager2")
    told = labctl("status", lab=lab.name).out
    (cure,) = re.findall(r"`labctl (?:-l \S+ )?(ssh manager1 docker swarm init --force-new-cluster [^`]+)`", told)
    assert labctl(*cure.split(), lab=lab.name).code == 0

    said = labctl("up", "--name", lab.name, lab=lab.name, limit=400)

    assert said.code == 0, said.err
    assert "the engine starts over" not in said.err
    assert all(all_run(lab, "manager1", "manager2").values())


def test_workers_that_were_promoted_are_counted_as_the_managers_that_they_are(make_lab: Callable[..., Lab]) -> None:
    """Only real engines tell of their swarm's managers when there is no leader."""
    lab = make_lab(workers=2)
    lab.manager().expect("docker node promote worker1 worker2")

    def promoted() -> None:
        said = [node.reachability for node in lab.swarm().nodes()]
        if said.count("reachable") < 3:
            raise Pending(str(said))

    wait_until("three managers", promoted, limit=60)
    lab.context.engine.remove(f"{lab.name}-manager1")

    said = labctl("up", "--name", lab.name, lab=lab.name, limit=400)
    assert said.code == 0, said.err
    assert {node.role for node in lab.refresh().swarm().nodes()} == {"manager"}

    for name in ("worker1", "worker2"):
        lab.context.engine.remove(f"{lab.name}-{name}")

    def look() -> str:
        told = labctl("status", lab=lab.name).out
        if "worker1, worker2 cannot come back into it" not in told:
            raise Pending(told)
        return told

    told = wait_until("the cure being named", look, limit=60, pause=2)
    assert "docker swarm init --force-new-cluster" in told


def test_a_node_that_was_given_another_address_comes_back_by_the_way_that_is_told(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(workers=1)
    network, machine = f"labctl-{lab.name}", f"{lab.name}-worker1"
    lab.context.engine.post(f"/networks/{network}/disconnect", {"Container": machine})
    other = lab.node("worker1").address.rpartition(".")[0] + ".77"
    given = {"Container": machine, "EndpointConfig": {"IPAMConfig": {"IPv4Address": other}}}
    lab.context.engine.post(f"/networks/{network}/connect", given)

    for verb in ("status", "verify"):
        said = labctl(verb, lab=lab.name)
        assert said.code == 3
        assert f"worker1 has the address {other} now" in said.out + said.err

    for command in re.findall(r"`docker ([^`]+)`", said.err):
        subprocess.run(["docker", *command.split()], check=True, capture_output=True)
    assert labctl("verify", lab=lab.name, limit=200).code == 0


def test_an_engine_takes_up_the_names_that_it_lost_when_it_left_a_swarm_and_no_container_notices(lab: Lab) -> None:
    """A node's engine is in the place of this host's, which is left alone."""
    node = lab.refresh().node("worker2")
    flags = " ".join(f"--label {key}={value}" for key, value in marks("inner", "node").items())
    node.expect("docker network create inner")
    for name in ("one", "two"):
        run = f"docker run -d --name {name} --network inner --network-alias called-{name} {flags}"
        node.expect(f"{run} labctl/probe:1 sleep 900", limit=120)
    ask = "docker exec two nslookup called-one 127.0.0.11 | tail -n +3 | grep Address"
    began = "docker inspect -f '{{.State.StartedAt}} {{.Name}}' one two"
    try:
        assert node.run(ask).ok
        before = node.expect(began).stdout
        node.expect("docker swarm leave --force")
        assert not node.run(ask).ok, "this engine loses no names: what restores them need not be"

        tell_names(node.engine, "inner")

        assert node.run(ask).ok
        assert node.expect(began).stdout == before
    finally:
        node.run("docker rm -f one two; docker network rm inner")
        assert labctl("up", "--name", lab.name, limit=400).code == 0


def test_a_node_that_finds_nothing_by_name_is_told_with_what_helps(lab: Lab) -> None:
    lab.refresh().node("worker1").expect("nft flush ruleset")

    for verb in ("status", "verify", "start"):
        said = labctl(verb, lab=lab.name, limit=400)
        assert said.code == 3
        assert "worker1 finds nothing of the lab by name, and other nodes do: `labctl" in said.out + said.err

    assert labctl("restart", "worker1", lab=lab.name, limit=400).code == 0
    assert labctl("status", lab=lab.name).code == 0
