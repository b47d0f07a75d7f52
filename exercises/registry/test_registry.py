"""What is true after each step on the way of an image to every node."""

import json

import pytest

from labctl.checks import not_yet, wrong

NAME, PORT, TARGET = "page", 8075, 80
REGISTRY = "registry:5000"
FIRST, SECOND = f"{REGISTRY}/{NAME}:1", f"{REGISTRY}/{NAME}:2"
LS = "labctl docker -- service ls"
PS = f"labctl docker -- service ps --no-trunc {NAME}"
TAGS = f"labctl ssh m1 curl -s http://{REGISTRY}/v2/{NAME}/tags/list"
IMAGES = "labctl ssh m1 docker image ls"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.guard
def test_registry_answers(swarm):
    """The lab's registry answers."""
    answer = swarm.machine("m1").run(f"curl -sf -m 5 http://{REGISTRY}/v2/_catalog")
    if not answer.ok:
        not_yet(
            f"{REGISTRY} does not answer",
            look="labctl status",
            hint="A lab that was made with `--no-registry` has none: this exercise needs another one.",
        )


def tags(swarm):
    """The tags that the registry has of the image."""
    answer = swarm.machine("m1").run(f"curl -s -m 5 http://{REGISTRY}/v2/{NAME}/tags/list")
    if not answer.ok:
        not_yet(f"{REGISTRY} does not answer", look=TAGS)
    return json.loads(answer.stdout).get("tags") or []


def digest(swarm, tag):
    """The fingerprint of what the registry has under a tag."""
    asked = f"curl -sfI -m 5 -H 'Accept: {MANIFEST}' http://{REGISTRY}/v2/{NAME}/manifests/{tag}"
    answer = swarm.machine("m1").run(asked)
    heads = dict(line.lower().split(": ", 1) for line in answer.stdout.splitlines() if ": " in line)
    return heads.get("docker-content-digest", "").strip()


def the_service(swarm):
    """The service; "not yet" while there is none."""
    if NAME not in {service.name for service in swarm.services()}:
        not_yet(f"there is no service {NAME}", look=LS)
    return swarm.service(NAME)


# -- build


@pytest.mark.every(2)  # no engine tells the managers of an image
@pytest.mark.step("build")
def test_image_was_built(swarm):
    """The image page:1 is on manager 1."""
    first = swarm.machine("m1")
    if first.engine.image(f"{NAME}:1"):
        return
    if first.engine.image(f"{NAME}:latest"):
        wrong(f"the image should be called {NAME}:1", found=f"{NAME}:latest", look=IMAGES, hint=f"`--tag {NAME}:1`.")
    for other in swarm.machines:
        if other.is_running and other.engine.image(f"{NAME}:1"):
            wrong(
                f"{NAME}:1 was built on {other.name}, and it should be on {first.name}",
                look=IMAGES,
                hint="`labctl ssh m1`, and the same command there.",
            )
    not_yet(f"there is no image {NAME}:1 on {first.name}", look=IMAGES)


# -- here


@pytest.mark.step("here")
def test_page_is_global(swarm):
    """The service page of the image page:1 is global, and publishes port 8075."""
    service = the_service(swarm)
    anew = f"`docker service rm {NAME}` on `m1`, and create it again."
    if not service.facts.is_global:
        wrong(f"{NAME} should be global", found=service.facts.mode, look=LS, hint=anew)
    if service.image != f"{NAME}:1":
        wrong(f"{NAME} should run {NAME}:1", found=service.image, look=LS, hint=anew)
    if service.published.get(PORT) != TARGET:
        told = ", ".join(f"{port}:{target}" for port, target in service.published.items()) or "no port"
        wrong(f"{NAME} should publish port {PORT}, which leads to {TARGET}", found=told, look=LS, hint=anew)


@pytest.mark.step("here")
def test_it_is_rejected_elsewhere(swarm):
    """Where the image is missing, its tasks are rejected."""
    hosts = swarm.hostnames()
    rejected = {hosts.get(task.node_id) for task in the_service(swarm).tasks() if "No such image" in task.reason}
    if not rejected:
        not_yet("no task was rejected yet", look=PS)


# -- push


@pytest.mark.every(2)  # a registry tells nobody
@pytest.mark.step("push")
def test_registry_has_it(swarm):
    """The registry has page with the tag 1."""
    first, there = swarm.machine("m1"), tags(swarm)
    if "1" in there:
        return
    if there:
        wrong(
            f"the registry has {NAME} with another tag, and it should be 1",
            found=", ".join(there),
            look=TAGS,
            hint=f"`docker tag {NAME}:1 {FIRST}`, then push that name.",
        )
    if first.engine.image(FIRST):
        not_yet(f"{first.name} has it, and nobody has pushed it", found=FIRST, look=TAGS)
    not_yet(f"the registry has no {NAME}", look=TAGS)


# -- everywhere


@pytest.mark.step("everywhere")
def test_service_runs_the_image(swarm):
    """The service runs the image from the registry."""
    must_run_image(swarm, FIRST, before=f"{NAME}:1")


def must_run_image(swarm, image, *, before):
    """Say which image the service runs; `before` is the one that it had when the step began."""
    found = the_service(swarm).image
    if found != image:
        told = f"{NAME} should run {image}"
        if found == before:
            not_yet(told, found=found, look=LS)
        wrong(told, found=found, look=LS, hint=f"`docker service update --detach --image {image} {NAME}`.")


@pytest.mark.step("everywhere")
def test_it_runs_on_each_node(swarm):
    """It runs on each node."""
    the_service(swarm).must_run()


@pytest.mark.step("everywhere")
def test_each_node_answers(swarm):
    """Each node answers on port 8075."""
    for node, page in swarm.http_everywhere(PORT).items():
        if not page.ok:
            not_yet(f"port {PORT} does not answer on {node}", found=page, look=f"labctl ssh m1 curl {page.url}")


# -- next


@pytest.mark.every(2)
@pytest.mark.step("next")
def test_registry_has_the_second(swarm):
    """The registry has page with the tag 2, and it is a new image."""
    if "2" not in tags(swarm):
        not_yet(f"the registry has no {NAME}:2", look=TAGS)
    if digest(swarm, "2") == digest(swarm, "1"):
        wrong(
            f"{NAME}:2 is the same image as {NAME}:1",
            look=IMAGES,
            hint="Change the page first, then build: an image is what the file was when it was built.",
        )


@pytest.mark.step("next")
def test_service_runs_the_second(swarm):
    """The service runs it."""
    found = the_service(swarm).image
    if found != SECOND:
        not_yet(f"{NAME} should run {SECOND}", found=found, look=LS)
    the_service(swarm).must_run()


@pytest.mark.step("next")
def test_page_says_so(swarm):
    """The page says version 2 on every node."""
    for node, page in swarm.http_everywhere(PORT).items():
        if not page.ok:
            not_yet(f"port {PORT} does not answer on {node}", found=page, look=f"labctl ssh m1 curl {page.url}")
        if "version 2" not in page.body.casefold():
            not_yet(
                f"{node} does not say version 2", found=page.body.strip()[:60], look=f"labctl ssh m1 curl {page.url}"
            )
