"""What is true after each step of the first stack. Every check only reads."""

import re

import pytest

from labctl.checks import not_yet, wrong

STACK, SERVICE = "getstartedlab", "getstartedlab_web"
PORT = 4000
FILE = "/exercise/stack-basics/docker-compose.yml"
DEPLOY = f"docker stack deploy -c {FILE} {STACK}"
NAMESPACE = "com.docker.stack.namespace"
SERVICES = "labctl docker -- stack services getstartedlab"
TASKS = "labctl docker -- service ps getstartedlab_web"
NODES = "labctl docker -- node ls"


def strangers(swarm):
    """Stacks of other names that publish our port or run our image: the file, deployed under another name."""
    return [
        service.stack
        for service in swarm.services()
        if service.stack and service.stack != STACK
        if PORT in service.published or service.image.startswith("friendlyhello")
    ]


def short(name):
    """What labctl calls a node for short: worker2 is w2."""
    return re.sub(r"^([mw])[a-z]+(?=\d+$)", r"\1", name)


# -- deploy


@pytest.mark.step("deploy")
def test_the_stack_is_there(swarm):
    """The stack getstartedlab is deployed."""
    others = strangers(swarm)
    if others and not swarm.services(stack=STACK):
        wrong(
            f"the stack is called {others[0]}, not {STACK}",
            look="labctl docker -- stack ls",
            hint=f"`docker stack rm {others[0]}` takes it away. Then deploy the file as {STACK}.",
        )
    swarm.stack(STACK).service("web")


@pytest.mark.step("deploy")
def test_it_runs(swarm):
    """Its service web has all its tasks."""
    swarm.stack(STACK).must_run()


@pytest.mark.step("deploy")
def test_the_page_answers(swarm):
    """The page answers on port 4000."""
    answer = swarm.http("m1", PORT)
    if not answer.ok:
        not_yet("the page does not answer yet", found=answer, look=f"curl {answer.url}")


# -- anywhere


@pytest.mark.step("anywhere")
def test_which_node_is_idle(swarm, answer):
    """You know which node runs no task."""
    said = answer("idle").strip().casefold()
    hosts = sorted(node.hostname for node in swarm.nodes() if node.state == "ready")
    meant = next((host for host in hosts if said in (host.casefold(), short(host))), None)
    if meant is None:
        wrong(f"there is no node {said}", found=f"there is {', '.join(hosts)}", look=NODES)
    if meant in swarm.service(SERVICE).nodes():
        wrong(f"{meant} runs a task of web", look=TASKS, hint="Look for the node that the list does not have.")


# -- scale


@pytest.mark.step("scale")
@pytest.mark.every(2)
def test_six_tasks_are_wanted(swarm, node):
    """The service web shall have six tasks."""
    replicas = swarm.service(SERVICE).replicas
    if replicas == 6:
        return
    refuse_second_stack(swarm)
    if replicas != 2:
        wrong(
            f"web shall have 6 tasks, not {replicas}",
            look=SERVICES,
            hint=f"`replicas: 6` in the file, then `{DEPLOY}`.",
        )
    if said_by_file(node) == "6":
        not_yet("the file says 6, and the swarm has not been told", found=replicas, look=SERVICES, hint=f"`{DEPLOY}`")
    not_yet("web has 2 tasks, and shall have 6", look=SERVICES)


@pytest.mark.step("scale")
@pytest.mark.every(2)
def test_the_file_says_so(node):
    """The stack file says so too."""
    said = said_by_file(node)
    if said != "6":
        wrong(
            f"the swarm has 6 tasks, and the file still says replicas: {said}",
            look=f"labctl ssh m1 cat {FILE}",
            hint="The next deployment would make it as the file says. Let the file say 6, and deploy it.",
        )


@pytest.mark.step("scale")
def test_six_tasks_run(swarm):
    """All six run."""
    swarm.service(SERVICE).must_run()


def said_by_file(node):
    """The number of replicas in the learner's file."""
    lines = node("m1").run(f"cat {FILE}").stdout.splitlines()
    return next(
        (line.split(":")[1].split("#")[0].strip() for line in lines if line.strip().startswith("replicas:")), "nothing"
    )


def refuse_second_stack(swarm):
    """Tell of the file deployed once more under another name: its port is taken, so only its network is there."""
    labels = [network.get("Labels") or {} for network in swarm.view.engine.networks()]
    found = {label[NAMESPACE] for label in labels if NAMESPACE in label}
    idle = found - {service.stack for service in swarm.services()} - {STACK}
    for name in sorted(idle | set(strangers(swarm))):
        wrong(
            f"{name} is a second stack beside {STACK}",
            look="labctl docker -- network ls",
            hint=f"`docker stack rm {name}` takes it away. Then deploy the file as {STACK}.",
        )


# -- leave


@pytest.mark.step("leave")
def test_a_worker_left(swarm):
    """Worker 2 has left the swarm."""
    left, second = {machine.name for machine in gone(swarm)}, swarm.machine("w2").name
    if second in left:
        return
    if left:
        other = sorted(left)[0]
        wrong(
            f"{other} has left, not {second}",
            look=NODES,
            hint=f"On m1: `docker swarm join-token worker`; type the line that it prints on {other}. "
            "Then let w2 leave.",
        )
    for node in swarm.nodes():
        if node.availability == "drain":
            wrong(
                f"{node.hostname} is drained, and still a member",
                look=NODES,
                hint=f"`docker node update --availability active {node.hostname}` takes that back. "
                "To leave is the node's own word: `docker swarm leave`, typed there.",
            )
    not_yet("all nodes are members", look=NODES)


@pytest.mark.step("leave")
def test_the_managers_know(swarm):
    """The managers know that it is gone."""
    missing = {machine.name for machine in gone(swarm)}
    for node in swarm.nodes():
        if node.hostname in missing and node.state == "ready":
            not_yet(f"the managers still take {node.hostname} for ready", look=NODES)


@pytest.mark.step("leave")
def test_the_others_took_its_tasks(swarm):
    """All six tasks run on the nodes that are left."""
    swarm.service(SERVICE).must_run()


def gone(swarm):
    """The workers' machines that run and are in no swarm."""
    workers = [machine for machine in swarm.machines if machine.is_running and not machine.is_manager]
    return [machine for machine in workers if not is_member(machine)]


def is_member(machine):
    """Whether a node's engine takes itself for a member of a swarm."""
    return machine.engine.info()["Swarm"]["LocalNodeState"] == "active"


# -- return


@pytest.mark.step("return")
def test_it_came_back(swarm):
    """It has joined again, as a worker."""
    for machine in gone(swarm):
        not_yet(f"{machine.name} is in no swarm", look=f'labctl ssh {machine.name} "docker info | grep -A 3 Swarm:"')
    deployed = swarm.service(SERVICE).created
    back = [node for node in swarm.nodes() if node.created > deployed]
    if not back:
        not_yet("no node has joined since the stack was deployed", look=NODES)
    for node in back:
        if node.role == "manager":
            wrong(
                f"{node.hostname} joined as a manager",
                look=NODES,
                hint=f"On m1: `docker node demote {node.id}` makes a worker of it.",
            )
        if node.state != "ready":
            not_yet(f"{node.hostname} is not ready yet", found=node.state, look=NODES)


@pytest.mark.step("return")
def test_no_old_entry_is_left(swarm):
    """Each node is there once."""
    nodes = swarm.nodes()
    ready = {node.hostname for node in nodes if node.state == "ready"}
    for node in nodes:
        if node.state == "down" and node.hostname in ready:
            not_yet(
                f"{node.hostname} is there twice, once of them Down",
                look=NODES,
                hint=f"`docker node rm {node.id}` on m1; that is the id of the one that is Down.",
            )


# -- remove


@pytest.mark.step("remove")
def test_no_service_is_left(swarm):
    """The stack has no service any more."""
    left = swarm.services(stack=STACK)
    if left:
        not_yet(f"the service {left[0].name} is there", look="labctl docker -- stack ls")


@pytest.mark.step("remove")
def test_no_network_is_left(swarm):
    """Its network is gone too."""
    if f"{STACK}_default" in swarm.network_names().values():
        not_yet(
            "the stack's network is still there",
            look="labctl docker -- network ls",
            hint=f"`docker stack rm {STACK}` takes away all of the stack, `docker service rm` only a service.",
        )
