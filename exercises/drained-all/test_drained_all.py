"""What is true once the service is back, and nothing that was closed for a reason is open."""

import pytest

from labctl.checks import not_yet, wrong

NAME, PORT = "shop", 8097
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
NODES = "labctl docker -- node ls"
STAY_CLOSED = {"m1": "manager-only", "w2": "failing-disk"}


def availability(swarm):
    """What each node of the swarm is open for, by its name."""
    return {node.hostname: node.availability for node in swarm.nodes()}


def must_run(swarm):
    """Both tasks run."""
    shop = swarm.service(NAME)
    if len(shop.running()) < 2:
        not_yet("{name} runs {running} of 2 tasks", look=LS, name=NAME, running=len(shop.running()))
    shop.must_run()


@pytest.mark.step("back", "spread")
def test_shop_wants_two_tasks(swarm):
    """The service shop is set to run two tasks, and publishes port 8097."""
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(
            "there is no service {name} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: that creates the service again.",
            name=NAME,
        )
    shop = swarm.service(NAME)
    if shop.replicas != 2:
        wrong(
            "{name} should have two tasks",
            found=shop.replicas,
            look=LS,
            hint="`docker service scale {name}=2`.",
            name=NAME,
        )
    if PORT not in shop.published:
        wrong(
            "{name} should publish port {port}",
            found=", ".join(map(str, shop.published)) if shop.published else "no port",
            look=f"labctl docker -- service inspect --pretty {NAME}",
            name=NAME,
            port=PORT,
        )


# -- back


@pytest.mark.step("back")
def test_what_was_closed_for_a_reason_stays_closed(swarm):
    """Nodes that were closed for another reason take no tasks."""
    now = availability(swarm)
    for short, reason in STAY_CLOSED.items():
        name = swarm.machine(short).name
        if now.get(name) == "active":
            wrong(
                "{name} should take no tasks: the reason why it was closed is still there",
                found="Active, but its label said hold={reason}",
                look=f"labctl docker -- node inspect --pretty {name}",
                hint="`docker node update --availability drain {name}` closes it again, "
                "and stops the tasks that it got in the meantime.",
                name=name,
                reason=reason,
            )


@pytest.mark.step("back")
def test_no_task_is_where_it_should_not_be(swarm):
    """None of them runs a task of shop."""
    at = swarm.service(NAME).nodes() & {swarm.machine(short).name for short in STAY_CLOSED}
    for node in sorted(at):
        wrong(
            "{node} runs a task of {name}, and should run none",
            look=PS,
            hint="Pause keeps the tasks that a node has. `docker node update --availability drain {node}` stops them.",
            node=node,
            name=NAME,
        )


@pytest.mark.step("back")
def test_shop_runs(swarm):
    """Both tasks run."""
    must_run(swarm)


@pytest.mark.every(2)
@pytest.mark.step("back")
def test_shop_answers(swarm):
    """Port 8097 answers on every node, on the closed ones too."""
    silent = sorted(name for name, page in swarm.http_everywhere(PORT, limit=2.0).items() if not page.ok)
    if silent:
        not_yet("{name} does not answer on {silent}", look=PS, name=NAME, silent=", ".join(silent))


# -- who


@pytest.mark.step("who")
def test_you_know_which_was_first(swarm, answer):
    """You know which worker was closed first."""
    said, first = answer("first").strip(), swarm.machine("w2")
    if said not in (first.name, "w2"):
        wrong(
            "that is not the one that was closed first",
            found=said,
            look="labctl docker -- events --since 3h --until 0s --filter type=node",
        )


# -- spread


@pytest.mark.step("spread")
def test_both_workers_are_open(swarm):
    """Both workers take tasks."""
    now = availability(swarm)
    for short in ("w2", "w1"):
        name = swarm.machine(short).name
        if name not in now:
            not_yet("{name} is not in the swarm", look=NODES, name=name)
        if now[name] != "active" and short == "w1":  # the step began with this one open
            wrong("{name} should take tasks as before", found=now[name], look=NODES, name=name)
        if now[name] != "active":
            not_yet("{name} should take tasks", found=now[name], look=NODES, name=name)


@pytest.mark.step("spread")
def test_each_worker_has_a_task(swarm):
    """Each of the two workers runs a task of shop."""
    must_run(swarm)
    wanted = {swarm.machine("w1").name, swarm.machine("w2").name}
    empty = sorted(wanted - swarm.service(NAME).nodes())
    if empty:
        wrong(
            "{empty} has no task of {name}: it gets new tasks only, and Swarm moves nothing by itself",
            look=PS,
            hint="Swarm spreads new tasks. `docker service update --force {name}` replaces all tasks with new ones.",
            empty=empty[0],
            name=NAME,
        )
