"""What is true after each step about published ports, and about names inside."""

import pytest

from labctl.checks import not_yet, wrong

HELLO, OTHER, CLIENT, QUOTE, INSIDE = "hello", "other", "client", "quote", "inside"
CHOSEN = range(30000, 32768)  # what the swarm chooses from
PORT, TARGET = 8070, 80
LS = "labctl docker -- service ls"
AGAIN = "On `m1`, run `docker service rm {name}`, then create it again."
OUTSIDE = "{name} should be in the network {network}"
ADD = "`docker service update --detach --network-add {network} {name}`."


def the_service(swarm, name):
    """The service of that name; "not yet" with a hint while there is none."""
    if name not in {service.name for service in swarm.services()}:
        not_yet("there is no service {name}", look=LS, name=name)
    return swarm.service(name)


def look_at(name):
    """The command that shows what a service is set to do."""
    return f"labctl docker -- service inspect --pretty {name}"


def told(service):
    """A service's ports as a learner types them."""
    return ", ".join(f"{port.published}:{port.target} ({port.mode})" for port in service.facts.ports)


# -- choose


@pytest.mark.step("choose")
def test_swarm_chose_a_port(swarm):
    """The swarm chose a port for the service hello, and it leads to port 80."""
    chosen_port(swarm)


def chosen_port(swarm):
    """The port of hello, once it is one that the swarm chose."""
    hello = the_service(swarm, HELLO)
    if not hello.facts.ports:
        not_yet("{name} publishes no port", look=LS, hint=AGAIN, name=HELLO)
    if TARGET not in hello.published.values():
        wrong(
            "a port of {name} should lead to port {target}",
            found=told(hello),
            look=LS,
            hint=AGAIN,
            name=HELLO,
            target=TARGET,
        )
    chosen = [port for port, target in hello.published.items() if target == TARGET and port in CHOSEN]
    if not chosen:
        wrong(
            "{name} should let the swarm choose its port",
            found=told(hello),
            look=LS,
            hint="On `m1`, run `docker service rm {name}`, then create it again: "
            "`--publish {target}` has one number only.",
            name=HELLO,
            target=TARGET,
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
        wrong("{name} is published on another port", found=said, look=LS, name=HELLO)


# -- doors


@pytest.mark.step("doors")
def test_every_node_answers(swarm):
    """Every node answers on that port."""
    swarm.must_answer_everywhere(chosen_port(swarm))


# -- clash


@pytest.mark.step("clash")
def test_other_has_a_port_of_its_own(swarm):
    """The service other publishes port 8070, which leads to port 80."""
    other = the_service(swarm, OTHER)
    ports = {port.published: port for port in other.facts.ports}
    if PORT not in ports:
        wrong(
            "{name} should publish port {port}",
            found=told(other) if ports else "no port",
            look=LS,
            hint=AGAIN,
            name=OTHER,
            port=PORT,
        )
    if ports[PORT].target != TARGET:
        wrong(
            "port {port} should lead to port {target}",
            found=told(other),
            look=LS,
            hint=AGAIN,
            name=OTHER,
            port=PORT,
            target=TARGET,
        )
    if ports[PORT].mode != "ingress":
        wrong(
            "port {port} should be open on every node, not only where a task runs",
            found=told(other),
            look=LS,
            hint="On `m1`, run `docker service rm {name}`, then create it again: "
            "`--publish {port}:{target}` is enough.",
            name=OTHER,
            port=PORT,
            target=TARGET,
        )


@pytest.mark.step("clash")
def test_other_answers(swarm):
    """It answers on every node."""
    the_service(swarm, OTHER).must_run()
    swarm.must_answer_everywhere(PORT)


# -- inside


@pytest.mark.step("inside")
def test_network_is_there(swarm):
    """There is an overlay network called inside."""
    network = swarm.network(INSIDE)
    if network["Driver"] != "overlay":
        wrong(
            "{inside} should be an overlay network: this one is for a single node",
            found=network["Driver"],
            look="labctl docker -- network ls",
            hint="On `m1`, run `docker network rm {inside}`, then create it again with `--driver overlay`.",
            inside=INSIDE,
        )


@pytest.mark.step("inside")
def test_both_are_in_it(swarm):
    """The services hello and client are in it, and run."""
    must_be_inside(swarm, HELLO, is_older=True).must_run()
    must_be_inside(swarm, CLIENT).must_run()


def must_be_inside(swarm, name, *, is_older=False):
    """The service of that name, once it is in the network; `is_older` for one that was there before the network."""
    service = the_service(swarm, name)
    if INSIDE not in service.networks:
        found, look = ", ".join(sorted(service.networks)), look_at(name)
        if is_older:
            not_yet(OUTSIDE, found=found if found else "no network", look=look, hint=ADD, name=name, network=INSIDE)
        wrong(OUTSIDE, found=found if found else "no network", look=look, hint=ADD, name=name, network=INSIDE)
    return service


@pytest.mark.step("inside")
def test_client_reaches_hello(swarm):
    """The client reaches hello by its name."""
    must_reach(swarm, HELLO)


def must_reach(swarm, name):
    """Say that a call by name does not come through, as the one who called says it."""
    called = the_service(swarm, CLIENT).run(f"wget -qO- -T 3 http://{name}")
    if not called.ok:
        not_yet(
            "{client} does not reach {name} yet",
            found=called.stderr.strip(),
            look=look_at(name),
            client=CLIENT,
            name=name,
        )


# -- vip


@pytest.mark.step("vip")
def test_four_tasks(swarm):
    """The service hello has four tasks."""
    hello = the_service(swarm, HELLO)
    if hello.replicas == 2:
        not_yet("{name} should have four tasks", found=2, look=LS, name=HELLO)
    if hello.replicas != 4:
        wrong(
            "{name} should have four tasks",
            found=hello.replicas,
            look=LS,
            hint="`docker service scale --detach {name}=4`.",
            name=HELLO,
        )
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
        wrong("{said} is the address of one task, not of the service", look=look, said=said)
    if said in vips.values():
        wrong("{said} is the address of {name} in another network", look=look, said=said, name=HELLO)
    if said == "127.0.0.11":
        wrong("{said} is the name server that you asked", hint="Look for the address below `Name:`.", said=said)
    wrong("the name {name} leads to another address", found=said, look=look, name=HELLO)


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
    """The service quote publishes no port."""
    quote = the_service(swarm, QUOTE)
    if quote.facts.ports:
        wrong(
            "{quote} should publish no port",
            found=told(quote),
            look=LS,
            hint="`docker service update --detach --publish-rm {target} {quote}`.",
            quote=QUOTE,
            target=quote.facts.ports[0].target,
        )


@pytest.mark.step("quote")
def test_client_reaches_quote(swarm):
    """It is in the network inside, and the client reaches it by its name."""
    must_be_inside(swarm, QUOTE).must_run()
    must_reach(swarm, QUOTE)
