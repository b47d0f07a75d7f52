"""What is true after each move. A task that was shut down by a drain is the trace that the node was emptied."""

import pytest

from labctl.checks import not_yet, wrong
from labctl.swarm.state import moment

NAME = "desk"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
SLACK = 2.0  # seconds that a machine's clock and its uptime may be rounded by
CRASHED = ("failed", "complete", "orphaned")  # how a task ends that goes down with its machine
START = 60.0  # seconds that an engine takes at most, from the start of its machine


def machine_of(swarm, short):
    """A node of the swarm, by its short name in the lab."""
    name = swarm.machine(short).name
    node = next((node for node in swarm.nodes() if node.hostname == name), None)
    if node is None:
        not_yet("{node} is not in the swarm", look=NODES, node=name)
    return node


def tasks_on(swarm, node):
    """The tasks of the service on a node, those that have ended too."""
    return [task for task in swarm.service(NAME).tasks() if task.node_id == node.id]


def ended_at(task):
    """When a task that has ended came to its end."""
    return moment(task.raw["Status"]["Timestamp"])


def must_want(swarm, count, *, before=None):
    """The service, once so many tasks are asked for."""
    desk = swarm.service(NAME)
    if desk.replicas == before:
        not_yet("{name} should have {count} tasks", found=before, look=LS, name=NAME, count=count)
    if desk.replicas != count:
        wrong(
            "{name} should have {count} tasks",
            found=desk.replicas,
            look=LS,
            hint="`docker service scale --detach {name}={count}`.",
            name=NAME,
            count=count,
        )
    return desk


def must_be_spread(swarm):
    """Each worker has three of the six tasks, and takes new ones."""
    workers = [machine_of(swarm, short) for short in ("w1", "w2")]
    for node in workers:
        if node.availability != "active":
            not_yet("{node} takes no work", found=node.availability, look=NODES, node=node.hostname)
    must_want(swarm, 6).must_run()
    for node in workers:
        here = sum(task.node_id == node.id for task in swarm.service(NAME).running())
        if here != 3:
            not_yet(
                "{node} should run three tasks of {name}: Swarm moves nothing by itself",
                found=here,
                look=PS,
                hint="`docker service update --force {name}` replaces all tasks, and the new ones are spread.",
                node=node.hostname,
                name=NAME,
            )


def must_have_restarted(swarm, short):
    """A machine was restarted after its last task had been shut down."""
    node = machine_of(swarm, short)
    ended = [task for task in tasks_on(swarm, node) if task.desired == "shutdown"]
    up = swarm.up_since(short)[short]
    if up is None or node.state != "ready":
        not_yet("{node} is not back yet", look=NODES, node=node.hostname)
    emptied = [ended_at(task) for task in ended if task.state == "shutdown"]
    if not emptied or up + SLACK < min(emptied):
        not_yet(
            "{node} was not restarted since it was emptied",
            look=NODES,
            hint="`labctl restart {short}`, on your own machine, once nothing runs there any more.",
            node=node.hostname,
            short=short,
        )


# -- pause


@pytest.mark.step("pause")
def test_worker_1_gets_nothing_new(swarm):
    """Worker 1 is paused."""
    first = machine_of(swarm, "w1")
    if first.availability == "drain":
        wrong(
            "{node} is drained: it has lost its tasks, and should keep them for now",
            look=NODES,
            hint="Set it to active, scale {name} to 1 and back to 4, then pause it.",
            node=first.hostname,
            name=NAME,
        )
    if first.availability != "pause":
        not_yet("{node} is not paused", found=first.availability, look=NODES, node=first.hostname)


@pytest.mark.step("pause")
def test_six_tasks(swarm):
    """The service desk runs six tasks, and the new ones are not on worker 1."""
    must_want(swarm, 6, before=4).must_run()


# -- drain


@pytest.mark.step("drain")
def test_worker_1_is_drained(swarm):
    """Worker 1 is drained, and no task of desk runs there."""
    first = machine_of(swarm, "w1")
    if first.availability != "drain":
        not_yet(
            "{node} is not drained",
            found=first.availability,
            look=NODES,
            hint="`docker node update --availability drain {node}` empties it, and keeps it empty.",
            node=first.hostname,
        )
    if any(task.state == "running" for task in tasks_on(swarm, first)):
        not_yet("{name} runs on {node} still", look=PS, name=NAME, node=first.hostname)


@pytest.mark.step("drain")
def test_six_run_elsewhere(swarm):
    """All six tasks run elsewhere."""
    must_want(swarm, 6).must_run()


# -- work


@pytest.mark.step("work")
@pytest.mark.every(2)
def test_worker_1_was_restarted(swarm):
    """Worker 1 was empty, was restarted, and is ready."""
    must_have_restarted(swarm, "w1")


# -- back


@pytest.mark.step("back")
def test_each_worker_has_three(swarm):
    """Both workers take work, and each runs three tasks."""
    must_be_spread(swarm)


# -- alone


@pytest.mark.step("alone")
@pytest.mark.every(2)
def test_worker_2_was_restarted(swarm):
    """Worker 2 was emptied, restarted, and is ready."""
    node = machine_of(swarm, "w2")
    up = swarm.up_since("w2")["w2"] or 0.0
    ended = [(ended_at(task), task) for task in tasks_on(swarm, node) if task.desired == "shutdown"]
    emptied = max((when for when, task in ended if task.state == "shutdown" and when <= up), default=0.0)
    # An engine that starts tells then what became of its containers.
    if any(task.state in CRASHED and emptied < when < up + START for when, task in ended):
        wrong(
            "{node} had tasks on it when it went down",
            look=PS,
            hint="Drain it, look until it is empty, and restart it once more.",
            node=node.hostname,
        )
    must_have_restarted(swarm, "w2")


@pytest.mark.step("alone")
def test_all_is_as_it_was(swarm):
    """Both workers take work, and each runs three of the six tasks."""
    must_be_spread(swarm)
