"""What is true once each service has its port, and nothing was lost for it. What must not change is asked first."""

import pytest

from labctl.checks import not_yet, wrong

SHOP, GATE, MONITOR = 8092, 8094, 8096
TARGET = 80
LS = "labctl docker -- service ls"
BEGIN_AGAIN = "`labctl exercise reset`, then begin again: that creates the services again."


def inspect(name):
    """The command that shows a service's ports, those in host mode too."""
    return f"labctl docker -- service inspect --pretty {name}"


def ps(name):
    """The command that shows a service's tasks."""
    return f"labctl docker -- service ps --no-trunc {name}"


def service_of(swarm, name):
    """The service; one that was removed is told as that."""
    if name not in {service.name for service in swarm.services()}:
        not_yet("there is no service {name} any more", look=LS, hint=BEGIN_AGAIN, name=name)
    return swarm.service(name)


def ports_of(service):
    """Its ports as a learner types them."""
    return ", ".join(f"{port.published}:{port.target} ({port.mode})" for port in service.facts.ports)


def must_have_one_task(swarm, name):
    """A service with one task."""
    service = service_of(swarm, name)
    if service.replicas != 1:
        wrong(
            "{name} should run one task",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}=1`.",
            name=name,
        )
    return service


def must_open(service, published):
    """A service that opens a port of each node by itself."""
    mine = [
        port for port in service.facts.ports if (port.published, port.target, port.mode) == (published, TARGET, "host")
    ]
    if not mine:
        wrong(
            "{service} should open port {published} of each node in host mode, leading to port {target}",
            found=ports_of(service) if service.facts.ports else "no port",
            look=inspect(service.name),
            hint="`--publish-add mode=host,published={published},target={target}` opens it. "
            "`--publish-rm` removes another port, and needs the mode of that port, too.",
            service=service.name,
            published=published,
            target=TARGET,
        )


def must_be_wanted_everywhere(swarm, service):
    """A service that should have a task on every node of the swarm."""
    names = {node.hostname for node in swarm.nodes()}
    left_out = sorted(names - service.allowed_nodes())
    if not service.facts.is_global or left_out:
        wrong(
            "{service} should run on every node",
            found="its constraints leave out {left_out}" if left_out else "mode {mode}",
            look=inspect(service.name),
            hint="Free its port where it is taken; do not keep the service away from there.",
            service=service.name,
            left_out=", ".join(left_out),
            mode=service.facts.mode,
        )
    for node in swarm.nodes():
        if node.availability != "active":
            wrong(
                "{node} should be Active: {service} should run there, too",
                found=node.availability,
                look="labctl docker -- node ls",
                node=node.hostname,
                service=service.name,
            )


def must_be_everywhere(swarm, service, published):
    """A service that has a task on every node of the swarm, and answers there.

    That an update of it was paused once does not count: what is in the way may be on a node, and not in the service.
    """
    missing = sorted({node.hostname for node in swarm.nodes()} - service.nodes())
    if missing:
        not_yet("{service} does not run on {missing}", look=LS, service=service.name, missing=", ".join(missing))
    silent = sorted(name for name, page in swarm.http_everywhere(published, limit=2.0).items() if not page.ok)
    if silent and service.facts.update_state == "paused":
        wrong(
            "an update of {service} was paused halfway: the old version still runs on {silent}",
            found=service.facts.update_message,
            look=inspect(service.name),
            hint="Once the cause is gone, `docker service update --force {service}` continues the update.",
            service=service.name,
            silent=", ".join(silent),
        )
    if silent:
        not_yet(
            "{service} does not answer on {silent}",
            look=ps(service.name),
            service=service.name,
            silent=", ".join(silent),
        )


# -- mesh


@pytest.mark.step("mesh")
def test_docs_is_there(swarm):
    """The service docs is set to run one task, and publishes a port."""
    docs = must_have_one_task(swarm, "docs")
    if not any(port.target == TARGET for port in docs.facts.ports):
        wrong(
            "docs publishes no port that leads to its page: colleagues cannot reach it any more",
            found=ports_of(docs) if docs.facts.ports else "no port",
            look=inspect("docs"),
            hint="Any free port will do: `docker service update --publish-add 8082:80 docs`.",
        )


@pytest.mark.step("mesh")
def test_shop_has_the_port(swarm):
    """The service shop publishes port 8092 on every node."""
    shop = must_have_one_task(swarm, "shop")
    if not shop.facts.ports:
        not_yet("shop publishes no port", look=LS)
    if SHOP not in shop.published:
        wrong(
            "shop should publish port {port}, in ingress mode",
            found=ports_of(shop),
            look=inspect("shop"),
            hint="`--publish-rm {target}` removes a port, `--publish-add {port}:{target}` adds one.",
            port=SHOP,
            target=TARGET,
        )
    if shop.published[SHOP] != TARGET:
        wrong(
            "port {port} should lead to port {target} of shop, where nginx listens",
            found=shop.published[SHOP],
            look=inspect("shop"),
            port=SHOP,
            target=TARGET,
        )


@pytest.mark.step("mesh")
def test_shop_and_docs_run(swarm):
    """Both run."""
    swarm.service("shop").must_run()
    swarm.service("docs").must_run()


@pytest.mark.every(2)
@pytest.mark.step("mesh")
def test_shop_answers(swarm):
    """Port 8092 answers on every node."""
    silent = sorted(name for name, page in swarm.http_everywhere(SHOP, limit=2.0).items() if not page.ok)
    if silent:
        not_yet("shop does not answer on {silent}", look=ps("shop"), silent=", ".join(silent))


# -- host


@pytest.mark.step("host")
def test_gate_opens_the_port_itself(swarm):
    """The service gate is meant for every node, and opens port 8094 there in host mode."""
    gate = service_of(swarm, "gate")
    must_open(gate, GATE)
    must_be_wanted_everywhere(swarm, gate)


@pytest.mark.step("host")
def test_cache_runs(swarm):
    """The service cache runs."""
    cache = must_have_one_task(swarm, "cache")
    if cache.facts.raw.get("PreviousSpec") and any(one.published == GATE for one in cache.facts.ports):
        wrong(
            "cache was changed but still opens port {port}",
            found=ports_of(cache),
            look=inspect("cache"),
            hint="`--publish-rm {target}` removes a port of the routing mesh. "
            "For this one: `--publish-rm mode=host,published={port},target={target}`.",
            port=GATE,
            target=TARGET,
        )
    if not cache.running():
        not_yet("cache does not run", look=ps("cache"))


@pytest.mark.step("host")
def test_gate_is_everywhere(swarm):
    """The service gate runs on every node."""
    must_be_everywhere(swarm, swarm.service("gate"), GATE)
    swarm.service("cache").must_run()


# -- alone


@pytest.mark.step("alone")
def test_monitor_opens_the_port_itself(swarm):
    """The service monitor is meant for every node, and opens port 8096 there in host mode."""
    monitor = service_of(swarm, "monitor")
    must_open(monitor, MONITOR)
    must_be_wanted_everywhere(swarm, monitor)


@pytest.mark.step("alone")
def test_monitor_is_everywhere(swarm):
    """The service monitor runs on every node."""
    must_be_everywhere(swarm, swarm.service("monitor"), MONITOR)
