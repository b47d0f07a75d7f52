"""What is true after each step about published ports, and about names inside."""

import pytest

from labctl.checks import not_yet, wrong

HELLO, OTHER, CLIENT, QUOTE, INSIDE = "hello", "other", "client", "quote", "inside"
CHOSEN = range(30000, 32768)  # what the swarm chooses from
PORT, TARGET = 8070, 80
LS = "labctl docker -- service ls"


def the_service(swarm, name):
    """The service of that name; "not yet" with a hint while there is none."""
    if name not in {service.name for service in swarm.services()}:
        not_yet(f"there is no service {name}", look=LS)
    return swarm.service(name)


def look_at(name):
    """The command that shows what a service is set to do."""
    return f"labctl docker -- service inspect --pretty {name}"


def told(service):
    """A service's ports as a learner types them."""
    return ", ".join(f"{port.published}:{port.target} ({port.mode})" for port in service.facts.ports) or "no port"


def anew(name):
    """The hint that a service is to be made once more."""
    return f"`docker service rm {name}` on `m1`, and create it again."


# -- choose


@pytest.mark.step("choose")
def test_swarm_chose_a_port(swarm):
    """The service hello is published on a port that the swarm chose, and that leads to port 80."""
    chosen_port(swarm)


def chosen_port(swarm):
    """The port of hello, once it is one that the swarm chose."""
    hello = the_service(swarm, HELLO)
    if TARGET not in hello.published.values():
        tell = wrong if hello.facts.ports else not_yet
        tell(f"a port of {HELLO} should lead to port {TARGET}", found=told(hello), look=LS, hint=anew(HELLO))
    chosen = [port for port, target in hello.published.items() if target == TARGET and port in CHOSEN]
    if not chosen:
        wrong(
            f"{HELLO} should let the swarm choose its port",
            found=told(hello),
            look=LS,
            hint=f"{anew(HELLO)} `--publish 80` has one number only.",
        )
    return chosen[0]


@pytest.mark.step("choose")
def test_hello_runs(swarm):
    """All its tasks run."""
    the_service(swarm, HELLO).must_run()


@pytest.mark.step("choose")
def test_port_is_known(swarm, answer):
    """You know the port."""
    said, port = answer("port").strip(" .:*"), chosen_port(swarm)
    if said == str(TARGET):
        wrong("that is the port inside the container", found=said, look=LS)
    if said != str(port):
        wrong(f"{HELLO} is published on another port", found=said, look=LS)


# -- doors


@pytest.mark.step("doors")
def test_every_node_answers(swarm):
    """Every node answers on that port."""
    must_answer_everywhere(swarm, chosen_port(swarm))


def must_answer_everywhere(swarm, port):
    """Say which node does not answer on a port."""
    for node, page in swarm.http_everywhere(port).items():
        if not page.ok:
            not_yet(f"port {port} does not answer on {node}", found=page, look=f"labctl ssh m1 curl {page.url}")


# -- clash


@pytest.mark.step("clash")
def test_other_has_a_port_of_its_own(swarm):
    """The service other publishes port 8070, which leads to port 80."""
    other = the_service(swarm, OTHER)
    ports = {port.published: port for port in other.facts.ports}
    if PORT not in ports:
        wrong(f"{OTHER} should publish port {PORT}", found=told(other), look=LS, hint=anew(OTHER))
    if ports[PORT].target != TARGET:
        wrong(f"port {PORT} should lead to port {TARGET}", found=told(other), look=LS, hint=anew(OTHER))
    if ports[PORT].mode != "ingress":
        wrong(
            f"port {PORT} should be open on every node, not only where a task runs",
            found=told(other),
            look=LS,
            hint=f"{anew(OTHER)} `--publish {PORT}:{TARGET}` is enough.",
        )


@pytest.mark.step("clash")
def test_other_answers(swarm):
    """It answers on every node."""
    the_service(swarm, OTHER).must_run()
    must_answer_everywhere(swarm, PORT)


# -- inside


@pytest.mark.step("inside")
def test_network_is_there(swarm):
    """There is an overlay network called inside."""
    network = swarm.network(INSIDE)
    if network["Driver"] != "overlay":
        wrong(
            f"{INSIDE} should be an overlay network: this one is for a single node",
            found=network["Driver"],
            look="labctl docker -- network ls",
            hint=f"`docker network rm {INSIDE}` on `m1`, and create it with `--driver overlay`.",
        )


@pytest.mark.step("inside")
def test_both_are_in_it(swarm):
    """The services hello and client are in it, and run."""
    must_be_inside(swarm, HELLO, tell=not_yet).must_run()
    must_be_inside(swarm, CLIENT).must_run()


def must_be_inside(swarm, name, *, tell=wrong):
    """The service of that name, once it is in the network."""
    service = the_service(swarm, name)
    if INSIDE not in service.networks:
        tell(
            f"{name} should be in the network {INSIDE}",
            found=", ".join(sorted(service.networks)) or "no network",
            look=look_at(name),
            hint=f"`docker service update --detach --network-add {INSIDE} {name}`.",
        )
    return service


@pytest.mark.step("inside")
def test_client_reaches_hello(swarm):
    """The client reaches hello by its name."""
    must_reach(swarm, HELLO)


def must_reach(swarm, name):
    """Say that a call by name does not come through, as the one who called says it."""
    called = the_service(swarm, CLIENT).run(f"wget -qO- -T 3 http://{name}")
    if not called.ok:
        not_yet(f"{CLIENT} does not reach {name} yet", found=called.stderr.strip(), look=look_at(name))


# -- vip


@pytest.mark.step("vip")
def test_four_tasks(swarm):
    """The service hello has four tasks."""
    hello = the_service(swarm, HELLO)
    if hello.replicas != 4:
        wanted = f"{HELLO} should have four tasks"
        if hello.replicas == 2:
            not_yet(wanted, found=2, look=LS)
        wrong(wanted, found=hello.replicas, look=LS, hint=f"`docker service scale --detach {HELLO}=4`.")
    hello.must_run()


@pytest.mark.step("vip")
def test_address_is_known(swarm, answer):
    """You know the address of the service hello in the network inside."""
    said, hello = answer("vip").strip().partition("/")[0], must_be_inside(swarm, HELLO)
    network = swarm.network(INSIDE)["Id"]
    look = f"labctl docker -- service inspect --format '{{{{json .Endpoint.VirtualIPs}}}}' {HELLO}"
    vips = {vip["NetworkID"]: bare(vip["Addr"]) for vip in hello.facts.raw["Endpoint"].get("VirtualIPs") or ()}
    if said == vips.get(network):
        return
    if said in addresses(hello, network):
        wrong(f"{said} is the address of one task, and not of the service", look=look)
    if said in vips.values():
        wrong(f"{said} is the address of {HELLO} in another network", look=look)
    if said == "127.0.0.11":
        wrong(f"{said} is the name server, which you asked", hint="You want the address below `Name:`.")
    wrong(f"the name {HELLO} leads to another address", found=said, look=look)


def addresses(service, network):
    """The addresses of a service's tasks in a network."""
    attached = [one for task in service.running() for one in task.raw.get("NetworksAttachments") or ()]
    return {bare(one["Addresses"][0]) for one in attached if one["Network"]["ID"] == network and one.get("Addresses")}


def bare(address):
    """An address without the size of its network."""
    return address.partition("/")[0]


# -- quote


@pytest.mark.step("quote")
def test_quote_has_no_port(swarm):
    """The service quote is published on no port."""
    quote = the_service(swarm, QUOTE)
    if quote.facts.ports:
        wrong(
            f"{QUOTE} should be published on no port",
            found=told(quote),
            look=LS,
            hint=f"`docker service update --detach --publish-rm {quote.facts.ports[0].target} {QUOTE}`.",
        )


@pytest.mark.step("quote")
def test_client_reaches_quote(swarm):
    """It is in the network inside, and the client reaches it by its name."""
    must_be_inside(swarm, QUOTE).must_run()
    must_reach(swarm, QUOTE)
