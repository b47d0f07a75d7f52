"""What is true after each update. Versions come after each other, so that most steps are `passing`."""

import itertools

import pytest

from labctl.checks import not_yet, wrong
from labctl.swarm.state import moment

PAGE, KIOSK = "page", "kiosk"
SECOND = 1_000_000_000  # the engine counts in nanoseconds
DELAY = 10  # seconds between two groups
SLACK = 1.0  # seconds that clocks and rounding may differ


def look_at(name):
    """The command that lists a service's tasks."""
    return f"labctl docker -- service ps {name}"


def must_be_set(swarm, name, version):
    """The service, once it is set to that version; it came from the one before."""
    service = swarm.service(name)
    said = service.env.get("VERSION", "")
    look = f"labctl docker -- service inspect --pretty {name}"
    if said == str(version - 1) and set(service.env) == {"VERSION"}:
        not_yet("{name} should be set to VERSION={version}", found=said, look=look, name=name, version=version)
    if said != str(version):
        wrong(
            "{name} should be set to VERSION={version}",
            found=" ".join(f"{key}={value}" for key, value in service.env.items()),
            look=look,
            hint="`docker service update --detach --env-add VERSION={version} {name}` sets it.",
            name=name,
            version=version,
        )
    return service


def must_be_rolled_out(swarm, name, version, replicas):
    """The service, once all its tasks run that version."""
    service = must_be_set(swarm, name, version)
    if service.replicas != replicas:
        wrong(
            "{name} should have {count} tasks",
            found=service.replicas,
            look="labctl docker -- service ls",
            name=name,
            count=replicas,
        )
    service.must_run()
    old = service.outdated()
    if old:
        not_yet("{count} of {name}'s tasks run an older version", look=look_at(name), name=name, count=len(old))
    return service


def must_keep_the_pace(swarm):
    """The service page is updated two at a time, with ten seconds between."""
    settings = swarm.service(PAGE).spec.get("UpdateConfig") or {}
    now = settings.get("Parallelism", 0 if settings else 1), settings.get("Delay", 0) // SECOND
    if now == (1, 0):
        not_yet("{name} is still updated one by one, without a break", look=INSPECT, name=PAGE)
    if now != (2, DELAY):
        wrong(
            "{name} should be updated two at a time, with ten seconds between",
            found="{parallelism} at a time, {delay} s between",
            look=INSPECT,
            hint="`docker service update --detach --update-parallelism 2 --update-delay 10s {name}`.",
            name=PAGE,
            parallelism=now[0],
            delay=now[1],
        )


INSPECT = f"labctl docker -- service inspect --pretty {PAGE}"


def must_overlap(service):
    """Each new task ran before the old one in its place had ended."""
    tasks = sorted(service.tasks(), key=lambda task: (task.slot, task.created))
    for slot, (*earlier, new) in (
        (slot, list(some)) for slot, some in itertools.groupby(tasks, lambda task: task.slot)
    ):
        if earlier and earlier[-1].state != "running" and changed(earlier[-1]) < changed(new):
            wrong(
                "in place {slot} of {name} the old task ended before the new one ran",
                look=look_at(service.name),
                hint="`docker service update --detach --update-order start-first --force {name}` replaces all tasks "
                "once more, the new ones first.",
                slot=slot,
                name=service.name,
            )


def changed(task):
    """When a task came into its state."""
    return moment(task.raw["Status"]["Timestamp"])


# -- one


@pytest.mark.step("one")
def test_version_2_was_asked_for(swarm):
    """The service page is set to version 2."""
    must_be_set(swarm, PAGE, 2)


@pytest.mark.step("one")
def test_version_2_runs(swarm):
    """All four tasks run version 2."""
    must_be_rolled_out(swarm, PAGE, 2, 4)


# -- pace


@pytest.mark.step("pace", "alone")
def test_the_pace_is_set(swarm):
    """The service page is updated two at a time, with ten seconds between."""
    must_keep_the_pace(swarm)


@pytest.mark.step("pace")
def test_version_3_runs(swarm):
    """All four tasks run version 3."""
    must_be_rolled_out(swarm, PAGE, 3, 4)


@pytest.mark.step("pace")
def test_there_was_a_break(swarm):
    """They came two and two, with a break between."""
    began = sorted(task.created for task in swarm.service(PAGE).running())
    if began[2] - began[1] < DELAY - SLACK:
        wrong(
            "version 3 came without the break",
            look=look_at(PAGE),
            hint="`docker service update --detach --force {name}` replaces all tasks again, at the pace that is set.",
            name=PAGE,
        )


# -- gap


@pytest.mark.step("gap")
def test_kiosk_runs_version_2(swarm):
    """The service kiosk runs version 2, in its one task."""
    must_be_rolled_out(swarm, KIOSK, 2, 1)


# -- first


@pytest.mark.step("first")
def test_kiosk_runs_version_3(swarm):
    """The service kiosk runs version 3."""
    must_be_rolled_out(swarm, KIOSK, 3, 1)


@pytest.mark.step("first")
def test_the_new_one_came_first(swarm):
    """The new task ran before the old one ended."""
    must_overlap(swarm.service(KIOSK))


# -- alone


@pytest.mark.step("alone")
def test_version_4_runs(swarm):
    """All four tasks of page run version 4."""
    must_be_rolled_out(swarm, PAGE, 4, 4)


@pytest.mark.step("alone")
def test_never_fewer_than_four(swarm):
    """At no moment there were fewer than four: each new task ran before the old one ended."""
    must_overlap(swarm.service(PAGE))
