"""What is true after each step of the first service. Later steps take away what earlier ones made: `passing`."""

import pytest

from labctl.checks import not_yet, wrong

NAME, IMAGE = "nginx-service", "nginx:latest"
PORT, TARGET = 8080, 80
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
AGAIN = f"`docker service rm {NAME}` on `m1`, and create it once more."


def found_service(swarm):
    """The service; "not yet" while there is none, and one that seems to be meant is told by its name."""
    there = {service.name: service for service in swarm.services()}
    if NAME not in there:
        meant = [other for other in there.values() if "nginx" in other.name or other.image.startswith("nginx")]
        if meant:
            wrong(
                f"the service should be called {NAME}",
                found=meant[0].name,
                look=LS,
                hint=f"`docker service rm {meant[0].name}` on `m1`, and create it with that name.",
            )
        not_yet(
            f"there is no service {NAME}",
            look=LS,
            hint="`labctl ssh m1` in a second window: only a manager takes `docker service create`.",
        )
    return there[NAME]


# -- create


@pytest.mark.step("create")
def test_service_is_there(swarm):
    """There is a service called nginx-service, of the image nginx:latest."""
    service = found_service(swarm)
    if service.image != IMAGE:
        wrong(f"{NAME} should run {IMAGE}", found=service.image, look=LS, hint=AGAIN)


@pytest.mark.step("create")
def test_port_is_published(swarm):
    """Port 8080 of every node leads to port 80 of its tasks."""
    published = found_service(swarm).published
    told = ", ".join(f"{port}:{target}" for port, target in published.items()) or "no port"
    if PORT not in published:
        wrong(f"{NAME} should publish port {PORT}", found=told, look=LS, hint=f"What people type comes first. {AGAIN}")
    if published[PORT] != TARGET:
        wrong(f"port {PORT} should lead to port {TARGET}", found=told, look=LS, hint=AGAIN)


@pytest.mark.step("create")
def test_three_tasks(swarm):
    """It shall have three tasks, and all of them run."""
    must_have(found_service(swarm), 3, "three")


def must_have(service, count, word, *, before=None):
    """Say how far a service is from so many running tasks; `before` is how many it had when the step began."""
    if service.replicas == before:
        not_yet(f"{NAME} shall have {before} tasks, as before", look=LS)
    if service.replicas != count:
        wrong(
            f"{NAME} should have {word} tasks",
            found=service.replicas,
            look=LS,
            hint=f"`docker service scale {NAME}={count}` changes the number.",
        )
    service.must_run()


# -- where


@pytest.mark.step("where")
def test_node_of_the_first_task(swarm, answer):
    """You know on which node nginx-service.1 runs."""
    service = found_service(swarm)
    said = answer("node").strip("`'\" .").casefold()
    hosts = swarm.hostnames()
    right = {hosts.get(task.node_id, "").casefold() for task in service.running() if task.slot == 1}
    if not right:
        not_yet(f"{NAME}.1 does not run", look=PS)
    if said not in right:
        known = {name.casefold() for name in hosts.values()}
        message = f"{NAME}.1 runs on another node" if said in known else "the answer should be the name of a node"
        wrong(message, found=said, look=PS)


# -- scale, mesh


@pytest.mark.step("scale")
def test_five_tasks(swarm):
    """It shall have five tasks, and all of them run."""
    must_have(found_service(swarm), 5, "five", before=3)


@pytest.mark.step("mesh")
def test_one_task(swarm):
    """It shall have one task, and that runs."""
    service = found_service(swarm)
    if service.replicas == 0:
        wrong(f"{NAME} has no task at all: nobody would answer", look=LS, hint=f"`docker service scale {NAME}=1`.")
    if service.replicas > 1:
        not_yet(f"{NAME} should have one task", found=service.replicas, look=LS)
    service.must_run()


@pytest.mark.step("mesh")
def test_every_node_answers(swarm):
    """Port 8080 answers on every node."""
    for node, page in swarm.http_everywhere(PORT).items():
        if not page.ok:
            not_yet(f"port {PORT} does not answer on {node}", found=page, look=f"labctl ssh m1 curl {page.url}")


# -- rm


@pytest.mark.step("rm")
def test_service_is_gone(swarm):
    """The service is gone."""
    if NAME in [service.name for service in swarm.services()]:
        not_yet(f"{NAME} is still there", look=LS)


@pytest.mark.step("rm")
def test_containers_are_gone(swarm):
    """No node has a container of it any more."""
    for machine in swarm.machines:
        left = machine.engine.containers([f"com.docker.swarm.service.name={NAME}"]) if machine.is_running else ()
        if left:
            not_yet(
                f"{machine.name} is still stopping {len(left)} of its containers",
                look=f"labctl ssh {machine.name} docker ps",
            )
