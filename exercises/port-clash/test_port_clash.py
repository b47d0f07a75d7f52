"""What is true once each service has its port, and nothing was lost for it. What must not change is asked first."""

import pytest

from labctl.checks import not_yet, wrong

SHOP, GATE, MONITOR = 8092, 8094, 8096
TARGET = 80
LS = "labctl docker -- service ls"
BEGIN_AGAIN = "`labctl exercise reset`, then begin again: the services are made anew."


def inspect(name):
    """The command that shows a service's ports, those in host mode too."""
    return f"labctl docker -- service inspect --pretty {name}"


def ps(name):
    """The command that shows a service's tasks."""
    return f"labctl docker -- service ps --no-trunc {name}"


def service_of(swarm, name):
    """The service; one that was removed is told as that."""
    if name not in {service.name for service in swarm.services()}:
        not_yet(f"there is no service {name} any more", look=LS, hint=BEGIN_AGAIN)
    return swarm.service(name)


def ports_of(service):
    """Its ports in words."""
    return ", ".join(f"{port.published} to {port.target} ({port.mode})" for port in service.facts.ports) or "no port"


def must_have_one_task(swarm, name):
    """A service with one task."""
    service = service_of(swarm, name)
    if service.replicas != 1:
        wrong(f"{name} should run one task", found=service.replicas, look=LS, hint=f"`docker service scale {name}=1`.")
    return service


def must_open(service, published):
    """A service that opens a port of each node by itself."""
    mine = [
        port for port in service.facts.ports if (port.published, port.target, port.mode) == (published, TARGET, "host")
    ]
    if not mine:
        wrong(
            f"{service.name} should open port {published} of each node in host mode, and lead to {TARGET}",
            found=ports_of(service),
            look=inspect(service.name),
            hint=f"`--publish-add mode=host,published={published},target={TARGET}` opens it. `--publish-rm` "
            "takes another one away, and wants to know its mode too.",
        )


def must_be_wanted_everywhere(swarm, service):
    """A service that shall have a task on every node of the swarm."""
    names = {node.hostname for node in swarm.nodes()}
    left_out = sorted(names - service.allowed_nodes())
    if not service.facts.is_global or left_out:
        wrong(
            f"{service.name} should run on every node",
            found=f"its constraints leave out {', '.join(left_out)}" if left_out else f"mode {service.facts.mode}",
            look=inspect(service.name),
            hint="Make room for its port where it is taken; do not keep it away from there.",
        )
    for node in swarm.nodes():
        if node.availability != "active":
            wrong(
                f"{node.hostname} should be Active: {service.name} is wanted there too",
                found=node.availability,
                look="labctl docker -- node ls",
            )


def must_be_everywhere(swarm, service, published):
    """A service that has a task on every node of the swarm, and answers there.

    That an update of it was paused once does not count: what is in the way may be on a node, and not in the service.
    """
    missing = sorted({node.hostname for node in swarm.nodes()} - service.nodes())
    if missing:
        not_yet(f"{service.name} does not run on {', '.join(missing)}", look=LS)
    silent = sorted(name for name, page in swarm.http_everywhere(published, limit=2.0).items() if not page.ok)
    if silent and service.facts.update_state == "paused":
        wrong(
            f"an update of {service.name} was paused half way, so that {', '.join(silent)} runs it as it was before",
            found=service.facts.update_message,
            look=inspect(service.name),
            hint=f"What made it fail is gone? `docker service update --force {service.name}` goes on with it.",
        )
    if silent:
        not_yet(f"{service.name} does not answer on {', '.join(silent)}", look=ps(service.name))


# -- mesh


@pytest.mark.step("mesh")
def test_docs_is_there(swarm):
    """The service docs runs, and publishes a port."""
    docs = must_have_one_task(swarm, "docs")
    if not any(port.target == TARGET for port in docs.facts.ports):
        wrong(
            "docs publishes no port that leads to its page: colleagues cannot reach it any more",
            found=ports_of(docs),
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
            f"shop should publish port {SHOP}, in ingress mode", found=ports_of(shop), look=inspect("shop"),
            hint=f"`--publish-rm {TARGET}` takes a port away, `--publish-add {SHOP}:{TARGET}` gives one.",
        )  # fmt: skip
    if shop.published[SHOP] != TARGET:
        wrong(
            f"port {SHOP} should lead to port {TARGET} of shop: there nginx listens",
            found=shop.published[SHOP],
            look=inspect("shop"),
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
        not_yet(f"shop does not answer on {' and '.join(silent)}", look=ps("shop"))


# -- host


@pytest.mark.step("host")
def test_gate_opens_the_port_itself(swarm):
    """The service gate is for every node, and opens port 8094 there in host mode."""
    gate = service_of(swarm, "gate")
    must_open(gate, GATE)
    must_be_wanted_everywhere(swarm, gate)


@pytest.mark.step("host")
def test_cache_runs(swarm):
    """The service cache runs."""
    cache = must_have_one_task(swarm, "cache")
    if cache.facts.raw.get("PreviousSpec") and any(one.published == GATE for one in cache.facts.ports):
        wrong(
            f"cache was changed, and still opens port {GATE}",
            found=ports_of(cache),
            look=inspect("cache"),
            hint=f"`--publish-rm {TARGET}` means a port of the mesh. This one is "
            f"`--publish-rm mode=host,published={GATE},target={TARGET}`.",
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
    """The service monitor is for every node, and opens port 8096 there in host mode."""
    monitor = service_of(swarm, "monitor")
    must_open(monitor, MONITOR)
    must_be_wanted_everywhere(swarm, monitor)


@pytest.mark.step("alone")
def test_monitor_is_everywhere(swarm):
    """The service monitor runs on every node."""
    must_be_everywhere(swarm, swarm.service("monitor"), MONITOR)
