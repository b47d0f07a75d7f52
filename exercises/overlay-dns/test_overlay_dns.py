"""What is true after each step about the names of services, and about what they lead to."""

import pytest

from labctl.checks import not_yet, wrong

SHELF, BOX, BAG, ASKER = "shelf", "box", "bag", "asker"
PORT, TARGET = 8121, 80
LS = "labctl docker -- service ls"


def look_at(name):
    """The command that shows what a service is set to do."""
    return f"labctl docker -- service inspect --pretty {name}"


def mode_of(service):
    """`vip` or `dnsrr`."""
    return (service.spec.get("EndpointSpec") or {}).get("Mode") or "vip"


def on_the_shelf(swarm, name):
    """The service of that name, once it is in the network shelf."""
    service = swarm.service(name)
    if SHELF not in service.networks:
        wrong(
            "{name} should be in the network {network}",
            found=", ".join(sorted(service.networks)) or "no network",
            look=look_at(name),
            hint="`docker service update --detach --network-add {network} {name}`.",
            name=name,
            network=SHELF,
        )
    return service


def must_be_two(service):
    """It has two tasks, and both run."""
    if service.replicas != 2:
        wrong(
            "{name} should have two tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale --detach {name}=2`.",
            name=service.name,
        )
    service.must_run()


def bare(address):
    """An address without the size of its network."""
    return address.partition("/")[0]


def addresses(service, network):
    """The addresses of a service's running tasks in a network."""
    attached = [one for task in service.running() for one in task.raw.get("NetworksAttachments") or ()]
    return {bare(one["Addresses"][0]) for one in attached if one["Network"]["ID"] == network and one.get("Addresses")}


# -- who


@pytest.mark.step("who")
def test_the_network_is_there(swarm):
    """There is an overlay network called shelf."""
    network = swarm.network(SHELF)
    if network["Driver"] != "overlay":
        wrong(
            "{shelf} should be an overlay network: this one is for a single node",
            found=network["Driver"],
            look="labctl docker -- network ls",
            hint="On `m1`, run `docker network rm {shelf}`, then create it again with `--driver overlay`.",
            shelf=SHELF,
        )


@pytest.mark.step("who")
def test_box_and_asker_are_in_it(swarm):
    """The services box and asker are in it, and run."""
    must_be_two(on_the_shelf(swarm, BOX))
    asker, home = on_the_shelf(swarm, ASKER), swarm.machine("m1").name
    asker.must_run()
    if home not in asker.nodes():
        wrong(
            "{name} should run on {node}, where you ask from",
            found=", ".join(sorted(asker.nodes())),
            look=f"labctl docker -- service ps {ASKER}",
            hint="On `m1`, run `docker service rm {name}`, then create it again, with the constraint.",
            name=ASKER,
            node=home,
        )


# -- list


@pytest.mark.step("list")
def test_bag_is_a_list(swarm):
    """The name bag leads to each of its two tasks."""
    bag = on_the_shelf(swarm, BAG)
    if mode_of(bag) != "dnsrr":
        wrong(
            "{name} has one address for all its tasks, and should have a list",
            found=mode_of(bag),
            look=look_at(BAG),
            hint="On `m1`, run `docker service rm {name}`, then create it again with `--endpoint-mode dnsrr`.",
            name=BAG,
        )
    must_be_two(bag)


@pytest.mark.step("list")
def test_box_is_one_address(swarm):
    """The name box leads to one address."""
    box = on_the_shelf(swarm, BOX)
    if mode_of(box) != "vip":
        wrong(
            "{name} should have one address for all its tasks",
            found=mode_of(box),
            look=look_at(BOX),
            hint="`docker service update --detach --endpoint-mode vip {name}`.",
            name=BOX,
        )


# -- remember


def remembered(node, name):
    """The address that the learner wrote down for a service."""
    written = node("m1").file(f"/home/docker/{name}.txt")
    said = written.content_string.strip() if written.exists else ""
    if not said:
        not_yet("no address of {name} is written down", look=f"labctl ssh m1 cat {name}.txt", name=name)
    return said


@pytest.mark.every(2)
@pytest.mark.step("remember")
def test_box_is_remembered(swarm, node):
    """You wrote down the address of box, and it is still right."""
    box, said = on_the_shelf(swarm, BOX), remembered(node, BOX)
    network = swarm.network(SHELF)["Id"]
    vips = {one["NetworkID"]: bare(one["Addr"]) for one in box.facts.raw["Endpoint"].get("VirtualIPs") or ()}
    if said != vips.get(network):
        wrong(
            "box.txt should have the address that the name {name} leads to",
            found=said,
            look="labctl ssh m1 cat box.txt",
            hint="Write it down again, as above: ask for `{name}`, not for `tasks.{name}`.",
            name=BOX,
        )


@pytest.mark.every(2)
@pytest.mark.step("remember")
def test_bag_is_remembered_in_vain(swarm, node):
    """You wrote down an address of bag, and no task has it any more."""
    bag, said = on_the_shelf(swarm, BAG), remembered(node, BAG)
    if said in addresses(bag, swarm.network(SHELF)["Id"]):
        not_yet("at {said} there is still a task of {name}", look="labctl ssh m1 cat bag.txt", said=said, name=BAG)
    must_be_two(bag)


@pytest.mark.step("remember")
def test_box_was_updated(swarm, node):
    """The service box was updated, too, after you asked for it."""
    box = swarm.service(BOX)
    written = float(node("m1").run("stat -c %Y /home/docker/box.txt").stdout)
    if any(task.created < written for task in box.running()):
        not_yet("{name} was not updated since you asked for it", look=f"labctl docker -- service ps {BOX}", name=BOX)
    must_be_two(box)


# -- stay


@pytest.mark.step("stay")
def test_bag_has_an_address_that_stays(swarm):
    """The name bag leads to one address, in the network shelf."""
    bag = on_the_shelf(swarm, BAG)
    if any(port.mode == "host" for port in bag.facts.ports):
        wrong(
            "the port of {name} should be open on every node, not only where a task runs",
            found=", ".join(f"{port.published}:{port.target} ({port.mode})" for port in bag.facts.ports),
            look=look_at(BAG),
            hint="`docker service update --detach --publish-rm mode=host,target={target} {name}`. "
            "Then: what did the swarm refuse?",
            name=BAG,
            target=TARGET,
        )
    if mode_of(bag) != "vip":
        not_yet("the name {name} leads to a list of addresses", found=mode_of(bag), look=look_at(BAG), name=BAG)


@pytest.mark.step("stay")
def test_bag_publishes_its_port(swarm):
    """It publishes its port 80 as 8121."""
    bag = swarm.service(BAG)
    if not bag.published:
        not_yet("{name} publishes no port", look=LS, name=BAG)
    if bag.published.get(PORT) != TARGET:
        wrong(
            "{name} should publish port {port}, which leads to port {target}",
            found=", ".join(f"{port.published}:{port.target}" for port in bag.facts.ports),
            look=look_at(BAG),
            hint="`docker service update --detach --publish-add {port}:{target} {name}`.",
            name=BAG,
            port=PORT,
            target=TARGET,
        )


@pytest.mark.step("stay")
def test_bag_answers_everywhere(swarm):
    """It runs two tasks, and every node answers."""
    must_be_two(swarm.service(BAG))
    swarm.must_answer_everywhere(PORT)
