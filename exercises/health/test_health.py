"""What is true of the pages, of what the engines ask them, and of the version that was refused."""

import re

import pytest

from labctl.checks import not_yet, wrong
from labctl.swarm.state import moment

MENU, OVEN, PORT = "menu", "oven", 8114
SECOND = 1_000_000_000  # the engine counts in nanoseconds
EVERY = 30  # seconds between two health checks, where the service says nothing
LATE = 20  # seconds after which a failure is noticed late
ASKED = 6  # requests: each task gets every other one


def look_at(name):
    """The command that shows a service and what it is told."""
    return f"labctl docker -- service inspect --pretty {name}"


def check_of(service):
    """The service's health check as the API has it; empty for none."""
    check = service.spec["TaskTemplate"]["ContainerSpec"].get("Healthcheck") or {}
    return {} if check.get("Test") in (None, [], ["NONE"]) else check


def must_ask(service):
    """The service has a health check that can fail when the page is broken."""
    check = check_of(service)
    if not check:
        wrong(
            "{name} has no health check any more",
            look=look_at(service.name),
            hint='`--health-cmd "curl -fsS http://localhost/"` gives it one.',
            name=service.name,
        )
    command = " ".join(check["Test"][1:])
    careless = "curl" in command and not re.search(r"\s(-\w*f|--fail)", command)
    if careless or re.search(r"(\|\|\s*(true|:)|;\s*(true|exit 0))\s*$", command):
        wrong(
            "the health check of {name} is content with an error page",
            found=command,
            look=look_at(service.name),
            hint="curl ends with 0 when anybody answers anything, unless it is told `-f`.",
            name=service.name,
        )
    return check


def statuses(swarm):
    """What the page's port answers to some requests, one after the other."""
    return [swarm.http("m1", PORT, limit=2.0).status for _ in range(ASKED)]


# -- blind


@pytest.mark.step("blind")
@pytest.mark.every(2)
def test_a_page_is_broken(swarm):
    """One of the two pages is broken, and its task runs."""
    swarm.service(MENU).must_run()
    if all(status == 200 for status in statuses(swarm)):
        not_yet(
            "both tasks of {name} have their page still",
            look=f"labctl ssh m1 curl -s http://localhost:{PORT}",
            name=MENU,
        )


# -- ask


@pytest.mark.step("ask")
def test_menu_is_asked(swarm):
    """The service menu has a health check that sees a broken page."""
    menu = swarm.service(MENU)
    if not check_of(menu):
        not_yet("{name} has no health check yet", look=look_at(MENU), name=MENU)
    must_ask(menu)


@pytest.mark.step("ask")
def test_a_task_was_replaced(swarm):
    """A task that was unhealthy was replaced."""
    menu = swarm.service(MENU)
    wanted = check_of(menu)
    ended = [
        task
        for task in menu.tasks()
        if task.state in ("complete", "failed")
        and task.raw["Spec"]["ContainerSpec"].get("Healthcheck", {}).get("Test") == wanted.get("Test")
        and task.created > began(menu)
    ]
    if not ended:
        not_yet("no task was replaced since {name} has a health check", look=PS, name=MENU)


PS = f"labctl docker -- service ps {MENU}"


def began(service):
    """When the last update of the service began, in seconds since the epoch."""
    return moment((service.facts.raw.get("UpdateStatus") or {}).get("StartedAt", ""))


@pytest.mark.step("ask")
@pytest.mark.every(2)
def test_both_pages_are_well(swarm):
    """Both tasks run, and their pages are whole."""
    swarm.service(MENU).must_run()
    said = statuses(swarm)
    if any(status != 200 for status in said):
        not_yet("a page of {name} is still broken", found=", ".join(map(str, said)), look=PS, name=MENU)


# -- slow


@pytest.mark.step("slow")
def test_oven_is_still_asked(swarm):
    """The service oven has its health check still, and a failure is noticed soon."""
    check = must_ask(swarm.service(OVEN))
    seconds = (check.get("Interval", 0) / SECOND or EVERY) * (check.get("Retries", 0) or 3)
    if seconds > LATE:
        wrong(
            "{name} would start, and what is broken later would be noticed late",
            found="after {seconds} s",
            look=look_at(OVEN),
            hint="`--health-start-period` is for the start alone; `--health-retries` counts all day.",
            name=OVEN,
            seconds=round(seconds),
        )


@pytest.mark.step("slow")
def test_oven_runs(swarm):
    """Its task has become healthy, and runs."""
    swarm.service(OVEN).must_run()


# -- gate


@pytest.mark.step("gate")
def test_version_2_was_refused(swarm):
    """Version 2 was tried, failed, and was taken back by itself."""
    menu = swarm.service(MENU)
    must_ask(menu)
    state, now = menu.facts.update_state, menu.env.get("VERSION")
    if now == "2" and state == "paused":
        wrong(
            "the update was paused, and version 2 is still being tried",
            found=menu.facts.update_message,
            look=look_at(MENU),
            hint="Take version 2 back, set `--update-failure-action rollback`, and try again.",
        )
    if now == "2":
        not_yet("version 2 is on its way", found=state, look=look_at(MENU))
    if state != "rollback_completed":
        not_yet("version 2 was not tried and taken back yet", found=state if state else "no update", look=look_at(MENU))


@pytest.mark.step("gate")
def test_version_1_was_never_touched(swarm):
    """Both tasks of version 1 served all the while."""
    menu = swarm.service(MENU)
    menu.must_run()
    if any(task.created > began(menu) for task in menu.running()):
        wrong(
            "one of the tasks of version 1 was stopped to make room for version 2",
            look=PS,
            hint="`--update-order start-first` starts the new task first. Set it, then try version 2 again.",
        )
