"""What is true after each step of the first service. Later steps take away what earlier ones made: `passing`."""

import pytest

from labctl.checks import not_yet, wrong

NAME, IMAGE = "nginx-service", "nginx:latest"
PORT, TARGET = 8080, 80
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
AGAIN = "On `m1`, run `docker service rm nginx-service`, then create it again."


def found_service(swarm):
    """The service; "not yet" while there is none, and one that seems to be meant is told by its name."""
    there = {service.name: service for service in swarm.services()}
    if NAME not in there:
        meant = [other for other in there.values() if "nginx" in other.name or other.image.startswith("nginx")]
        if meant:
            wrong(
                "the service should be called {name}",
                found=meant[0].name,
                look=LS,
                hint="On `m1`, run `docker service rm {other}`, then create it again with the right name.",
                name=NAME,
                other=meant[0].name,
            )
        not_yet(
            "there is no service {name}",
            look=LS,
            hint="`labctl ssh m1` in a second window: `docker service create` works only on a manager.",
            name=NAME,
        )
    return there[NAME]


# -- create


@pytest.mark.step("create")
def test_service_is_there(swarm):
    """The service nginx-service exists and uses the image nginx:latest."""
    service = found_service(swarm)
    if service.image != IMAGE:
        wrong("{name} should run {image}", found=service.image, look=LS, hint=AGAIN, name=NAME, image=IMAGE)


@pytest.mark.step("create")
def test_port_is_published(swarm):
    """Port 8080 on every node leads to port 80 of the tasks."""
    published = found_service(swarm).published
    told = ", ".join(f"{port}:{target}" for port, target in published.items()) or "no port"
    if PORT not in published:
        wrong(
            "{name} should publish port {port}",
            found=told,
            look=LS,
            hint="Put the port that people connect to before the colon. "
            "On `m1`, run `docker service rm {name}`, then create it again.",
            name=NAME,
            port=PORT,
        )
    if published[PORT] != TARGET:
        wrong("port {port} should lead to port {target}", found=told, look=LS, hint=AGAIN, port=PORT, target=TARGET)


@pytest.mark.step("create")
def test_three_tasks(swarm):
    """All three tasks are running."""
    must_have(found_service(swarm), 3)


def must_have(service, count, *, before=None):
    """Say how far a service is from so many running tasks; `before` is how many it had when the step began."""
    if service.replicas == before:
        not_yet("{name} still has {before} tasks", look=LS, name=NAME, before=before)
    if service.replicas != count:
        wrong(
            "{name} should have {count} tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}={count}` changes the number.",
            name=NAME,
            count=count,
        )
    service.must_run()


# -- where


@pytest.mark.step("where")
def test_node_of_the_first_task(swarm, answer):
    """You know which node runs nginx-service.1."""
    service = found_service(swarm)
    said = answer("node").strip("`'\" .").casefold()
    hosts = swarm.hostnames()
    right = {hosts.get(task.node_id, "").casefold() for task in service.running() if task.slot == 1}
    if not right:
        not_yet("{name}.1 does not run", look=PS, name=NAME)
    if said not in right:
        known = {name.casefold() for name in hosts.values()}
        wrong(
            "{name}.1 runs on another node" if said in known else "the answer should be the name of a node",
            found=said,
            look=PS,
            name=NAME,
        )


# -- scale, mesh


@pytest.mark.step("scale")
def test_five_tasks(swarm):
    """All five tasks are running."""
    must_have(found_service(swarm), 5, before=3)


@pytest.mark.step("mesh")
def test_one_task(swarm):
    """Exactly one task is running."""
    service = found_service(swarm)
    if service.replicas == 0:
        wrong(
            "{name} has no tasks, so nothing can answer",
            look=LS,
            hint="`docker service scale {name}=1`.",
            name=NAME,
        )
    if service.replicas > 1:
        not_yet("{name} should have one task", found=service.replicas, look=LS, name=NAME)
    service.must_run()


@pytest.mark.step("mesh")
def test_every_node_answers(swarm):
    """Port 8080 answers on every node."""
    swarm.must_answer_everywhere(PORT)


# -- rm


@pytest.mark.step("rm")
def test_service_is_gone(swarm):
    """The service is gone."""
    if NAME in [service.name for service in swarm.services()]:
        not_yet("{name} is still there", look=LS, name=NAME)


@pytest.mark.step("rm")
def test_containers_are_gone(swarm):
    """No node has a container of the service left."""
    for machine in swarm.machines:
        left = machine.engine.containers([f"com.docker.swarm.service.name={NAME}"]) if machine.is_running else ()
        if left:
            not_yet(
                "{machine} is still stopping {left} of its containers",
                look=f"labctl ssh {machine.name} docker ps",
                machine=machine.name,
                left=len(left),
            )
