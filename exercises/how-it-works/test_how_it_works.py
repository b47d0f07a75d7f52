"""What is true after each step about rooms, cables and switches. All but the overlay is asked on the first manager."""

import json

import pytest

from labctl.checks import not_yet, wrong

LEFT, RIGHT, FAR, ECHO = "left", "right", "far", "echo"
PAUSE, PAGE, HELPER = "pause", "page", "helper"
ROOM, ADDRESS = "room", "192.168.77.2"
PS = "labctl ssh m1 docker ps --all"
CABLES = "labctl ssh m1 ip link show master docker0"
INSIDE = f"labctl ssh m1 sudo ip netns exec {ROOM} ip addr"


def container(swarm, node, name):
    """What the engine of the first manager says of a container that runs."""
    found = node("m1").run("docker inspect --type container %s", name)
    if found.rc != 0:
        tell_where(swarm, name)
        not_yet("there is no container {name}", look=PS, name=name)
    described = json.loads(found.stdout)[0]
    if not described["State"]["Running"]:
        wrong(
            "{name} does not run",
            found=described["State"]["Status"],
            look=PS,
            hint="`docker start {name}`, or remove it with `docker rm --force {name}` and run it again.",
            name=name,
        )
    return described


def tell_where(swarm, name):
    """Tell of a container that was started on another node."""
    home = swarm.machine("m1").name
    for machine in swarm.machines:
        if machine.name != home and machine.run(["docker", "inspect", "--type", "container", name]).ok:
            wrong(
                "{name} runs on {other}, and should run on {home}",
                look=f"labctl ssh {machine.name} docker ps",
                hint="On {other}, run `docker rm --force {name}`. Then run it again on {home}.",
                name=name,
                other=machine.name,
                home=home,
            )


def links(node, command):
    """Devices by name, as `ip` tells of them."""
    found = node("m1").run(f"ip -json {command}")
    return {link["ifname"]: link for link in json.loads(found.stdout or "[]") if link} if found.rc == 0 else {}


def cable(node, name):
    """The node's device that is the other end of a container's eth0; empty where it has none."""
    number = node("m1").run("docker exec %s cat /sys/class/net/eth0/iflink", name).stdout.strip()
    return next(
        (link for link, facts in links(node, "link show type veth").items() if str(facts["ifindex"]) == number), ""
    )


# -- pair


@pytest.mark.every(2)
@pytest.mark.step("pair")
def test_a_cable_leads_into_the_room(node):
    """One end of the cable is on the node, and one in the room."""
    rooms = node("m1").run("ip netns list").stdout.split()
    if ROOM not in rooms:
        not_yet("there is no network namespace {room}", look="labctl ssh m1 ip netns list", room=ROOM)
    outside = links(node, "link show type veth")
    if "veth0" not in outside:
        not_yet("there is no veth0 on the node", look="labctl ssh m1 ip link show type veth")
    if "veth1" in outside:
        not_yet("veth1 should be in the room, and is on the node", look="labctl ssh m1 ip link show type veth")
    if "veth1" not in links(node, f"-netns {ROOM} link show"):
        wrong(
            "there is no veth1 in the room",
            look=INSIDE,
            hint="`sudo ip netns del room` and `sudo ip link del veth0` take all away. Then begin again.",
        )


@pytest.mark.every(2)
@pytest.mark.step("pair")
def test_the_room_answers(node):
    """The room answers at 192.168.77.2."""
    end = links(node, f"-netns {ROOM} addr show").get("veth1", {})
    given = [address["local"] for address in end.get("addr_info", ()) if address["family"] == "inet"]
    if not given:
        not_yet("veth1 has no address", look=INSIDE)
    if ADDRESS not in given:
        wrong(
            "veth1 should have the address {address}",
            found=", ".join(given),
            look=INSIDE,
            hint="`sudo ip netns exec room ip addr flush dev veth1` takes its addresses away.",
            address=ADDRESS,
        )
    if "UP" not in end["flags"]:
        not_yet("veth1 is not switched on", found=end["operstate"], look=INSIDE)
    if node("m1").run(f"ping -c 1 -W 1 {ADDRESS}").rc != 0:
        not_yet(
            "{address} does not answer: is veth0 up, with its address?",
            look="labctl ssh m1 ip addr show veth0",
            address=ADDRESS,
        )


# -- bridge


@pytest.mark.every(2)
@pytest.mark.step("bridge")
def test_left_and_right_are_on_the_bridge(swarm, node):
    """The containers left and right are plugged into docker0."""
    plugged = links(node, "link show master docker0")
    for name in (LEFT, RIGHT):
        described = container(swarm, node, name)
        if cable(node, name) not in plugged:
            wrong(
                "{name} is not plugged into docker0",
                found=described["HostConfig"]["NetworkMode"],
                look=CABLES,
                hint="`docker rm --force {name}`, then run it again, without `--network`.",
                name=name,
            )


@pytest.mark.step("bridge")
def test_the_other_end_is_known(node, answer):
    """You know the other end of left's cable."""
    said = answer("peer").strip().rstrip(":").partition("@")[0]
    if said == cable(node, RIGHT):
        wrong("that is the cable of right", found=said, look=CABLES)
    if said != cable(node, LEFT):
        wrong("left's eth0 has another device at its other end", found=said, look=CABLES)


# -- reach


@pytest.mark.every(2)
@pytest.mark.step("reach")
def test_left_reaches_right(swarm, node):
    """The container left reaches right by its address."""
    must_reach(swarm, node)


def must_reach(swarm, node):
    """Say that right does not answer left."""
    container(swarm, node, LEFT)
    address = container(swarm, node, RIGHT)["NetworkSettings"]["IPAddress"]
    if not address or node("m1").run(f"docker exec {LEFT} ping -c 1 -W 1 {address}").rc != 0:
        not_yet(
            "{left} does not reach {right}",
            look=f"labctl ssh m1 docker exec {LEFT} ping -c 1 -W 2 {address}",
            left=LEFT,
            right=RIGHT,
        )


# -- overlay


@pytest.mark.step("overlay")
def test_far_reaches_all_nodes(swarm):
    """The service echo runs on every node, in the overlay network far."""
    network = swarm.network(FAR)
    if network["Driver"] != "overlay":
        wrong(
            "{far} should be an overlay network: this one is for a single node",
            found=network["Driver"],
            look="labctl docker -- network ls",
            hint="On `m1`, run `docker network rm {far}`, then create it again with `--driver overlay`.",
            far=FAR,
        )
    echo = swarm.service(ECHO)
    if FAR not in echo.networks:
        wrong(
            "{name} should be in the network {network}",
            look=f"labctl docker -- service inspect --pretty {ECHO}",
            hint="`docker service update --detach --network-add {network} {name}`.",
            name=ECHO,
            network=FAR,
        )
    echo.must_run()
    if missing := sorted({one.hostname for one in swarm.nodes() if one.state == "ready"} - echo.nodes()):
        not_yet(
            "{name} has no task on {nodes}",
            look=f"labctl docker -- service ps {ECHO}",
            name=ECHO,
            nodes=", ".join(missing),
        )


def number_of(swarm, name):
    """The number of an overlay network on the wire."""
    return str((swarm.network(name).get("Options") or {}).get("com.docker.network.driver.overlay.vxlanid_list", ""))


@pytest.mark.step("overlay")
def test_the_number_is_known(swarm, answer):
    """You know the number of far on the wire."""
    said = answer("vni").strip()
    if said == number_of(swarm, "ingress"):
        wrong("that is the number of another network, ingress", found=said)
    if said != number_of(swarm, FAR):
        wrong(
            "the network has another number", found=said, hint="In the room of `far`: `ip -details link show vxlan0`."
        )


# -- pod


@pytest.mark.step("pod")
def test_three_share_a_room(swarm, node):
    """The containers page and helper sit in the room of pause."""
    pause = container(swarm, node, PAUSE)
    for name in (PAGE, HELPER):
        mode = container(swarm, node, name)["HostConfig"]["NetworkMode"]
        if mode != f"container:{pause['Id']}":
            wrong(
                "{name} should sit in the room of {pause}",
                found=mode[:30],
                look=f"labctl ssh m1 docker inspect {name}",
                hint="`docker rm --force {name}`, then run it again, with `--network container:{pause}`.",
                name=name,
                pause=PAUSE,
            )


@pytest.mark.every(2)
@pytest.mark.step("pod")
def test_the_pod_answers(node):
    """The helper gets the page at 127.0.0.1."""
    if node("m1").run(f"docker exec {HELPER} wget -qO- -T 2 http://127.0.0.1").rc != 0:
        not_yet("the page does not answer the helper", look=f"labctl ssh m1 docker logs {PAGE}")


# -- cable


@pytest.mark.every(2)
@pytest.mark.step("cable")
def test_both_are_plugged_in(swarm, node):
    """Both cables are plugged into docker0."""
    plugged = links(node, "link show master docker0")
    for name in (LEFT, RIGHT):
        container(swarm, node, name)
        if cable(node, name) not in plugged:
            not_yet("{name} is not plugged into docker0", look=CABLES, name=name)


@pytest.mark.every(2)
@pytest.mark.step("cable")
def test_left_reaches_right_again(swarm, node):
    """The container left reaches right again."""
    must_reach(swarm, node)
