"""What nodes are labelled as, what services ask for, and where their tasks are."""

import pytest

from labctl.checks import not_yet, wrong

STORE, PAGE, WEB, AGENT = "store", "page", "web", "agent"
RULE = "node.labels.disk==ssd"


def look_at(name):
    """The command that lists a service's tasks."""
    return f"labctl docker -- service ps --no-trunc {name}"


def inspect(node):
    """The command that shows a node's labels."""
    return f"labctl docker -- node inspect --pretty {node}"


def label(swarm, key):
    """What each node says under a label, by its name; only those that have it."""
    return {node.hostname: node.labels[key] for node in swarm.nodes() if key in node.labels}


def must_ask_for_the_disk(swarm):
    """The service store may run where the label disk=ssd is."""
    store = swarm.service(STORE)
    if RULE in store.constraints:
        return
    named = [one for one in store.constraints if one.startswith(("node.hostname", "node.id"))]
    if named:
        wrong(
            "{name}'s rule names a machine, and should ask for the label",
            found=named[0],
            look=look_at(STORE),
            hint="`--constraint-rm` takes a constraint away, `--constraint-add {rule}` adds one.",
            name=STORE,
            rule=RULE,
        )
    if store.constraints:
        wrong("{name} should ask for {rule}", found=store.constraints[0], look=look_at(STORE), name=STORE, rule=RULE)
    not_yet("{name} asks for nothing yet", look=look_at(STORE), name=STORE)


def must_run_on(swarm, short):
    """The service store runs on that node, and on no other."""
    store, wanted = swarm.service(STORE), swarm.machine(short).name
    for node in sorted(store.nodes() - {wanted}):
        wrong(
            "{name} runs on {node}, and the disk is in {wanted}",
            look=look_at(STORE),
            hint="`docker node update --label-rm disk {node}` takes the label away.",
            name=STORE,
            node=node,
            wanted=wanted,
        )
    store.must_run()


# -- label


@pytest.mark.step("label", "gone")
def test_store_asks_for_the_disk(swarm):
    """The service store asks for a node with disk=ssd."""
    must_ask_for_the_disk(swarm)


@pytest.mark.step("label")
def test_the_label_is_right(swarm):
    """A node has the label disk=ssd."""
    labels = label(swarm, "disk")
    for node, said in labels.items():
        if said != "ssd":
            wrong(
                "the constraint is compared letter by letter: it asks for disk=ssd",
                found="{node} has disk={said}",
                look=inspect(node),
                hint="`docker node update --label-add disk=ssd {node}` puts it right.",
                node=node,
                said=said,
            )
    if not labels:
        not_yet("no node has the label disk=ssd", look=look_at(STORE))


@pytest.mark.step("label")
def test_store_runs_on_worker_2(swarm):
    """It runs on worker 2."""
    must_run_on(swarm, "w2")


# -- gone


@pytest.mark.step("gone")
def test_the_labels_have_moved(swarm):
    """Worker 1 has the label now, and worker 2 has it no more."""
    labels, old, new = label(swarm, "disk"), swarm.machine("w2").name, swarm.machine("w1").name
    if old in labels and new in labels:
        wrong(
            "{old} still has the label, and a task does not move as long as its node is good",
            look=inspect(old),
            hint="`docker node update --label-rm disk {old}`.",
            old=old,
        )
    if not labels:
        not_yet(
            "no node has the label any more: {name} waits",
            look=look_at(STORE),
            hint="`docker node update --label-add disk=ssd {new}`.",
            name=STORE,
            new=new,
        )
    if old in labels:
        not_yet("{old} should no longer have the label disk", look=inspect(old), old=old)


@pytest.mark.step("gone")
def test_store_runs_on_worker_1(swarm):
    """The service store runs on worker 1."""
    must_run_on(swarm, "w1")


# -- racks


@pytest.mark.step("racks")
def test_page_is_spread_over_racks(swarm):
    """The service page is to be spread over racks."""
    page = swarm.service(PAGE)
    if any(one.startswith("node.labels.rack") for one in page.constraints):
        wrong(
            "every task should not be in the same rack: that is a constraint, and what is wanted is a preference",
            found=page.constraints[0],
            look=f"labctl docker -- service inspect --pretty {PAGE}",
            hint="`docker service update --constraint-rm {rule} --placement-pref-add spread=node.labels.rack {name}`.",
            rule=page.constraints[0],
            name=PAGE,
        )
    wishes = page.spec["TaskTemplate"].get("Placement", {}).get("Preferences") or ()
    if not any(one.get("Spread", {}).get("SpreadDescriptor") == "node.labels.rack" for one in wishes):
        not_yet("{name} is not to be spread over racks yet", look=look_at(PAGE), name=PAGE)


@pytest.mark.step("racks")
def test_each_rack_has_three(swarm):
    """Each rack runs three of its six tasks."""
    page, racks, hosts = swarm.service(PAGE), label(swarm, "rack"), swarm.hostnames()
    page.must_run()
    there = [racks.get(hosts.get(task.node_id, ""), "") for task in page.running()]
    if there.count("a") != 3 or there.count("b") != 3:
        not_yet(
            "each rack should run three tasks",
            found="{a} in rack a, {b} in rack b",
            look=look_at(PAGE),
            hint="`docker service update --force {name}` replaces all tasks, and the new ones follow the preference.",
            a=there.count("a"),
            b=there.count("b"),
            name=PAGE,
        )


# -- alone


def must_be_allowed_on_workers(swarm, name):
    """The service may run on all workers, and on no manager."""
    service = swarm.service(name)
    workers = {node.hostname for node in swarm.nodes() if node.role == "worker"}
    allowed = service.allowed_nodes()
    for node in sorted(allowed - workers):
        not_yet(
            "{name} may run on {node}, which is a manager",
            look=look_at(name),
            hint="`docker service update --constraint-add node.role==worker {name}`.",
            name=name,
            node=node,
        )
    for node in sorted(workers - allowed):
        wrong("{name} should be allowed on {node}, too", look=look_at(name), name=name, node=node)
    service.must_run()


@pytest.mark.step("alone")
def test_store_follows_its_rule(swarm):
    """The service store runs where disk=ssd is."""
    must_ask_for_the_disk(swarm)
    swarm.service(STORE).must_run()


@pytest.mark.step("alone")
def test_web_follows_its_rule(swarm):
    """The service web runs on workers only, two tasks on each."""
    must_be_allowed_on_workers(swarm, WEB)
    web, hosts = swarm.service(WEB), swarm.hostnames()
    if web.replicas != 4:
        wrong("{name} should have four tasks", found=web.replicas, look="labctl docker -- service ls", name=WEB)
    there = sorted(hosts.get(task.node_id, "") for task in web.running())
    if any(there.count(node) != 2 for node in there):
        not_yet(
            "each worker should run two tasks of {name}",
            found=", ".join(there),
            look=look_at(WEB),
            hint="`docker service update --force {name}` replaces all tasks, and the new ones are spread.",
            name=WEB,
        )


@pytest.mark.step("alone")
def test_agent_follows_its_rule(swarm):
    """The service agent runs on each worker, and on no manager."""
    must_be_allowed_on_workers(swarm, AGENT)
