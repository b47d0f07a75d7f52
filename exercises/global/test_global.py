"""What is true after each step about global services, whichever commands led there."""

import pytest

from labctl.checks import not_yet, wrong

AGENT, PAGE, BACKUP = "agent", "page", "backup"
LS = "labctl docker -- service ls"
NODES = "labctl docker -- node ls"
WORKERS_ONLY = ("node.role==worker", "node.role!=manager")
MANAGERS_ONLY = ("node.role==manager", "node.role!=worker")


def member(swarm, name):
    """A node of the lab as the managers know it; None while it is not in their swarm."""
    own = swarm.machine(name).engine.info()["Swarm"]["NodeID"]
    return next((node for node in swarm.nodes() if node.id == own), None)


def must_be_global(swarm, name):
    """The service of that name; says what it is where it is not global, or is called otherwise."""
    there = {service.name: service for service in swarm.services()}
    if name not in there:
        others = [other for other, one in there.items() if one.facts.is_global and other not in (AGENT, BACKUP)]
        if others:
            wrong(
                "the service should be called {name}",
                found=others[0],
                look=LS,
                hint="On `m1`, run `docker service rm {other}`, then create it again with the right name.",
                name=name,
                other=others[0],
            )
        not_yet("there is no service {name}", look=LS, name=name)
    service = there[name]
    if not service.facts.is_global:
        wrong(
            "{name} should be global",
            found=service.facts.mode,
            look=LS,
            hint="A mode cannot be changed: `docker service rm {name}`, then create it again with `--mode global`.",
            name=name,
        )
    return service


def constraints(service):
    """What a service asks of a node, without spaces."""
    said = service.spec["TaskTemplate"].get("Placement", {}).get("Constraints") or ()
    return [one.replace(" ", "") for one in said]


def look_at(name):
    """The command that shows a service's tasks."""
    return f"labctl docker -- service ps {name}"


# -- each


@pytest.mark.step("each")
def test_agent_is_global(swarm):
    """The service agent is global."""
    must_be_global(swarm, AGENT)


@pytest.mark.step("each")
def test_agent_is_everywhere(swarm):
    """It runs on each node."""
    must_be_global(swarm, AGENT).must_run()


# -- beside


@pytest.mark.step("beside")
def test_page_is_replicated(swarm):
    """The service page is replicated, with two tasks."""
    page = swarm.service(PAGE)
    if page.facts.mode != "replicated":
        wrong(
            "{page} should be replicated",
            found=page.facts.mode,
            look=LS,
            hint="`docker service rm {page}`, then create it again with `--replicas 2`.",
            page=PAGE,
        )
    if page.replicas != 2:
        wrong(
            "{page} should have two tasks",
            found=page.replicas,
            look=LS,
            hint="`docker service scale {page}=2`.",
            page=PAGE,
        )


@pytest.mark.step("beside")
def test_page_runs(swarm):
    """Both tasks run."""
    swarm.service(PAGE).must_run()


# -- join


@pytest.mark.step("join")
def test_new_machine_is_a_worker(swarm):
    """The new machine is in the swarm, as a worker."""
    machine, found = swarm.machine("w2"), member(swarm, "w2")
    if found is None:
        not_yet("{machine} is not in the swarm", look=NODES, machine=machine.name)
    if found.role != "worker":
        wrong(
            "{machine} joined as a manager",
            look=NODES,
            hint="`docker node demote {machine}` on `m1` makes it a worker.",
            machine=machine.name,
        )
    if found.state != "ready":
        not_yet("{machine} is not ready yet", found=found.state, look=NODES, machine=machine.name)


@pytest.mark.step("join")
def test_it_has_an_agent(swarm):
    """It runs an agent."""
    agent, found = must_be_global(swarm, AGENT), member(swarm, "w2")
    if found is None or found.id not in {task.node_id for task in agent.running()}:
        not_yet("{name} runs no agent yet", look=look_at(AGENT), name=swarm.machine("w2").name)


# -- some


@pytest.mark.step("some")
def test_agent_is_for_workers(swarm):
    """The agent may run on workers only."""
    asked = constraints(must_be_global(swarm, AGENT))
    if any(one in MANAGERS_ONLY for one in asked):
        wrong(
            "{agent} runs on managers only; it should run on workers",
            found=", ".join(asked),
            look=f"labctl docker -- service inspect --pretty {AGENT}",
            hint="`docker service update --constraint-rm node.role==manager {agent}` undoes that.",
            agent=AGENT,
        )
    if any(one in WORKERS_ONLY for one in asked):
        return
    for node in swarm.nodes():
        if node.role == "manager" and node.availability == "drain":
            wrong(
                "{node} is drained: that takes all work from it, not only the agent",
                look=NODES,
                hint="`docker node update --availability active {node}` undoes that. Only {agent} should stay away.",
                node=node.hostname,
                agent=AGENT,
            )
    not_yet(
        "{agent} runs on managers, too",
        found=", ".join(asked) if asked else "no constraint",
        look=look_at(AGENT),
        agent=AGENT,
    )


@pytest.mark.step("some")
def test_each_worker_has_one(swarm):
    """Each worker has one, and no manager does."""
    must_match(swarm, must_be_global(swarm, AGENT), "worker")


def must_match(swarm, service, role):
    """Say what keeps a service from running on just the nodes of a role."""
    on = {task.node_id for task in service.running()}
    for node in swarm.nodes():
        may = node.role == role and node.state == "ready" and node.availability == "active"
        if node.id in on and node.role != role:
            not_yet(
                "{service} still runs on {node}", look=look_at(service.name), service=service.name, node=node.hostname
            )
        if node.id not in on and may:
            not_yet(
                "{service} does not run on {node} yet",
                look=look_at(service.name),
                service=service.name,
                node=node.hostname,
            )


# -- backup


@pytest.mark.step("backup")
def test_backup_is_global(swarm):
    """The service backup is global."""
    must_be_global(swarm, BACKUP)


@pytest.mark.step("backup")
def test_backup_is_for_managers(swarm):
    """It may run on managers only."""
    asked = constraints(must_be_global(swarm, BACKUP))
    if not any(one in MANAGERS_ONLY for one in asked):
        wrong(
            "{backup} runs on workers, too",
            found=", ".join(asked) if asked else "no constraint",
            look=f"labctl docker -- service inspect --pretty {BACKUP}",
            hint="`docker service update --constraint-add node.role==manager {backup}` adds what is missing.",
            backup=BACKUP,
        )


@pytest.mark.step("backup")
def test_each_manager_has_one(swarm):
    """Each manager has one, and no worker does."""
    must_match(swarm, must_be_global(swarm, BACKUP), "manager")
