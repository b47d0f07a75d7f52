"""What is true after each step of reading, and of the manifest that was translated."""

import pytest

from labctl.checks import wrong

IDEA, MEETING, NOTE, GUESTBOOK = "idea", "meeting", "note", "guestbook"
PORT, TARGET, TASKS = 32080, 80, 4
MEMORY = {64 * 1024 * 1024, 64 * 1000 * 1000}
LS = "labctl docker -- service ls"
LIMIT = "`docker service update --detach --limit-memory 64M {name}`."
AGAIN = "On `m1`, run `docker service rm {name}`, then create it again."


def look_at(name):
    """The command that shows what a service is set to do."""
    return f"labctl docker -- service inspect --pretty {name}"


# -- wish


@pytest.mark.step("wish")
def test_three_tasks_meet(swarm):
    """The service idea runs three tasks, in the network meeting."""
    idea = swarm.service(IDEA)
    if idea.replicas != 3:
        wrong(
            "{name} should have three tasks",
            found=idea.replicas,
            look=LS,
            hint="`docker service scale --detach {name}=3`.",
            name=IDEA,
        )
    swarm.network(MEETING)
    if MEETING not in idea.networks:
        wrong(
            "{name} should be in the network {network}",
            look=look_at(IDEA),
            hint="`docker service update --detach --network-add {network} {name}`.",
            name=IDEA,
            network=MEETING,
        )
    idea.must_run()


# -- memory


@pytest.mark.step("memory")
def test_the_swarm_keeps_a_note(swarm):
    """The managers keep a config called note."""
    names = {one["Spec"]["Name"] for one in swarm.view.engine.swarm_objects("configs")}
    if NOTE not in names and (others := sorted(name for name in names if name.startswith(NOTE))):
        wrong(
            "the config should be called {note}",
            found=", ".join(others),
            look="labctl docker -- config ls",
            hint="`docker config rm {other}`, then create it again as `{note}`.",
            note=NOTE,
            other=others[0],
        )
    swarm.config(NOTE)


# -- names


@pytest.mark.step("names")
def test_the_address_is_known(swarm, answer):
    """You know the one address of idea in the network meeting."""
    idea, network = swarm.service(IDEA), swarm.network(MEETING)["Id"]
    said = answer("one").strip().partition("/")[0]
    vips = {one["NetworkID"]: bare(one["Addr"]) for one in idea.facts.raw["Endpoint"].get("VirtualIPs") or ()}
    if said == vips.get(network):
        return
    attached = [one for task in idea.running() for one in task.raw.get("NetworksAttachments") or ()]
    if said in {bare(address) for one in attached for address in one.get("Addresses") or ()}:
        wrong("{said} is the address of one task, not of the service", look=look_at(IDEA), said=said)
    if said == "127.0.0.11":
        wrong("{said} is the name server that you asked", hint="Look for the address below `Name:`.", said=said)
    wrong("the name {name} leads to another address", found=said, look=look_at(IDEA), name=IDEA)


def bare(address):
    """An address without the size of its network."""
    return address.partition("/")[0]


# -- machine


@pytest.mark.step("machine")
def test_the_kernel_is_known(swarm, node, answer):
    """You know the kernel of the first manager."""
    if answer("kernel").strip() != node("m1").run("uname -r").stdout.strip():
        wrong(
            "{node} has another kernel",
            found=answer("kernel"),
            look="labctl ssh m1 uname -r",
            node=swarm.machine("m1").name,
        )


# -- translate


@pytest.mark.step("translate")
def test_the_deployment_is_there(swarm):
    """The service guestbook has 4 tasks of the same image."""
    guestbook = swarm.service(GUESTBOOK)
    if guestbook.image != "nginx:latest":
        wrong(
            "{name} should run {image}",
            found=guestbook.image,
            look=LS,
            hint=AGAIN,
            name=GUESTBOOK,
            image="nginx:latest",
        )
    if guestbook.replicas != TASKS:
        wrong(
            "{name} should have {tasks} tasks",
            found=guestbook.replicas,
            look=LS,
            hint="`docker service scale --detach {name}={tasks}`.",
            name=GUESTBOOK,
            tasks=TASKS,
        )


@pytest.mark.step("translate")
def test_it_has_its_variable(swarm):
    """Its tasks have the variable GREETING."""
    guestbook = swarm.service(GUESTBOOK)
    if guestbook.env.get("GREETING") != "hello":
        wrong(
            "GREETING should be hello",
            found=", ".join(f"{key}={value}" for key, value in guestbook.env.items()) or "no variable",
            look=look_at(GUESTBOOK),
            hint="`docker service update --detach --env-add GREETING=hello {name}`.",
            name=GUESTBOOK,
        )


@pytest.mark.step("translate")
def test_it_has_its_limit(swarm):
    """Each may use 64 MB of memory."""
    given = swarm.service(GUESTBOOK).spec["TaskTemplate"].get("Resources") or {}
    limit = (given.get("Limits") or {}).get("MemoryBytes", 0)
    if not limit and (given.get("Reservations") or {}).get("MemoryBytes"):
        wrong(
            "this is a reservation: it keeps memory free, and limits nothing",
            look=look_at(GUESTBOOK),
            hint=LIMIT,
            name=GUESTBOOK,
        )
    if limit not in MEMORY:
        wrong(
            "{name} should be limited to 64 MB",
            found=f"{limit // 1024 // 1024} MB" if limit else "no limit",
            look=look_at(GUESTBOOK),
            hint=LIMIT,
            name=GUESTBOOK,
        )


@pytest.mark.step("translate")
def test_it_publishes_its_port(swarm):
    """It publishes its port 80 as 32080, on every node."""
    guestbook = swarm.service(GUESTBOOK)
    ports = {port.published: port for port in guestbook.facts.ports}
    if PORT not in ports or ports[PORT].target != TARGET:
        wrong(
            "{name} should publish port {port}, which leads to port {target}",
            found=", ".join(f"{port.published}:{port.target}" for port in ports.values()) or "no port",
            look=LS,
            hint=AGAIN,
            name=GUESTBOOK,
            port=PORT,
            target=TARGET,
        )
    if ports[PORT].mode != "ingress":
        wrong(
            "port {port} should be open on every node, not only where a task runs",
            found=ports[PORT].mode,
            look=look_at(GUESTBOOK),
            hint=AGAIN,
            name=GUESTBOOK,
            port=PORT,
        )


@pytest.mark.step("translate")
def test_it_answers(swarm):
    """Every node answers there."""
    swarm.service(GUESTBOOK).must_run()
    swarm.must_answer_everywhere(PORT)
