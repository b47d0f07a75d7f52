"""What is true after each step of scaling. What a later step changes again is `passing`."""

import pytest

from labctl.checks import not_yet, wrong

NAME = "web"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
DIED = ("failed", "complete")  # how a task ends that the swarm has not stopped


def must_want(swarm, count, *, before=None, still=False):
    """The service, once so many tasks are asked for; `before` is how many it had when the step began."""
    service = the_service(swarm)
    if service.replicas == before:
        not_yet("{name} should have {count} tasks", found=before, look=LS, name=NAME, count=count)
    if service.replicas != count:
        wrong(
            "{name} should still have {count} tasks" if still else "{name} should have {count} tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale --detach {name}={count}` changes the number.",
            name=NAME,
            count=count,
        )
    return service


def the_service(swarm):
    """The service of this exercise; "not yet" with the way back where somebody has removed it."""
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(
            "there is no service {name} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: that creates the service again.",
            name=NAME,
        )
    return swarm.service(NAME)


def pending(service):
    """The tasks that should run and have no node."""
    return [task for task in service.tasks() if task.state == "pending" and task.desired == "running"]


# -- up


@pytest.mark.step("up")
def test_six_tasks(swarm):
    """The service web is set to run six tasks, and all of them run."""
    must_want(swarm, 6, before=2).must_run()


# -- kill


@pytest.mark.step("kill")
def test_six_are_still_wanted(swarm):
    """It is still set to run six tasks."""
    must_want(swarm, 6, still=True)


@pytest.mark.step("kill")
def test_one_has_died(swarm):
    """One of its containers has died."""
    if not any(task.state in DIED for task in the_service(swarm).tasks()):
        not_yet("no container of {name} has died", look=PS, name=NAME)


@pytest.mark.step("kill")
def test_another_took_its_place(swarm):
    """Another task has taken its place: six run."""
    the_service(swarm).must_run()


# -- full


@pytest.mark.step("full")
def test_eight_are_wanted(swarm):
    """It is set to run eight tasks."""
    must_want(swarm, 8, before=6)


@pytest.mark.step("full")
def test_six_fit(swarm):
    """Six of them run, and two find no node."""
    service = the_service(swarm)
    running, waiting = len(service.running()), len(pending(service))
    if (running, waiting) != (6, 2):
        not_yet(
            "six tasks should run, and two should be pending",
            found="{running} run, {waiting} pending",
            look=PS,
            running=running,
            waiting=waiting,
        )


# -- room


@pytest.mark.step("room")
def test_eight_are_still_wanted(swarm):
    """It is still set to run eight tasks."""
    must_want(swarm, 8, still=True)


@pytest.mark.step("room")
def test_eight_fit(swarm):
    """There is room for all of them."""
    service = the_service(swarm)
    limit = service.spec["TaskTemplate"].get("Placement", {}).get("MaxReplicas", 0)
    if limit and pending(service):
        not_yet(
            "the limit should leave room for eight tasks on three nodes",
            found="{limit} per node",
            look=LS,
            hint="`docker service update --replicas-max-per-node 3 {name}`." if limit != 2 else "",
            limit=limit,
            name=NAME,
        )
    service.must_run()


# -- away


@pytest.mark.step("away")
def test_worker_2_was_emptied(swarm):
    """Worker 2 was drained, and new tasks replaced its tasks on other nodes."""
    second = swarm.machine("w2").name
    for node in swarm.nodes():
        if node.hostname != second and node.availability == "drain":
            wrong(
                "{node} is drained, but {second} should be",
                look=NODES,
                hint="`docker node update --availability active {node}` undoes that.",
                node=node.hostname,
                second=second,
            )
        if node.hostname == second and node.availability == "pause":
            wrong(
                "{second} is paused: it gets no new tasks, but keeps those that it has",
                look=NODES,
                hint="`docker node update --availability drain {second}` empties it.",
                second=second,
            )
    hosts = swarm.hostnames()
    there = [task for task in the_service(swarm).tasks() if hosts.get(task.node_id) == second]
    if not any(task.state == "shutdown" for task in there):
        not_yet("{second} has not been drained yet", look=NODES, second=second)


@pytest.mark.step("away")
def test_worker_2_works_again(swarm):
    """Worker 2 takes work again."""
    second = swarm.machine("w2").name
    for node in swarm.nodes():
        if node.hostname == second and node.availability != "active":
            not_yet("{second} takes no work yet", found=node.availability, look=NODES, second=second)


@pytest.mark.step("away")
def test_all_eight_run(swarm):
    """All eight tasks run."""
    must_want(swarm, 8, still=True).must_run()


# -- evening


@pytest.mark.step("evening")
def test_three_tasks(swarm):
    """It is set to run three tasks, and all of them run."""
    must_want(swarm, 3, before=8).must_run()


@pytest.mark.step("evening")
def test_each_node_has_one(swarm):
    """Each of the three nodes has one."""
    service = the_service(swarm)
    if len(service.nodes()) != 3:
        not_yet(
            "each node should have one task",
            found="tasks on {nodes}",
            look=PS,
            hint="Swarm does not move tasks that run. `docker service update --force {name}` replaces all of them.",
            nodes=", ".join(sorted(service.nodes())),
            name=NAME,
        )
