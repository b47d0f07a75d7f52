"""What is true once each variable is filled in where it should be, however that was done."""

import pytest

from labctl.checks import not_yet, wrong

HELLO, WHO = 8102, 8103
GREETING, SERVED = "Welcome to the shop", "served by "


def pages(swarm, stack, port):
    """What each node answers; "not yet" where one does not."""
    found = swarm.http_everywhere(port, limit=2.0)
    for node, page in found.items():
        if not page.ok:
            not_yet("{node} does not answer", found=page.error, look=f"labctl docker -- stack ps {stack}", node=node)
    return {node: page.body.strip() for node, page in found.items()}


# -- greet


@pytest.mark.step("greet")
def test_hello_is_there(swarm):
    """The stack hello has its service."""
    swarm.stack("hello").service("web")


@pytest.mark.every(2)
@pytest.mark.step("greet")
def test_every_node_greets(swarm):
    """Port 8102 answers with the greeting, on every node."""
    for node, body in pages(swarm, "hello", HELLO).items():
        if not body:
            not_yet("{node} answers with an empty line", look=f"labctl ssh m1 curl -s localhost:{HELLO}", node=node)
        if body != GREETING:
            not_yet(
                "{node} greets with another text",
                found=body[:60],
                look="labctl docker -- service inspect --pretty hello_web",
                node=node,
            )


@pytest.mark.step("greet")
def test_hello_runs(swarm):
    """Its task runs."""
    swarm.stack("hello").must_run()


# -- alone


@pytest.mark.step("alone")
def test_who_has_two_tasks(swarm):
    """The stack who has its service, with two tasks."""
    web = swarm.stack("who").service("web")
    if web.replicas != 2:
        wrong("who_web should have two tasks", found=web.replicas, look="labctl docker -- service ls")


@pytest.mark.every(2)
@pytest.mark.step("alone")
def test_each_task_says_its_name(swarm):
    """Port 8103 answers with the name of a container."""
    web = swarm.service("who_web")
    own = web.spec["TaskTemplate"]["ContainerSpec"].get("Hostname")  # then names are what the file says
    names = {task.container_id[:12] for task in web.running()}
    nodes = {node.hostname for node in swarm.nodes()}
    for node, body in pages(swarm, "who", WHO).items():
        name = body.removeprefix(SERVED).strip()
        if not name or name in nodes or (name not in names and not own):
            not_yet(
                "{node} answers with a name that is no container's",
                found=body[:60] or "an empty line",
                look="labctl docker -- service inspect --pretty who_web",
                node=node,
            )


@pytest.mark.step("alone")
def test_who_runs(swarm):
    """Both tasks run."""
    swarm.stack("who").must_run()
