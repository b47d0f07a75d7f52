"""What is true once the managers decide again, however that came. Where no manager can be asked, the machines are."""

import pytest

from labctl.checks import not_yet, wrong
from labctl.errors import EngineRefused, LabError

NAME, PORT, TARGET = "shop", 8120, 80
SECRET, MADE = "shop-key", "friday"
TASKS = 6
NODES = "labctl docker -- node ls"
STATUS = "labctl status"
LS = "labctl docker -- service ls"
MANAGERS = ("m1", "m2", "m3")


def nodes_seen_by(machine):
    """The nodes that a manager lists, as its API has them; None where it cannot decide, is no manager, or is off."""
    if not machine.is_running:
        return None
    try:
        return machine.engine.swarm_objects("nodes")
    except (EngineRefused, LabError):
        return None


def leader_of(nodes):
    """The id of the leader, as a manager sees it."""
    return next((node["ID"] for node in nodes if (node.get("ManagerStatus") or {}).get("Leader")), "")


@pytest.mark.every(2)
@pytest.mark.step("repair")
def test_somebody_decides(swarm):
    """A manager takes commands."""
    if not any(nodes_seen_by(swarm.machine(name)) for name in MANAGERS):
        not_yet("no manager takes a command", look=NODES)


@pytest.mark.every(2)
@pytest.mark.step("repair")
def test_they_agree(swarm):
    """There is one swarm only, with one leader."""
    leads = {}
    for name in MANAGERS:
        leader = leader_of(nodes_seen_by(swarm.machine(name)) or [])
        if leader:
            leads.setdefault(leader, swarm.machine(name).name)
    if len(leads) > 1:
        one, other = sorted(leads.values())[:2]
        wrong(
            "{one} and {other} follow different leaders: there are two swarms now",
            look=NODES,
            hint="Which one is to stay? The machines of the other `docker swarm leave --force`, and join as managers.",
            one=one,
            other=other,
        )


@pytest.mark.step("repair")
def test_shop_is_the_old_one(swarm):
    """It is the old swarm: the service shop has its secret, and its port."""
    secrets = {
        raw["Spec"]["Name"]: raw["Spec"].get("Labels") or {} for raw in swarm.view.engine.swarm_objects("secrets")
    }
    if secrets.get(SECRET, {}).get("made") != MADE:
        wrong(
            "the secret {name} is gone: this is a new swarm, and not the old one",
            look="labctl docker -- secret ls",
            hint="Another manager may know it still. Else `labctl exercise reset`, then begin again.",
            name=SECRET,
        )
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(
            "there is no service {name} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: that creates the service again.",
            name=NAME,
        )
    shop = swarm.service(NAME)
    if SECRET not in shop.secrets.values():
        wrong("{name} should have its secret {secret}", look=LS, name=NAME, secret=SECRET)
    if shop.published.get(PORT) != TARGET:
        wrong(
            "{name} should publish port {port} on every node, to port {target}",
            found=", ".join(map(str, shop.published)) if shop.published else "no port",
            look=f"labctl docker -- service inspect --pretty {NAME}",
            name=NAME,
            port=PORT,
            target=TARGET,
        )


@pytest.mark.step("repair")
def test_three_managers(swarm):
    """Three managers are ready, and reach each other."""
    there = {}
    for node in swarm.nodes():
        there.setdefault(node.hostname, []).append(node)
    for name in MANAGERS:
        machine = swarm.machine(name)
        if not machine.is_running:
            not_yet("{node} is off", look=STATUS, node=machine.name)
        ready = [node for node in there.get(machine.name, []) if node.state == "ready"]
        if not ready:
            not_yet("{node} is not a node that is ready", look=NODES, node=machine.name)
        if ready[0].role != "manager":
            wrong(
                "{node} is a worker, but should be a manager",
                look=NODES,
                hint="`docker node promote {node}`.",
                node=machine.name,
            )
        if ready[0].reachability != "reachable":
            not_yet("{node} is not reachable yet", found=ready[0].reachability, look=NODES, node=machine.name)


@pytest.mark.step("repair")
def test_each_is_there_once(swarm):
    """Each of them is listed once."""
    for node in swarm.nodes():
        if node.state != "ready":
            wrong(
                "{node} is on the list once more, as {state}",
                look=NODES,
                hint="`docker node demote {id}`, then `docker node rm --force {id}`.",
                node=node.hostname,
                state=node.state,
                id=node.id,
            )


@pytest.mark.step("repair")
def test_shop_has_six_tasks(swarm):
    """The service shop is set to run six tasks, and all of them run."""
    shop = swarm.service(NAME)
    if shop.replicas == 3:
        not_yet("{name} should run six tasks", found=shop.replicas, look=LS, name=NAME)
    if shop.replicas != TASKS:
        wrong("{name} should run six tasks", found=shop.replicas, look=LS, name=NAME)
    shop.must_run()


@pytest.mark.every(2)
@pytest.mark.step("repair")
def test_it_answers(swarm):
    """Port 8120 answers on every node."""
    swarm.must_answer_everywhere(PORT, limit=2.0)
