"""What is true after each step with and without a quorum. Where no manager can be asked, the machines are."""

import pytest

from labctl.checks import not_yet, wrong
from labctl.errors import EngineRefused, LabError

NAME, PORT = "web", 8115
NODES = "labctl ssh m3 docker node ls"
STATUS = "labctl status"
LS = "labctl ssh m3 docker service ls"


def must_be_up(swarm):
    """Manager 3 runs; all else is asked of it."""
    third = swarm.machine("m3")
    if not third.is_running:
        wrong(
            "{node} should be left alone: it is the one that survives",
            found=third.state,
            look=STATUS,
            hint="`labctl start m3`",
            node=third.name,
        )
    return third


def nodes_of(swarm):
    """The nodes by name, as the managers have them; those that left and came back are there twice."""
    found = {}
    for node in swarm.nodes():
        found.setdefault(node.hostname, []).append(node)
    return found


def has_quorum(machine):
    """Whether a manager can decide: one that cannot says so when it is asked for the nodes."""
    try:
        machine.engine.swarm_objects("nodes")
    except (EngineRefused, LabError):
        return False
    return True


def the_service(swarm, count):
    """The service web, once it is to have so many tasks."""
    if NAME not in {service.name for service in swarm.services()}:
        wrong(
            "the service {name} is gone: this is a new swarm, and not the old one",
            look=LS,
            hint="`labctl exercise reset`, then begin again.",
            name=NAME,
        )
    service = swarm.service(NAME)
    if service.replicas in (3, 5):  # five were asked for without a quorum, and may have been written down all the same
        not_yet("{name} should have six tasks", found=service.replicas, look=LS, name=NAME)
    if service.replicas != count:
        wrong("{name} should have six tasks", found=service.replicas, look=LS, name=NAME)
    return service


# -- leader


@pytest.mark.step("leader")
def test_manager_1_is_dead(swarm):
    """Manager 1 is down."""
    must_be_up(swarm)
    first, second = swarm.machine("m1"), swarm.machine("m2")
    if first.is_running and not second.is_running:
        wrong(
            "{node} is down, but should be the one that dies later",
            look=STATUS,
            hint="`labctl start m2`, then `labctl kill m1`.",
            node=second.name,
        )
    if first.is_running:
        for node in nodes_of(swarm).get(first.name, []):
            if node.availability == "drain":
                wrong(
                    "{node} is drained, but it still leads or votes",
                    look=NODES,
                    hint="`docker node update --availability active {node}` undoes that. `labctl kill m1` kills it.",
                    node=node.hostname,
                )
        not_yet("{node} still runs", look=STATUS, node=first.name)


@pytest.mark.step("leader")
def test_another_leads(swarm, answer):
    """Another manager leads, and you know which."""
    leaders = [node.hostname for node in swarm.nodes() if node.leader]
    if not leaders or leaders == [swarm.machine("m1").name]:
        not_yet("no other manager leads yet", look=NODES)
    said = answer("who")
    if said not in leaders:
        wrong("{said} does not lead", look=NODES, hint="The column is called MANAGER STATUS.", said=said)


@pytest.mark.step("leader")
def test_the_page_is_there(swarm):
    """The page still answers on manager 3."""
    page = swarm.http("m3", PORT)
    if not page.ok:
        not_yet("the page does not answer", found=page.error, look=f"labctl ssh m3 curl -sS {page.url}")


# -- lost


@pytest.mark.step("lost")
def test_two_are_dead(swarm):
    """Manager 1 and manager 2 are down, and manager 3 is up."""
    must_be_up(swarm)
    for name in ("m2", "m1"):
        if swarm.machine(name).is_running:
            not_yet("{node} still runs", look=STATUS, node=swarm.machine(name).name)


@pytest.mark.every(2)
@pytest.mark.step("lost")
def test_nobody_decides(swarm):
    """Manager 3 refuses commands: there is no majority."""
    third = must_be_up(swarm)
    if has_quorum(third):
        not_yet("{node} has not noticed yet", look=NODES, node=third.name)


@pytest.mark.every(2)
@pytest.mark.step("lost")
def test_containers_go_on(swarm, node):
    """And the page still answers there."""
    third = must_be_up(swarm)
    url = f"http://{third.address}:{PORT}"
    said = node("m3").run("curl -sS -m 3 -o /dev/null %s", url)
    if said.rc != 0:
        not_yet("the page does not answer", found=said.stderr.strip()[:80], look=f"labctl ssh m3 curl -sS {url}")


# -- back


@pytest.mark.step("back")
def test_all_three_are_back(swarm):
    """All three managers are up, and reach each other."""
    for name in ("m1", "m2", "m3"):
        if not swarm.machine(name).is_running:
            not_yet("{node} is down", look=STATUS, node=swarm.machine(name).name)
    for node in swarm.nodes():
        if node.reachability != "reachable" or node.state != "ready":
            not_yet("{node} is not back yet", found=node.reachability, look=NODES, node=node.hostname)


@pytest.mark.step("back")
def test_six_tasks(swarm):
    """The service web is set to run six tasks, and all of them run."""
    the_service(swarm, 6).must_run()


# -- forever


@pytest.mark.step("forever")
def test_manager_3_decides_alone(swarm):
    """Manager 3 has a quorum again, alone."""
    must_be_up(swarm)
    for name in ("m1", "m2"):
        machine = swarm.machine(name)
        own = machine.engine.info()["Swarm"]
        if own.get("ControlAvailable") and own.get("Nodes") == 1:
            wrong(
                "{node} has begun a swarm of its own, which knows nothing of the old one",
                look=NODES,
                hint="`docker swarm leave --force` there. The memory is on manager 3.",
                node=machine.name,
            )
    if not has_quorum(swarm.machine("m3")):
        not_yet("{node} still refuses commands", look=NODES, node=swarm.machine("m3").name)


@pytest.mark.step("forever")
def test_the_memory_is_there(swarm):
    """It is the old swarm: the service web is there, with six tasks."""
    the_service(swarm, 6).must_run()


# -- three


@pytest.mark.step("three")
def test_three_managers(swarm):
    """Three managers are ready, and reach each other."""
    there = nodes_of(swarm)
    for name in ("m1", "m2", "m3"):
        machine = swarm.machine(name)
        ready = [node for node in there.get(machine.name, []) if node.state == "ready"]
        if not ready:
            not_yet("{node} is not in the swarm", look=NODES, node=machine.name)
        if ready[0].role != "manager":
            wrong(
                "{node} is a worker, but should be a manager",
                look=NODES,
                hint="`docker node promote {id}`",
                node=machine.name,
                id=ready[0].id,
            )
        if ready[0].reachability != "reachable":
            not_yet("{node} is becoming a manager", found=ready[0].reachability, look=NODES, node=machine.name)


@pytest.mark.step("three")
def test_each_is_there_once(swarm):
    """Each of them is listed once."""
    for name, nodes in nodes_of(swarm).items():
        dead = [node for node in nodes if node.state != "ready"]
        if dead:
            wrong(
                "{node} is listed twice, once as Down",
                look=NODES,
                hint="`docker node demote {id}`, then `docker node rm --force {id}`.",
                node=name,
                id=dead[0].id,
            )


@pytest.mark.step("three")
def test_web_runs(swarm):
    """The service web runs its six tasks."""
    the_service(swarm, 6).must_run()
