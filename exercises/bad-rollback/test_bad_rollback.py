"""What is true once version 2 is there, and neither the safety net nor the file was forgotten."""

import pytest

from labctl.checks import not_yet, wrong

STACK, SERVICE, PORT = "shop", "shop_web", 8101
FILE, MISTAKE = "/exercise/bad-rollback/shop.yml", "nginx:lastest"
INSPECT = f"labctl docker -- service inspect --pretty {SERVICE}"


@pytest.mark.step("find")
def test_shop_is_there(swarm):
    """The stack shop has its service, with two tasks and port 8101."""
    web = swarm.stack(STACK).service("web")
    if web.replicas != 2:
        wrong(
            "{service} should have two tasks", found=web.replicas, look="labctl docker -- service ls", service=SERVICE
        )
    if PORT not in web.published:
        wrong(
            "{service} should publish port {port}",
            found=", ".join(map(str, web.published)),
            look=INSPECT,
            service=SERVICE,
            port=PORT,
        )


@pytest.mark.step("find")
def test_a_version_that_fails_is_taken_back(swarm):
    """A version that fails is taken back by itself."""
    action = (swarm.service(SERVICE).spec.get("UpdateConfig") or {}).get("FailureAction", "pause")
    if action != "rollback":
        wrong(
            "a version that fails should be taken back by itself: without that, customers would have met version 2",
            found="on failure: {action}",
            look=INSPECT,
            hint="`failure_action: rollback` in the file was no mistake.",
            action=action,
        )


@pytest.mark.every(2)
@pytest.mark.step("find")
def test_version_2_answers(swarm):
    """Port 8101 answers with version 2, on every node."""
    for node, page in swarm.http_everywhere(PORT, limit=2.0).items():
        if not page.ok:
            not_yet("{node} does not answer", found=page.error, look=f"labctl docker -- stack ps {STACK}", node=node)
        if page.body.strip() != "version 2":
            not_yet(
                "{node} does not answer with version 2",
                found=page.body.strip()[:60],
                look=f"labctl ssh m1 curl -s {page.url}",
                node=node,
            )


@pytest.mark.step("find")
def test_shop_runs(swarm):
    """Both tasks run."""
    running = len(swarm.service(SERVICE).running())  # a rollback that somebody tried since is no fault of theirs
    if running < 2:
        not_yet(
            "{service} runs {running} of 2 tasks",
            look=f"labctl docker -- stack ps {STACK}",
            service=SERVICE,
            running=running,
        )


@pytest.mark.every(2)
@pytest.mark.step("find")
def test_the_file_is_right(node):
    """The stack file is corrected, too."""
    if node("m1").file(FILE).contains(MISTAKE):
        wrong(
            "version 2 runs, and its mistake is still in the stack file: the next deployment brings it back",
            found=MISTAKE,
            look=f"labctl ssh m1 cat {FILE}",
            hint="What is changed by hand lives until the next deployment. Correct the file, then deploy it.",
        )
