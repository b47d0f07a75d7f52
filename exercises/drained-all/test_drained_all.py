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
        not_yet(f"{NAME} runs {len(shop.running())} of 2 tasks", look=LS)
    shop.must_run()


@pytest.mark.step("back", "spread")
def test_shop_wants_two_tasks(swarm):
    """The service shop wants two tasks, and publishes port 8097."""
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(
            f"there is no service {NAME} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: the service is made anew.",
        )
    shop = swarm.service(NAME)
    if shop.replicas != 2:
        wrong(f"{NAME} should have two tasks", found=shop.replicas, look=LS, hint=f"`docker service scale {NAME}=2`.")
    if PORT not in shop.published:
        wrong(
            f"{NAME} should publish port {PORT}",
            found=", ".join(map(str, shop.published)) or "no port",
            look=f"labctl docker -- service inspect --pretty {NAME}",
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
                f"{name} should take no tasks: the reason for which it was closed is not gone",
                found=f"Active; its label said hold={reason}",
                look=f"labctl docker -- node inspect --pretty {name}",
                hint=f"`docker node update --availability drain {name}` also stops the tasks that it got meanwhile.",
            )


@pytest.mark.step("back")
def test_no_task_is_where_it_should_not_be(swarm):
    """No task of shop is on one of them."""
    at = swarm.service(NAME).nodes() & {swarm.machine(short).name for short in STAY_CLOSED}
    for name in sorted(at):
        wrong(
            f"{name} runs a task of {NAME}, and should run none",
            look=PS,
            hint=f"Pause keeps the tasks that a node has. `docker node update --availability drain {name}` stops them.",
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
        not_yet(f"{NAME} does not answer on {' and '.join(silent)}", look=PS)


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
        if now.get(name) != "active":
            opened = short == "w1"
            say = wrong if opened else not_yet
            say(f"{name} should take tasks", found=now.get(name, "it is not in the swarm"), look=NODES)


@pytest.mark.step("spread")
def test_each_worker_has_a_task(swarm):
    """Each of the two workers runs a task of shop."""
    must_run(swarm)
    wanted = {swarm.machine("w1").name, swarm.machine("w2").name}
    empty = sorted(wanted - swarm.service(NAME).nodes())
    if empty:
        wrong(
            f"{empty[0]} has no task of {NAME}: an opened node gets new tasks, and Swarm moves nothing by itself",
            look=PS,
            hint=f"New tasks are spread. `docker service update --force {NAME}` makes all of them anew.",
        )
