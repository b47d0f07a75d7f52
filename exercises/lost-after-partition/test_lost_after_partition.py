"""What is true once every node finds the task again, however that came. What must not change is asked first."""

import pytest

from labctl.checks import not_yet, wrong

NAME, PORT, TARGET = "shop", 8121, 80
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
SILENCE = 2.0  # seconds; who answers at all does so in milliseconds


@pytest.mark.step("repair")
def test_shop_runs_once(swarm):
    """The service shop has one task."""
    there = {service.name for service in swarm.services()}
    if NAME not in there:
        not_yet(
            "there is no service {name} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: the service is made anew.",
            name=NAME,
        )
    shop = swarm.service(NAME)
    if shop.replicas != 1:
        wrong(
            "{name} should have one task: more tasks hide the fault only",
            found=shop.replicas,
            look=LS,
            hint="`docker service scale {name}=1`.",
            name=NAME,
        )


@pytest.mark.step("repair")
def test_shop_stays(swarm):
    """Its task stays on worker 1, and every node publishes port 8121."""
    shop, home = swarm.service(NAME), swarm.machine("w1").name
    constraints = shop.spec["TaskTemplate"].get("Placement", {}).get("Constraints") or []
    if f"node.hostname=={home}" not in [constraint.replace(" ", "") for constraint in constraints]:
        wrong(
            "{name} should stay on {home}: its disk is there",
            found=", ".join(constraints) or "no constraint",
            look=f"labctl docker -- service inspect --pretty {NAME}",
            hint="`docker service update --constraint-add node.hostname=={home} {name}`.",
            name=NAME,
            home=home,
        )
    if shop.published.get(PORT) != TARGET:
        wrong(
            "{name} should publish port {port} in ingress mode, on every node, to port {target}",
            found=", ".join(f"{port.published} ({port.mode})" for port in shop.facts.ports) or "no port",
            look=f"labctl docker -- service inspect --pretty {NAME}",
            name=NAME,
            port=PORT,
            target=TARGET,
        )


@pytest.mark.step("repair")
def test_nodes_are_ready(swarm):
    """Every node of the lab is in the swarm, and ready."""
    ready = {node.hostname for node in swarm.nodes() if node.state == "ready"}
    for machine in swarm.machines:
        if machine.name not in ready:
            not_yet("{machine} is not ready", look="labctl status", machine=machine.name)


@pytest.mark.step("repair")
def test_task_runs(swarm):
    """Its task runs."""
    swarm.service(NAME).must_run()


@pytest.mark.every(2)  # no engine tells of a line in that list
@pytest.mark.step("repair")
def test_every_node_answers(swarm):
    """Port 8121 answers on every node."""
    pages = swarm.http_everywhere(PORT, limit=SILENCE)
    silent = sorted(node for node, page in pages.items() if not page.ok)
    if silent:
        answering = ", ".join(sorted(set(pages) - set(silent))) or "no node"
        not_yet(
            "{name} does not answer on {silent}",
            found="answers on {answering}",
            look=f"labctl ssh m1 curl -sS -m 2 -o /dev/null {pages[silent[0]].url}",
            name=NAME,
            silent=", ".join(silent),
            answering=answering,
        )
