"""What is true after each step with volumes. Every check only reads."""

import pytest

from labctl.checks import not_yet, wrong

NAME, DATA, VOLUME = "counter", "/data", "counter-data"
PAGE, PORT = "page", 8114
VISITS = "41"
INSPECT = f"labctl docker -- service inspect --pretty {NAME}"
TASKS = f"labctl docker -- service ps --no-trunc {NAME}"
PAGE_TASKS = f"labctl docker -- service ps --no-trunc {PAGE}"


def volume_of(spec):
    """Where a task finds the volume; tells of one at another place."""
    for mount in spec.get("ContainerSpec", {}).get("Mounts") or ():
        if mount.get("Source") == VOLUME:
            return mount["Target"]
    return ""


def must_be_bound(swarm, short):
    """The service, once it may run on that node only."""
    service, home = swarm.service(NAME), swarm.machine(short).name
    allowed = service.allowed_nodes()
    others = {swarm.machine(other).name for other in ("w1", "w2")} - {home}
    if allowed == others and short == "w1":
        wrong(
            "{name} is on {node} now: bring it home to {home}",
            look=INSPECT,
            hint="`docker service update --constraint-rm node.hostname=={node} "
            "--constraint-add node.hostname=={home} {name}`",
            name=NAME,
            node=sorted(others)[0],
            home=home,
        )
    if allowed == others:
        not_yet("{name} is still bound to {node}", look=INSPECT, name=NAME, node=sorted(others)[0])
    if not allowed:
        wrong("no node meets all constraints of {name}", found=", ".join(service.constraints), look=INSPECT, name=NAME)
    if short == "w2" and allowed != {home}:
        wrong("{name} may still go to another node", found=", ".join(sorted(allowed)), look=INSPECT, name=NAME)
    if allowed != {home}:
        wrong(
            "{name} should run on {home} only",
            found=", ".join(service.constraints) if service.constraints else "no constraint",
            look=INSPECT,
            hint="`docker service update --constraint-add node.hostname=={home} {name}`",
            name=NAME,
            home=home,
        )
    return service


def visits(service):
    """What redis answers for `visits`; empty where there is nothing."""
    said = service.run("redis-cli get visits")
    if not said.ok:
        not_yet("redis does not answer yet", found=(said.stdout + said.stderr).strip()[:60], look=TASKS)
    return said.stdout.strip()


# -- gone


@pytest.mark.step("gone")
def test_it_runs_on_worker_1(swarm):
    """The service counter runs on worker 1 only."""
    must_be_bound(swarm, "w1").must_run()


@pytest.mark.step("gone")
def test_its_task_was_made_anew(swarm):
    """Its task was made anew."""
    if len([task for task in swarm.service(NAME).tasks() if task.container_id]) < 2:
        not_yet("the first task of {name} still runs", look=TASKS, name=NAME)


# -- keep


@pytest.mark.step("keep", "move")
def test_it_has_a_volume(swarm):
    """The service counter has the volume counter-data at /data."""
    target = volume_of(swarm.service(NAME).spec["TaskTemplate"])
    if not target:
        not_yet("{name} has no volume called {volume}", look=INSPECT, name=NAME, volume=VOLUME)
    if target != DATA:
        wrong(
            "the volume should be at {data}, where redis keeps its files",
            found=target,
            look=INSPECT,
            hint="`docker service update --mount-rm {target} {name}`, then add it once more.",
            data=DATA,
            target=target,
            name=NAME,
        )
    swarm.service(NAME).must_run()


@pytest.mark.step("keep")
def test_its_task_was_made_anew_with_it(swarm):
    """Its task was made anew since then."""
    had = [task for task in swarm.service(NAME).tasks() if volume_of(task.raw["Spec"]) == DATA and task.container_id]
    if len(had) < 2:
        not_yet("the first task with the volume still runs", look=TASKS)


@pytest.mark.every(2)
@pytest.mark.step("keep")
def test_it_remembers(swarm):
    """It still knows its 41 visits."""
    must_remember(swarm)


def must_remember(swarm):
    """Redis has the visits."""
    found = visits(swarm.service(NAME))
    if not found:
        wrong(
            "{name} has no visits",
            look=TASKS,
            hint="On the node that runs it: `docker exec $(docker ps -q --filter name=counter.) redis-cli set visits "
            "41`. Then `docker service update --force {name}`.",
            name=NAME,
        )
    if found != VISITS:
        wrong("{name} should have 41 visits", found=found, look=TASKS, name=NAME)


# -- move


@pytest.mark.step("move")
def test_it_was_on_worker_2(swarm):
    """It was on worker 2, and got a volume there."""
    if swarm.machine("w2").name not in swarm.volume(VOLUME).nodes:
        not_yet("{node} has no volume {volume}", look=TASKS, node=swarm.machine("w2").name, volume=VOLUME)


@pytest.mark.every(2)
@pytest.mark.step("move")
def test_it_is_home_again(swarm):
    """It is on worker 1 again, with its 41 visits."""
    must_be_bound(swarm, "w1").must_run()
    must_remember(swarm)


# -- bind


@pytest.mark.step("bind")
def test_page_has_two_tasks(swarm):
    """The service page has two tasks with the folder /srv/page."""
    page = swarm.service(PAGE)
    if page.replicas != 2:
        wrong("{name} should have two tasks", found=page.replicas, look=PAGE_TASKS, name=PAGE)
    mounts = page.spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    if not any(mount.get("Source") == "/srv/page" and mount.get("Type") == "bind" for mount in mounts):
        wrong("{name} should show the folder /srv/page of its node", look=PAGE_TASKS, name=PAGE)


@pytest.mark.step("bind")
def test_page_is_where_its_folder_is(swarm, node):
    """It may only go where that folder is."""
    page = swarm.service(PAGE)
    have = {name for name in swarm.hostnames().values() if node(name).file("/srv/page/index.html").exists}
    if not page.allowed_nodes() & have:
        wrong(
            "{name} keeps its tasks on a node without the page",
            found=", ".join(sorted(page.allowed_nodes())),
            look=PAGE_TASKS,
            name=PAGE,
        )
    if page.allowed_nodes() - have:
        not_yet(
            "{name} may go to {node}, which has no /srv/page",
            look=PAGE_TASKS,
            name=PAGE,
            node=sorted(page.allowed_nodes() - have)[0],
        )


@pytest.mark.every(2)
@pytest.mark.step("bind")
def test_page_answers(swarm):
    """Both tasks run, and port 8114 answers with the page, on every node."""
    swarm.service(PAGE).must_run()
    swarm.must_answer_everywhere(PORT, text="41 visits")


# -- carry


@pytest.mark.step("carry")
def test_it_is_bound_to_worker_2(swarm):
    """The service counter runs on worker 2 only, with its volume."""
    service = must_be_bound(swarm, "w2")
    if volume_of(service.spec["TaskTemplate"]) != DATA:
        wrong("{name} should have the volume {volume} at {data}", look=INSPECT, name=NAME, volume=VOLUME, data=DATA)
    if service.replicas == 0:
        not_yet(
            "{name} has no task: you have stopped it",
            look="labctl docker -- service ls",
            hint="`docker service scale {name}=1`, when all is in its place.",
            name=NAME,
        )
    service.must_run()


@pytest.mark.every(2)
@pytest.mark.step("carry")
def test_it_brought_its_visits(swarm):
    """It has its 41 visits there."""
    found = visits(swarm.service(NAME))
    if found != VISITS:
        wrong(
            "{name} is on worker 2, but without its visits",
            found="{found_visits} visits" if found else "no visits",
            look="labctl ssh w2 docker volume ls",
            hint="They are in the volume on worker 1, still. Stop the service, and bring them over.",
            name=NAME,
            found_visits=found,
        )
