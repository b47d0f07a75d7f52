"""What is true after each step about roles and availability. Most of it is changed again by the next: `passing`.

Nodes are known by their id in the swarm: one that left and joined again is a new node of the same name.
"""

import pytest

from labctl.checks import not_yet, wrong

NAME = "app"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
PAUSED = "{node} is paused: it gets no new tasks, but keeps those that it has"
WORKS = "{node} takes work as before"


def member(swarm, name):
    """A node of the lab as the managers know it; None while it is not in their swarm."""
    own = swarm.machine(name).engine.info()["Swarm"]["NodeID"]
    return next((node for node in swarm.nodes() if node.id == own), None)


def must_be_in(swarm, name):
    """The node; "not yet" while it is not in."""
    found = member(swarm, name)
    if found is None:
        not_yet("{name} is not in the swarm", look=NODES, name=swarm.machine(name).name)
    return found


def must_want(swarm, count, *, before=None):
    """The service, once so many tasks are asked for; `before` is how many it had when the step began."""
    there = {service.name: service for service in swarm.services()}
    if NAME not in there:
        named = [name for name, service in there.items() if service.replicas == 6 and service.image == "nginx:latest"]
        if named:
            wrong(
                "the service should be called {name}",
                found=named[0],
                look=LS,
                hint="On `m1`, run `docker service rm {other}`, then create it again with the right name.",
                name=NAME,
                other=named[0],
            )
        not_yet("there is no service {name}", look=LS, name=NAME)
    service = there[NAME]
    if service.replicas == before:
        not_yet("{name} should have {count} tasks", found=before, look=LS, name=NAME, count=count)
    if service.replicas != count:
        wrong(
            "{name} should have {count} tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale --detach {name}={count}` changes the number.",
            name=NAME,
            count=count,
        )
    return service


def must_be_empty(swarm, node):
    """Say that a node still runs tasks of the service."""
    left = [task for task in swarm.service(NAME).running() if task.node_id == node.id]
    if left:
        not_yet("{node} still runs tasks of {name}", found=len(left), look=PS, node=node.hostname, name=NAME)


# -- work


@pytest.mark.step("work")
def test_six_tasks(swarm):
    """The service app has six tasks, and all of them run."""
    must_want(swarm, 6).must_run()


# -- free


@pytest.mark.step("free")
def test_manager_is_drained(swarm):
    """The manager is drained."""
    manager = must_be_in(swarm, "m1")
    for node in swarm.nodes():
        if node.id != manager.id and node.availability == "drain":
            wrong(
                "{node} is drained, but {manager} should be",
                look=NODES,
                hint="`docker node update --availability active {node}` undoes that.",
                node=node.hostname,
                manager=manager.hostname,
            )
    if manager.availability == "pause":
        wrong(PAUSED, look=NODES, node=manager.hostname)
    if manager.availability != "drain":
        not_yet(WORKS, look=NODES, node=manager.hostname)


@pytest.mark.step("free")
def test_manager_is_free(swarm):
    """It runs no task of the app."""
    must_be_empty(swarm, must_be_in(swarm, "m1"))


@pytest.mark.step("free")
def test_all_six_run_elsewhere(swarm):
    """All six tasks run elsewhere."""
    must_want(swarm, 6).must_run()


# -- join


@pytest.mark.step("join")
def test_new_machine_is_a_manager(swarm):
    """The new machine is in the swarm, as a manager."""
    machine = swarm.machine("w2")
    own, found = machine.engine.info()["Swarm"], member(swarm, "w2")
    look = 'labctl ssh w2 "docker info | grep -A 3 Swarm:"'
    if found is None and own["LocalNodeState"] == "active":
        wrong(
            "{machine} is in a swarm of its own",
            look=look,
            hint="`docker swarm leave --force` on `w2`, then join with the line from `m1`.",
            machine=machine.name,
        )
    if found is None:
        not_yet(
            "{machine} is not in a swarm", found=own["Error"] or own["LocalNodeState"], look=look, machine=machine.name
        )
    if found.role != "manager":
        wrong(
            "{machine} joined as a worker: that was the worker token",
            look=NODES,
            hint="`docker node promote {machine}` on `m1` does what the other token would have done.",
            machine=machine.name,
        )
    if found.reachability != "reachable":
        not_yet(
            "{machine} is becoming a manager",
            found=found.reachability if found.reachability else "not reached yet",
            look=NODES,
            machine=machine.name,
        )


# -- pause


@pytest.mark.step("pause")
def test_worker_is_paused(swarm):
    """Worker 1 is paused."""
    worker = must_be_in(swarm, "w1")
    if worker.availability == "drain":
        wrong(
            "{worker} is drained, but should be paused: its tasks had to go",
            look=NODES,
            hint="`docker node update --availability pause {worker}`.",
            worker=worker.hostname,
        )
    if worker.availability != "pause":
        not_yet(WORKS, look=NODES, node=worker.hostname)


@pytest.mark.step("pause")
def test_eight_tasks(swarm):
    """The app has eight tasks, and all of them run."""
    must_want(swarm, 8, before=6).must_run()


@pytest.mark.step("pause")
def test_new_ones_went_elsewhere(swarm):
    """The two new ones run on another node."""
    worker, service = must_be_in(swarm, "w1"), swarm.service(NAME)
    if len([task for task in service.running() if task.node_id != worker.id]) < 2 or newest_on(worker, service):
        wrong(
            "the new tasks came before {worker} was paused",
            look=PS,
            hint="`docker service scale {name}=6`, then `docker service scale {name}=8`: now the node is paused.",
            worker=worker.hostname,
            name=NAME,
        )


def newest_on(node, service):
    """Whether the task that was made last runs on that node."""
    return max(service.running(), key=lambda task: task.created).node_id == node.id


# -- handover


@pytest.mark.step("handover")
def test_new_machine_is_the_only_manager(swarm):
    """Worker 2 is the only manager."""
    must_manage_alone(swarm, "w2")


def must_manage_alone(swarm, name):
    """Say what keeps a node from being the only manager."""
    chosen, machine = must_be_in(swarm, name), swarm.machine(name)
    managers = [node for node in swarm.nodes() if node.role == "manager"]
    if chosen.role != "manager" and name == "w2":
        wrong(
            "{machine} should be the manager",
            found="managers: {managers}",
            look=NODES,
            hint="`docker node promote {machine}` on a manager.",
            machine=machine.name,
            managers=", ".join(node.hostname for node in managers),
        )
    if chosen.role != "manager":
        not_yet("{machine} is a worker", look=NODES, machine=machine.name)
    if chosen.reachability != "reachable":
        not_yet(
            "{machine} is becoming a manager",
            found=chosen.reachability if chosen.reachability else "not reached yet",
            look=NODES,
            machine=machine.name,
        )
    others = sorted(node.hostname for node in managers if node.id != chosen.id)
    if others:
        not_yet(
            "{others} should be workers" if len(others) > 1 else "{others} should be a worker",
            look=NODES,
            others=", ".join(others),
        )


@pytest.mark.step("handover")
def test_both_others_work(swarm):
    """The other two take work."""
    must_take_work(swarm, "m1", "w1")


def must_take_work(swarm, *names):
    """Say which nodes get no tasks."""
    for name in names:
        node = must_be_in(swarm, name)
        if node.availability != "active":
            not_yet("{node} takes no work", found=node.availability, look=NODES, node=node.hostname)


@pytest.mark.step("handover")
def test_manager_takes_no_work(swarm):
    """It is drained, and runs no task of the app."""
    chosen = must_be_in(swarm, "w2")
    if chosen.availability != "drain":
        not_yet(PAUSED if chosen.availability == "pause" else WORKS, look=NODES, node=chosen.hostname)
    must_be_empty(swarm, chosen)


@pytest.mark.step("handover")
def test_the_app_is_whole(swarm):
    """The app has its eight tasks."""
    must_want(swarm, 8).must_run()


# -- back


@pytest.mark.step("back")
def test_first_machine_is_the_only_manager(swarm):
    """Manager 1 is the only manager again."""
    first = must_be_in(swarm, "w1")
    if first.role == "manager":
        wrong(
            "{first} should be a worker",
            look=NODES,
            hint="`docker node demote {first}`: {name} should be the manager.",
            first=first.hostname,
            name=swarm.machine("m1").name,
        )
    must_manage_alone(swarm, "m1")


@pytest.mark.step("back")
def test_all_three_work(swarm):
    """All three take work."""
    must_take_work(swarm, "m1", "w1", "w2")
