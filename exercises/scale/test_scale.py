"""What is true after each step of scaling. What a later step changes again is `passing`."""

import pytest

from labctl.checks import not_yet, wrong

NAME = "web"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
DIED = ("failed", "complete")  # how a task ends that the swarm has not stopped


def must_want(swarm, count, word, *, before, still=False):
    """The service, once so many tasks are asked for; `before` is how many it had when the step began."""
    service = the_service(swarm)
    if service.replicas != count:
        told = f"{NAME} should {'still ' if still else ''}have {word} tasks"
        if service.replicas == before:
            not_yet(told, found=before, look=LS)
        hint = f"`docker service scale --detach {NAME}={count}` changes the number."
        wrong(told, found=service.replicas, look=LS, hint=hint)
    return service


def the_service(swarm):
    """The service of this exercise; "not yet" with the way back where somebody has removed it."""
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(
            f"there is no service {NAME} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: the service is made anew.",
        )
    return swarm.service(NAME)


def pending(service):
    """The tasks that shall run and have no node."""
    return [task for task in service.tasks() if task.state == "pending" and task.desired == "running"]


# -- up


@pytest.mark.step("up")
def test_six_tasks(swarm):
    """The service web shall have six tasks, and all of them run."""
    must_want(swarm, 6, "six", before=2).must_run()


# -- kill


@pytest.mark.step("kill")
def test_six_are_still_wanted(swarm):
    """It shall still have six tasks."""
    must_want(swarm, 6, "six", before=None, still=True)


@pytest.mark.step("kill")
def test_one_has_died(swarm):
    """One of its containers has died."""
    if not any(task.state in DIED for task in the_service(swarm).tasks()):
        not_yet(f"no container of {NAME} has died", look=PS)


@pytest.mark.step("kill")
def test_another_took_its_place(swarm):
    """Another task has taken its place: six run."""
    the_service(swarm).must_run()


# -- full


@pytest.mark.step("full")
def test_eight_are_wanted(swarm):
    """It shall have eight tasks."""
    must_want(swarm, 8, "eight", before=6)


@pytest.mark.step("full")
def test_six_fit(swarm):
    """Six of them run, and two find no node."""
    service = the_service(swarm)
    running, waiting = len(service.running()), len(pending(service))
    if (running, waiting) != (6, 2):
        not_yet("six should run and two be pending", found=f"{running} run, {waiting} pending", look=PS)


# -- room


@pytest.mark.step("room")
def test_eight_are_still_wanted(swarm):
    """It shall still have eight tasks."""
    must_want(swarm, 8, "eight", before=None, still=True)


@pytest.mark.step("room")
def test_eight_fit(swarm):
    """There is room for all of them."""
    service = the_service(swarm)
    limit = service.spec["TaskTemplate"].get("Placement", {}).get("MaxReplicas", 0)
    if limit and pending(service):
        not_yet(
            "the limit should leave room for eight tasks on three nodes",
            found=f"{limit} per node",
            look=LS,
            hint=f"`docker service update --replicas-max-per-node 3 {NAME}`." if limit != 2 else "",
        )
    service.must_run()


# -- away


@pytest.mark.step("away")
def test_worker_2_was_emptied(swarm):
    """Worker 2 was drained, and its tasks were made anew elsewhere."""
    second = swarm.machine("w2").name
    for node in swarm.nodes():
        if node.hostname != second and node.availability == "drain":
            wrong(
                f"{node.hostname} is drained, and it should be {second}",
                look=NODES,
                hint=f"`docker node update --availability active {node.hostname}` takes that back.",
            )
        if node.hostname == second and node.availability == "pause":
            wrong(
                f"{second} is paused, and keeps its tasks: it only gets no new ones",
                look=NODES,
                hint=f"`docker node update --availability drain {second}` empties it.",
            )
    hosts = swarm.hostnames()
    there = [task for task in the_service(swarm).tasks() if hosts.get(task.node_id) == second]
    if not any(task.state == "shutdown" for task in there):
        not_yet(f"{second} was not drained yet", look=NODES)


@pytest.mark.step("away")
def test_worker_2_works_again(swarm):
    """Worker 2 takes work again."""
    second = swarm.machine("w2").name
    for node in swarm.nodes():
        if node.hostname == second and node.availability != "active":
            not_yet(f"{second} takes no work yet", found=node.availability, look=NODES)


@pytest.mark.step("away")
def test_all_eight_run(swarm):
    """All eight tasks run."""
    must_want(swarm, 8, "eight", before=None, still=True).must_run()


# -- evening


@pytest.mark.step("evening")
def test_three_tasks(swarm):
    """It shall have three tasks, and all of them run."""
    must_want(swarm, 3, "three", before=8).must_run()


@pytest.mark.step("evening")
def test_each_node_has_one(swarm):
    """Each of the three nodes has one."""
    service = the_service(swarm)
    if len(service.nodes()) != 3:
        not_yet(
            "each node should have one task",
            found=f"tasks on {', '.join(sorted(service.nodes()))}",
            look=PS,
            hint=f"Tasks that run are not moved. `docker service update --force {NAME}` makes all of them anew.",
        )
