"""What is true once all machines are in one swarm, and nothing was lost on the way. What must not change is first."""

import pytest

from labctl.checks import not_yet, wrong

SHOP, DOCS = "shop", "docs"
PORTS = {SHOP: 8117, DOCS: 8118}
TARGET = 80
TASKS = 3
LS = "labctl docker -- service ls"
NODES = "labctl docker -- node ls"
MADE = {
    SHOP: "docker service create --name shop --replicas 3 --replicas-max-per-node 1 --publish 8117:80 nginx:latest",
    DOCS: "docker service create --name docs --publish 8118:80 nginx:latest",
}


def inspect(name):
    """The command that shows how a service was made."""
    return f"labctl docker -- service inspect --pretty {name}"


def service_of(swarm, name):
    """The service; one that is not there is told as that, with what makes it."""
    if name not in {service.name for service in swarm.services()}:
        not_yet(
            "there is no service {name} in this swarm",
            look=LS,
            hint="If it is in no other swarm either, this creates it again, on manager 1: `{made}`.",
            name=name,
            made=MADE[name],
        )
    return swarm.service(name)


def must_publish(service):
    """The port by which people know it, on every node."""
    port = PORTS[service.name]
    if service.published.get(port) != TARGET:
        wrong(
            "{name} should publish port {port} on every node, to port {target}",
            found=", ".join(map(str, service.published)) if service.published else "no port",
            look=inspect(service.name),
            name=service.name,
            port=port,
            target=TARGET,
        )


@pytest.mark.step("repair")
def test_shop_is_as_it_was(swarm):
    """The service shop is set to run three tasks, one on each machine, and publishes port 8117."""
    shop = service_of(swarm, SHOP)
    if shop.replicas != TASKS:
        wrong(
            "{name} should want three tasks",
            found=shop.replicas,
            look=LS,
            hint="`docker service scale {name}=3`.",
            name=SHOP,
        )
    most = shop.spec["TaskTemplate"].get("Placement", {}).get("MaxReplicas", 0)
    if most != 1:
        wrong(
            "{name} should run one task at most on each machine: three on one go down together",
            found=most or "no limit",
            look=inspect(SHOP),
            hint="`docker service update --replicas-max-per-node 1 --force {name}`.",
            name=SHOP,
        )
    must_publish(shop)


@pytest.mark.step("repair")
def test_all_machines_are_nodes(swarm):
    """All three machines are nodes of the swarm, and ready."""
    ready = {node.hostname for node in swarm.nodes() if node.state == "ready"}
    for machine in swarm.machines:
        if machine.name not in ready:
            not_yet("{machine} is not among the nodes that are ready", look=NODES, machine=machine.name)


@pytest.mark.step("repair")
def test_the_others_are_workers(swarm):
    """Worker 1 and worker 2 are workers."""
    workers = {swarm.machine("w1").name, swarm.machine("w2").name}
    for node in swarm.nodes():
        if node.hostname in workers and node.role != "worker" and node.state == "ready":
            wrong(
                "{node} is a manager, but should be a worker",
                look=NODES,
                hint="`docker node demote {node}`.",
                node=node.hostname,
            )


@pytest.mark.step("repair")
def test_docs_is_there(swarm):
    """The service docs is there, and publishes port 8118."""
    docs = service_of(swarm, DOCS)
    if docs.replicas < 1:
        wrong("{name} should run at least one task", found=docs.replicas, look=LS, name=DOCS)
    must_publish(docs)


@pytest.mark.step("repair")
def test_both_run(swarm):
    """Both services have all their tasks."""
    for name in PORTS:
        swarm.service(name).must_run()


@pytest.mark.every(2)
@pytest.mark.step("repair")
def test_both_answer(swarm):
    """Ports 8117 and 8118 answer on every node."""
    for port in PORTS.values():
        swarm.must_answer_everywhere(port, limit=2.0)
