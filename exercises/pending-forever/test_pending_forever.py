"""What is true once the tasks run, whether the node was repaired or the service. What must hold is asked first."""

import pytest

from labctl.checks import not_yet, wrong

HALF = 500_000_000  # nanoseconds of a processor in each second
LS = "labctl docker -- service ls"
BEGIN_AGAIN = "`labctl exercise reset`, then begin again: that creates the service again."


def service_of(swarm, name, tasks):
    """The service, with so many tasks; one that was removed is told as that."""
    if name not in {service.name for service in swarm.services()}:
        not_yet("there is no service {name} any more", look=LS, hint=BEGIN_AGAIN, name=name)
    service = swarm.service(name)
    if not service.facts.is_global and service.replicas != tasks:
        wrong(
            "{name} should run one task" if tasks == 1 else "{name} should have three tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}={tasks}`.",
            name=name,
            tasks=tasks,
        )
    return service


def inspect(name):
    """The command that shows what a service asks for."""
    return f"labctl docker -- service inspect --pretty {name}"


def must_run(service, tasks):
    """All its tasks run. Why they do not is for the learner to find."""
    running = len(service.running())
    if running < tasks:
        not_yet(
            "{service} runs {running} of {tasks} tasks", look=LS, service=service.name, running=running, tasks=tasks
        )
    service.must_run()


# -- placed


@pytest.mark.step("placed")
def test_search_runs_once(swarm):
    """The service search is set to run one task."""
    service_of(swarm, "search", 1)


@pytest.mark.step("placed")
def test_search_is_bound_to_the_disk(swarm):
    """It can be placed on worker 1 only."""
    search, home = swarm.service("search"), swarm.machine("w1").name
    allowed = search.allowed_nodes()
    if not allowed:
        return  # the symptom itself: the next check tells it
    others = ", ".join(sorted(allowed - {home}))
    asks = ", ".join(search.constraints)
    if home not in allowed:
        wrong(
            "search cannot run on {home}, but the fast disk is there",
            found="{asks} allows {others}",
            look=inspect("search"),
            home=home,
            asks=asks,
            others=others,
        )
    if others:
        wrong(
            "search may also run on {others}, but the fast disk is in {home}",
            found=asks if asks else "no constraint",
            look=inspect("search"),
            hint="A constraint that only {home} meets keeps it there: a label, or `node.hostname=={home}`.",
            others=others,
            home=home,
        )


@pytest.mark.step("placed")
def test_search_runs(swarm):
    """Its task runs."""
    must_run(swarm.service("search"), 1)


# -- fits


@pytest.mark.step("fits")
def test_report_runs_once(swarm):
    """The service report is set to run one task."""
    service_of(swarm, "report", 1)


@pytest.mark.step("fits")
def test_report_reserves_half_a_processor(swarm):
    """It reserves half a processor, or a little more."""
    resources = swarm.service("report").spec["TaskTemplate"].get("Resources") or {}
    reserved = (resources.get("Reservations") or {}).get("NanoCPUs", 0)
    if reserved < HALF:
        wrong(
            "report should reserve half a processor",
            found=f"{reserved / 1e9:g}",
            look=inspect("report"),
            hint="Without a reservation it may start on a node that is full. "
            "`--reserve-cpu 0.5` keeps half a processor free.",
        )
    has_limit = bool((resources.get("Limits") or {}).get("NanoCPUs", 0))
    if has_limit and all(node.size.cpus < reserved for node in swarm.nodes()):
        wrong(
            "a limit does not change what report reserves",
            found="reserved: {reserved}",
            look=inspect("report"),
            hint="The scheduler reads the reservation: `--reserve-cpu`.",
            reserved=f"{reserved / 1e9:g}",
        )


@pytest.mark.step("fits")
def test_report_runs(swarm):
    """Its task runs."""
    must_run(swarm.service("report"), 1)


# -- alone


@pytest.mark.step("alone")
def test_archive_wants_three(swarm):
    """The service archive is set to run three tasks."""
    service_of(swarm, "archive", 3)


@pytest.mark.step("alone")
def test_copies_stay_apart(swarm):
    """No two of its tasks can share a node."""
    archive = swarm.service("archive")
    most = archive.spec["TaskTemplate"].get("Placement", {}).get("MaxReplicas", 0)
    if most != 1 and not archive.facts.is_global:
        wrong(
            "nothing keeps two copies apart: they may share a node",
            found="at most {most} on a node" if most else "no limit for a node",
            look=inspect("archive"),
            hint="`docker service update --replicas-max-per-node 1 archive`.",
            most=most,
        )


@pytest.mark.step("alone")
def test_three_copies_run(swarm):
    """Three tasks run, on three nodes."""
    archive = swarm.service("archive")
    must_run(archive, 3)
    if len(archive.nodes()) < 3:
        not_yet("two copies still share a node", found=", ".join(sorted(archive.nodes())), look=LS)
