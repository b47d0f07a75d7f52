"""What is true after each way back. A service knows one version before its own, and the last change's state."""

import pytest

from labctl.checks import not_yet, wrong

NAME = "news"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps {NAME}"
INSPECT = f"labctl docker -- service inspect --pretty {NAME}"
SECOND = 1_000_000_000  # the engine counts in nanoseconds
LIFE = 12  # seconds that version 4 lives
BACK = "`docker service update --env-add VERSION=1 {name}` sets version 1."


def version(spec):
    """The version that a spec asks for."""
    given = (spec or {}).get("TaskTemplate", {}).get("ContainerSpec", {}).get("Env") or ()
    return next((one.partition("=")[2] for one in given if one.startswith("VERSION=")), "")


def before(service):
    """The version before the last change; empty where there is none."""
    return version(service.facts.raw.get("PreviousSpec"))


def settings(service):
    """What its updates are told."""
    return service.spec.get("UpdateConfig") or {}


def must_run_version_1(service, replicas):
    """All its tasks run version 1."""
    if service.replicas != replicas:
        wrong(
            "{name} should have {count} tasks",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}={count}`.",
            name=NAME,
            count=replicas,
        )
    service.must_run()
    other = service.outdated()
    if other:
        not_yet("{count} tasks of {name} are still of another version", look=PS, name=NAME, count=len(other))


# -- undo


@pytest.mark.step("undo")
def test_version_2_was_taken_back(swarm):
    """Version 2 was rolled out, and taken back."""
    news = swarm.service(NAME)
    now, earlier = news.env.get("VERSION"), before(news)
    if (now, earlier) == ("1", "2"):
        return
    if now == "2" and news.facts.update_state.startswith("rollback"):
        wrong(
            "version 2 is back: a second rollback takes back the first one",
            look=INSPECT,
            hint="`docker service rollback {name}` once more.",
            name=NAME,
        )
    if now == "2":
        not_yet("{name} runs version 2, and was not taken back yet", look=INSPECT, name=NAME)
    if now == "1":
        not_yet("version 2 was not rolled out yet", found="version 1", look=INSPECT)
    wrong("{name} should be set to version 1", found=now, look=INSPECT, hint=BACK, name=NAME)


@pytest.mark.step("undo")
def test_version_1_runs(swarm):
    """All three tasks run version 1."""
    must_run_version_1(swarm.service(NAME), 3)


# -- whole


@pytest.mark.step("whole")
def test_version_1_is_wanted(swarm):
    """The service news is set to version 1."""
    news = swarm.service(NAME)
    if news.env.get("VERSION") == "2" and news.facts.update_state.startswith("rollback"):
        wrong(
            "{name} is still at version 2: it was rolled back, and what it took back was the scaling",
            found="version 2, {count} tasks",
            look=INSPECT,
            hint=BACK,
            name=NAME,
            count=news.replicas,
        )
    if news.env.get("VERSION") != "1":
        not_yet("{name} should be set to version 1", found=news.env.get("VERSION"), look=INSPECT, name=NAME)


@pytest.mark.step("whole")
def test_five_tasks(swarm):
    """It has five tasks, and all of them run version 1."""
    news = swarm.service(NAME)
    if news.replicas != 5:
        wrong(
            "{name} should have five tasks: the visitors are still there",
            found=news.replicas,
            look=LS,
            hint="`docker service scale {name}=5`.",
            name=NAME,
        )
    must_run_version_1(news, 5)


# -- paused


@pytest.mark.step("paused", "auto")
def test_version_3_was_tried(swarm):
    """Version 3 was tried, and failed."""
    tried = [task for task in swarm.service(NAME).tasks() if version({"TaskTemplate": task.raw["Spec"]}) == "3"]
    if not any(task.state in ("failed", "rejected") for task in tried):
        not_yet("no task of version 3 has failed yet", look=PS)


@pytest.mark.step("paused")
def test_version_1_is_back(swarm):
    """All five tasks run version 1 again."""
    news = swarm.service(NAME)
    if news.env.get("VERSION") == "3" and news.facts.update_state == "paused":
        wrong(
            "the update to version 3 was paused, and nothing goes back by itself",
            found=news.facts.update_message,
            look=INSPECT,
            hint="`docker service rollback {name}` goes back.",
            name=NAME,
        )
    if news.env.get("VERSION") != "1":
        not_yet("{name} should be set to version 1", found=news.env.get("VERSION"), look=INSPECT, name=NAME)
    must_run_version_1(news, 5)


# -- auto, late


@pytest.mark.step("auto", "late")
def test_it_rolls_back_by_itself(swarm):
    """An update of news that fails is taken back by itself."""
    action = settings(swarm.service(NAME)).get("FailureAction", "pause")
    if action != "rollback":
        not_yet(
            "an update that fails should be taken back by itself",
            found="on failure: {action}",
            look=INSPECT,
            hint="`docker service update --update-failure-action rollback {name}`.",
            name=NAME,
            action=action,
        )


@pytest.mark.step("auto")
def test_version_3_was_taken_back(swarm):
    """Version 3 was taken back by itself, and version 1 runs."""
    must_have_refused(swarm, "3", 5)


def must_have_refused(swarm, bad, replicas):
    """The last update was rolled back by the swarm, and version 1 runs."""
    news = swarm.service(NAME)
    state, now = news.facts.update_state, news.env.get("VERSION")
    if now == bad or state in ("updating", "rollback_started"):
        not_yet("version {bad} is still being tried", found=state, look=INSPECT, bad=bad)
    if now != "1":
        wrong(
            "version {now} has not failed, so nothing was taken back: version {bad} is the bad one",
            look=INSPECT,
            hint=BACK,
            now=now,
            bad=bad,
            name=NAME,
        )
    if state != "rollback_completed":
        not_yet(
            "nothing was taken back since the service was changed last",
            found=state if state else "no update",
            look=INSPECT,
        )
    must_run_version_1(news, replicas)


# -- late


@pytest.mark.step("late")
def test_it_watches_long_enough(swarm):
    """New tasks are watched for longer than version 4 lives."""
    news = swarm.service(NAME)
    seconds = settings(news).get("Monitor", 0) // SECOND
    if seconds > LIFE:
        return
    if news.facts.update_state == "rollback_completed" and not before(news):
        wrong(
            "the period was changed together with the version: with both in one update, the rollback took back both",
            found="{seconds} s",
            look=INSPECT,
            hint="`docker service update --update-monitor 30s {name}` first, and version 4 after that.",
            name=NAME,
            seconds=seconds,
        )
    not_yet(
        "new tasks should be watched for longer than version 4 lives",
        found="{seconds} s",
        look=INSPECT,
        seconds=seconds,
    )


@pytest.mark.step("late")
def test_version_4_was_taken_back(swarm):
    """Version 4 was taken back by itself, and version 1 runs."""
    must_have_refused(swarm, "4", 3)
