"""What is true after each step about roles and availability. Most of it is changed again by the next: `passing`.

Nodes are known by their id in the swarm: one that left and joined again is a new node of the same name.
"""

import pytest

from labctl.checks import not_yet, wrong

NAME = "app"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
EMPTIED = {
    "pause": "is paused, and keeps its tasks: it only gets no new ones",
    "active": "takes work as before",
}


def member(swarm, name):
    """A node of the lab as the managers know it; None while it is not in their swarm."""
    own = swarm.machine(name).engine.info()["Swarm"]["NodeID"]
    return next((node for node in swarm.nodes() if node.id == own), None)


def must_be_in(swarm, name):
    """The node; "not yet" while it is not in."""
    found = member(swarm, name)
    if found is None:
        not_yet(f"{swarm.machine(name).name} is not in the swarm", look=NODES)
    return found


def must_want(swarm, count, word, *, before=None):
    """The service, once so many tasks are asked for; `before` is how many it had when the step began."""
    there = {service.name: service for service in swarm.services()}
    if NAME not in there:
        named = [name for name, service in there.items() if service.replicas == 6 and service.image == "nginx:latest"]
        if named:
            wrong(
                f"the service should be called {NAME}",
                found=named[0],
                look=LS,
                hint=f"`docker service rm {named[0]}` on `m1`, and create it with that name.",
            )
        not_yet(f"there is no service {NAME}", look=LS)
    service = there[NAME]
    if service.replicas != count:
        told = f"{NAME} should have {word} tasks"
        if service.replicas == before:
            not_yet(told, found=before, look=LS)
        hint = f"`docker service scale --detach {NAME}={count}` changes the number."
        wrong(told, found=service.replicas, look=LS, hint=hint)
    return service


def must_be_empty(swarm, node):
    """Say that a node still runs tasks of the service."""
    left = [task for task in swarm.service(NAME).running() if task.node_id == node.id]
    if left:
        not_yet(f"{node.hostname} still runs {len(left)} tasks of {NAME}", look=PS)


# -- work


@pytest.mark.step("work")
def test_six_tasks(swarm):
    """The service app has six tasks, and all of them run."""
    must_want(swarm, 6, "six").must_run()


# -- free


@pytest.mark.step("free")
def test_manager_is_drained(swarm):
    """The manager is drained."""
    manager = must_be_in(swarm, "m1")
    for node in swarm.nodes():
        if node.id != manager.id and node.availability == "drain":
            wrong(
                f"{node.hostname} is drained, and it should be {manager.hostname}",
                look=NODES,
                hint=f"`docker node update --availability active {node.hostname}` takes that back.",
            )
    if manager.availability != "drain":
        tell = wrong if manager.availability == "pause" else not_yet
        tell(f"{manager.hostname} {EMPTIED[manager.availability]}", look=NODES)


@pytest.mark.step("free")
def test_manager_is_free(swarm):
    """It runs no task of the app."""
    must_be_empty(swarm, must_be_in(swarm, "m1"))


@pytest.mark.step("free")
def test_all_six_run_elsewhere(swarm):
    """All six tasks run elsewhere."""
    must_want(swarm, 6, "six").must_run()


# -- join


@pytest.mark.step("join")
def test_new_machine_is_a_manager(swarm):
    """The new machine is in the swarm, as a manager."""
    machine = swarm.machine("w2")
    own, found = machine.engine.info()["Swarm"], member(swarm, "w2")
    look = 'labctl ssh w2 "docker info | grep -A 3 Swarm:"'
    if found is None and own["LocalNodeState"] == "active":
        wrong(
            f"{machine.name} is in a swarm of its own",
            look=look,
            hint="`docker swarm leave --force` on `w2`, then join with the line from `m1`.",
        )
    if found is None:
        not_yet(
            f"{machine.name} is in no swarm",
            found=own["Error"] or own["LocalNodeState"],
            look=look,
        )
    if found.role != "manager":
        wrong(
            f"{machine.name} joined as a worker: that was the workers' token",
            look=NODES,
            hint=f"`docker node promote {machine.name}` on `m1` does what the other token would have done.",
        )
    if found.reachability != "reachable":
        not_yet(f"{machine.name} is becoming a manager", found=found.reachability or "not reached yet", look=NODES)


# -- pause


@pytest.mark.step("pause")
def test_worker_is_paused(swarm):
    """Worker 1 is paused."""
    worker = must_be_in(swarm, "w1")
    if worker.availability == "drain":
        wrong(
            f"{worker.hostname} is drained, and should be paused: its tasks had to go",
            look=NODES,
            hint=f"`docker node update --availability pause {worker.hostname}`.",
        )
    if worker.availability != "pause":
        not_yet(f"{worker.hostname} {EMPTIED['active']}", look=NODES)


@pytest.mark.step("pause")
def test_eight_tasks(swarm):
    """The app has eight tasks, and all of them run."""
    must_want(swarm, 8, "eight", before=6).must_run()


@pytest.mark.step("pause")
def test_new_ones_went_elsewhere(swarm):
    """The two new ones run on another node."""
    worker, service = must_be_in(swarm, "w1"), swarm.service(NAME)
    if len([task for task in service.running() if task.node_id != worker.id]) < 2 or newest_on(worker, service):
        wrong(
            f"the new tasks came before {worker.hostname} was paused",
            look=PS,
            hint=f"`docker service scale {NAME}=6`, then `{NAME}=8` once more: now it is paused.",
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
            f"{machine.name} should be the manager",
            found=f"managers: {', '.join(node.hostname for node in managers)}",
            look=NODES,
            hint=f"`docker node promote {machine.name}` on a node that manages.",
        )
    if chosen.role != "manager":
        not_yet(f"{machine.name} is a worker", look=NODES)
    if chosen.reachability != "reachable":
        not_yet(f"{machine.name} is becoming a manager", found=chosen.reachability or "not reached yet", look=NODES)
    others = [node.hostname for node in managers if node.id != chosen.id]
    if others:
        not_yet(f"{' and '.join(sorted(others))} should be a worker", look=NODES)


@pytest.mark.step("handover")
def test_both_others_work(swarm):
    """The other two take work."""
    must_take_work(swarm, "m1", "w1")


def must_take_work(swarm, *names):
    """Say which nodes get no tasks."""
    for name in names:
        node = must_be_in(swarm, name)
        if node.availability != "active":
            not_yet(f"{node.hostname} takes no work", found=node.availability, look=NODES)


@pytest.mark.step("handover")
def test_manager_takes_no_work(swarm):
    """It is drained, and runs nothing of the app."""
    chosen = must_be_in(swarm, "w2")
    if chosen.availability != "drain":
        not_yet(f"{chosen.hostname} {EMPTIED[chosen.availability]}", look=NODES)
    must_be_empty(swarm, chosen)


@pytest.mark.step("handover")
def test_the_app_is_whole(swarm):
    """The app has its eight tasks."""
    must_want(swarm, 8, "eight").must_run()


# -- back


@pytest.mark.step("back")
def test_first_machine_is_the_only_manager(swarm):
    """Manager 1 is the only manager again."""
    first = must_be_in(swarm, "w1")
    if first.role == "manager":
        wrong(
            f"{first.hostname} should be a worker",
            look=NODES,
            hint=f"`docker node demote {first.hostname}`; it is {swarm.machine('m1').name} that shall manage.",
        )
    must_manage_alone(swarm, "m1")


@pytest.mark.step("back")
def test_all_three_work(swarm):
    """All three take work."""
    must_take_work(swarm, "m1", "w1", "w2")
