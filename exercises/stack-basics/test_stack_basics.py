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
            "the stack is called {other}, not {stack}",
            look="labctl docker -- stack ls",
            hint="`docker stack rm {other}` removes it. Then deploy the file as {stack}.",
            other=others[0],
            stack=STACK,
        )
    swarm.stack(STACK).service("web")


@pytest.mark.step("deploy")
def test_it_runs(swarm):
    """All tasks of the service web are running."""
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
        wrong("there is no node {said}", found="there is {hosts}", look=NODES, said=said, hosts=", ".join(hosts))
    if meant in swarm.service(SERVICE).nodes():
        wrong(
            "{meant} runs a task of web",
            look=TASKS,
            hint="Look for the node that is missing from the list.",
            meant=meant,
        )


# -- scale


@pytest.mark.step("scale")
@pytest.mark.every(2)
def test_six_tasks_are_wanted(swarm, node):
    """The service web is set to six replicas."""
    replicas = swarm.service(SERVICE).replicas
    if replicas == 6:
        return
    refuse_second_stack(swarm)
    if replicas != 2:
        wrong(
            "web should have 6 replicas, not {replicas}",
            look=SERVICES,
            hint="`replicas: 6` in the file, then `{deploy}`.",
            replicas=replicas,
            deploy=DEPLOY,
        )
    if said_by_file(node) == "6":
        not_yet(
            "the file says 6 but has not been deployed",
            found=replicas,
            look=SERVICES,
            hint="`{deploy}`",
            deploy=DEPLOY,
        )
    not_yet("web has 2 replicas and needs 6", look=SERVICES)


@pytest.mark.step("scale")
@pytest.mark.every(2)
def test_the_file_says_so(node):
    """The stack file also says six."""
    said = said_by_file(node)
    if said != "6":
        wrong(
            "the swarm has 6 tasks, and the file still says replicas: {said}",
            look=f"labctl ssh m1 cat {FILE}",
            hint="The next deployment would undo this. Set `replicas: 6` in the file and deploy it.",
            said=said,
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
            "there is a second stack, {name}, next to {stack}",
            look="labctl docker -- network ls",
            hint="`docker stack rm {name}` removes it. Then deploy the file as {stack}.",
            name=name,
            stack=STACK,
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
            "{other} has left, not {second}",
            look=NODES,
            hint="On m1: `docker swarm join-token worker`; type the line that it prints on {other}. Then let w2 leave.",
            other=other,
            second=second,
        )
    for node in swarm.nodes():
        if node.availability == "drain":
            wrong(
                "{node} is drained but still in the swarm",
                look=NODES,
                hint="`docker node update --availability active {node}` undoes that. "
                "A node leaves by itself: run `docker swarm leave` on that node.",
                node=node.hostname,
            )
    not_yet("all nodes are still in the swarm", look=NODES)


@pytest.mark.step("leave")
def test_the_managers_know(swarm):
    """The managers see it as Down."""
    missing = {machine.name for machine in gone(swarm)}
    for node in swarm.nodes():
        if node.hostname in missing and node.state == "ready":
            not_yet("the managers still see {node} as Ready", look=NODES, node=node.hostname)


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
        not_yet(
            "{machine} is not in a swarm",
            look=f'labctl ssh {machine.name} "docker info | grep -A 3 Swarm:"',
            machine=machine.name,
        )
    deployed = swarm.service(SERVICE).created
    back = [node for node in swarm.nodes() if node.created > deployed]
    if not back:
        not_yet("no node has joined since the stack was deployed", look=NODES)
    for node in back:
        if node.role == "manager":
            wrong(
                "{node} joined as a manager",
                look=NODES,
                hint="On m1: `docker node demote {id}` makes it a worker.",
                node=node.hostname,
                id=node.id,
            )
        if node.state != "ready":
            not_yet("{node} is not ready yet", found=node.state, look=NODES, node=node.hostname)


@pytest.mark.step("return")
def test_no_old_entry_is_left(swarm):
    """Each node is listed once."""
    nodes = swarm.nodes()
    ready = {node.hostname for node in nodes if node.state == "ready"}
    for node in nodes:
        if node.state == "down" and node.hostname in ready:
            not_yet(
                "{node} is listed twice, once as Down",
                look=NODES,
                hint="`docker node rm {id}` on m1; that is the id of the one that is Down.",
                node=node.hostname,
                id=node.id,
            )


# -- remove


@pytest.mark.step("remove")
def test_no_service_is_left(swarm):
    """The stack has no service any more."""
    left = swarm.services(stack=STACK)
    if left:
        not_yet("the service {name} still exists", look="labctl docker -- stack ls", name=left[0].name)


@pytest.mark.step("remove")
def test_no_network_is_left(swarm):
    """Its network is gone too."""
    if f"{STACK}_default" in swarm.network_names().values():
        not_yet(
            "the stack's network is still there",
            look="labctl docker -- network ls",
            hint="`docker stack rm {stack}` removes the whole stack, `docker service rm` only a service.",
            stack=STACK,
        )
