"""What is true after each step of the first swarm. The engines are asked: at the beginning there is no swarm."""

import pytest

from labctl.checks import not_yet, wrong

MEMBERS = "labctl docker -- node ls"
TOKENS = "/exercise/first-swarm/tokens"  # fingerprints of both tokens from before, the workers' first
FINGERPRINTS = """
for kind in worker manager; do
  token=$(docker swarm join-token -q $kind) || exit 1
  printf %s "$token" | sha256sum
done
"""


def own_word(swarm, name):
    """What a node's own engine says of its place in a swarm."""
    return swarm.machine(name).engine.info()["Swarm"]


def looked_at(name):
    """The command that shows the same to a learner."""
    return f'labctl ssh {name} "docker info | grep -A 3 Swarm:"'


def members(swarm):
    """The nodes of the swarm that m1 manages, by id; "not yet" while it manages none."""
    machine, own = swarm.machine("m1"), own_word(swarm, "m1")
    if own["LocalNodeState"] != "active":
        not_yet(
            "{machine} is not in a swarm",
            look=looked_at("m1"),
            hint="Type `docker swarm init` on `m1`.",
            machine=machine.name,
        )
    return {node.id: node for node in swarm.nodes()}


def member(swarm, name):
    """A node of the lab as the swarm of m1 knows it; None while it is not in it."""
    return members(swarm).get(own_word(swarm, name)["NodeID"])


# -- init


@pytest.mark.step("init")
def test_swarm_was_started(swarm):
    """The first machine manages a swarm."""
    machine, own = swarm.machine("m1"), own_word(swarm, "m1")
    others = [other for other in swarm.machines if other.name != machine.name]
    if own["LocalNodeState"] != "active":
        elsewhere = [other.name for other in others if other.engine.info()["Swarm"]["LocalNodeState"] == "active"]
        if elsewhere:
            wrong(
                "the swarm should be on {machine}",
                found="a swarm on {elsewhere}",
                look="labctl exec @all -- docker info --format '{{.Swarm.LocalNodeState}}'",
                hint="On {elsewhere}: `docker swarm leave --force`. Then `docker swarm init` on `m1`.",
                machine=machine.name,
                elsewhere=elsewhere[0],
            )
        not_yet(
            "{machine} is not in a swarm",
            look=looked_at("m1"),
            hint="`labctl ssh m1` in a second window, then `docker swarm init` there.",
            machine=machine.name,
        )
    if not own["ControlAvailable"]:
        wrong(
            "{machine} should be a manager",
            found="a worker",
            look=looked_at("m1"),
            hint="Run `docker node promote {machine}` on another manager.",
            machine=machine.name,
        )


# -- join, second


@pytest.mark.step("join")
def test_first_worker_joined(swarm):
    """The second machine has joined, as a worker."""
    must_have_joined(swarm, "w1", too_early=lambda: member(swarm, "w2") is None)


@pytest.mark.step("second")
def test_second_worker_joined(swarm):
    """The third machine has joined, as a worker."""
    first = member(swarm, "w1")
    must_have_joined(swarm, "w2", too_early=lambda: first is None or first.role == "worker")


@pytest.mark.step("join")
def test_first_worker_is_ready(swarm):
    """The second machine is Ready."""
    must_be_ready(swarm, "w1")


@pytest.mark.step("second")
def test_second_worker_is_ready(swarm):
    """The third machine is Ready."""
    must_be_ready(swarm, "w2")


def must_be_ready(swarm, name):
    """Say that a node is in, and not heard of yet."""
    node, found = swarm.machine(name).name, member(swarm, name)
    if found is None or found.state != "ready":
        not_yet("{node} is not ready yet", found=found.state if found else "not in the swarm", look=MEMBERS, node=node)


def ids(swarm):
    """The ids that the lab's nodes have in a swarm: one that left and joined again has a new one."""
    return {machine.engine.info()["Swarm"]["NodeID"] for machine in swarm.machines}


def must_have_joined(swarm, name, *, too_early):
    """Say what keeps a node from being a worker of the swarm; `too_early` tells that nobody was to be promoted yet."""
    node, own = swarm.machine(name).name, own_word(swarm, name)
    found = member(swarm, name)
    if own["LocalNodeState"] in ("pending", "error"):
        not_yet(
            "{node} is trying to join but gets no answer",
            found=own["Error"] or own["LocalNodeState"],
            look=looked_at(name),
            hint="Wrong address or port? `docker swarm leave --force` on `{name}`, then join with the line from `m1`.",
            node=node,
            name=name,
        )
    if own["LocalNodeState"] != "active":
        workers = [other.hostname for other in members(swarm).values() if other.hostname != swarm.machine("m1").name]
        other = next((worker for worker in workers if worker != node), "") if name == "w1" else ""
        not_yet(
            "{node} is not in a swarm; {other} joined instead" if other else "{node} is not in a swarm",
            look=MEMBERS,
            hint="Run the line from `docker swarm join-token worker` on `{name}`, not on `m1`.",
            node=node,
            other=other,
            name=name,
        )
    if found is None:
        wrong(
            "{node} is in a swarm of its own" if own["ControlAvailable"] else "{node} is in another swarm",
            look=looked_at(name),
            hint="`docker swarm leave --force` on `{name}`, then join with the line from `m1`.",
            node=node,
            name=name,
        )
    if found.role == "manager" and too_early():
        wrong(
            "{node} joined with the manager token",
            found="a manager",
            look=MEMBERS,
            hint="`docker node demote {node}` on `m1` makes it a worker.",
            node=node,
        )


# -- tokens


@pytest.mark.every(2)  # no engine tells of a new token
@pytest.mark.step("tokens")
def test_the_workers_token_is_new(swarm):
    """The worker token has been rotated."""
    members(swarm)
    answer = swarm.machine("m1").run(f"cat {TOKENS} && {{ {FINGERPRINTS} }}")
    lines = answer.stdout.splitlines()
    if not answer.ok or len(lines) != 4:
        not_yet("the worker token has not been rotated yet", look="labctl docker -- swarm join-token --help")
    (worker, manager), now = lines[:2], lines[2:]
    if worker == now[0] and manager != now[1]:
        wrong(
            "the manager token was rotated, but the worker token is the one that leaked",
            look="labctl docker -- swarm join-token worker",
            hint="Run the same command with `worker` instead of `manager`.",
        )
    if worker == now[0]:
        not_yet("the workers' token is still the one that leaked", look="labctl docker -- swarm join-token worker")


# -- promote, three, back


@pytest.mark.step("promote")
def test_first_worker_manages(swarm):
    """The second machine is a manager, too."""
    found, other = member(swarm, "w1"), member(swarm, "w2")
    if found is not None and found.role != "manager" and other is not None and other.role == "manager":
        wrong(
            "{hostname} should be the new manager",
            found=other.hostname,
            look=MEMBERS,
            hint="`docker node demote {other}`, then promote {hostname}.",
            hostname=found.hostname,
            other=other.hostname,
        )
    must_manage(swarm, "w1")


@pytest.mark.step("three")
def test_three_managers(swarm):
    """All three machines are managers."""
    for name in ("m1", "w1", "w2"):
        must_manage(swarm, name)


def must_manage(swarm, name):
    """Say what keeps a node from being a manager that the others reach."""
    node, found = swarm.machine(name).name, member(swarm, name)
    if found is None:
        not_yet(
            "{node} is not in the swarm",
            look=MEMBERS,
            hint="Press `b` to go back to the step where it joins, and join it again.",
            node=node,
        )
    if found.role != "manager":
        down = [other for other in swarm.nodes() if other.hostname == node and other.state == "down"]
        if down:
            wrong(
                "{node} is listed twice, once as Down: `docker node promote {node}` cannot tell which is meant",
                look=MEMBERS,
                hint="The Down line is from before it left. On `m1`: `docker node rm {id}`.",
                node=node,
                id=down[0].id,
            )
        not_yet("{node} is a worker", look=MEMBERS, node=node)
    if found.reachability != "reachable":
        not_yet("{node} is becoming a manager", found=found.reachability or "not reached yet", look=MEMBERS, node=node)


@pytest.mark.step("back")
def test_one_manager_is_left(swarm):
    """The first machine is the only manager."""
    found = {node.hostname: node for node in members(swarm).values() if node.id in ids(swarm)}
    first = swarm.machine("m1").name
    others = sorted(name for name, node in found.items() if node.role == "manager" and name != first)
    if found[first].role != "manager":
        wrong(
            "{first} should stay a manager",
            found="managers: {others}",
            look="labctl docker -- node ls",
            hint="`docker node promote {first}` on another manager.",
            first=first,
            others=", ".join(others),
        )
    if others:
        not_yet(
            "{others} should be workers" if len(others) > 1 else "{others} should be a worker",
            look=MEMBERS,
            others=", ".join(others),
        )


@pytest.mark.step("back")
def test_all_three_are_in(swarm):
    """The other two are workers, and ready."""
    for name in ("w1", "w2"):
        found = member(swarm, name)
        if found is None or found.state != "ready":
            node = swarm.machine(name).name
            not_yet(
                "{node} should be in the swarm and ready",
                found=found.state if found else "not in the swarm",
                look=MEMBERS,
                node=node,
            )
