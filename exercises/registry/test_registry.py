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
AGAIN = "On `m1`, run `docker service rm {name}`, then create it again."
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.guard
def test_registry_answers(swarm):
    """The lab's registry answers."""
    answer = swarm.machine("m1").run(f"curl -sf -m 5 http://{REGISTRY}/v2/_catalog")
    if not answer.ok:
        not_yet(
            "{registry} does not answer",
            look="labctl status",
            hint="A lab created with `--no-registry` has no registry: this exercise needs a lab that has one.",
            registry=REGISTRY,
        )


def tags(swarm):
    """The tags that the registry has of the image."""
    answer = swarm.machine("m1").run(f"curl -s -m 5 http://{REGISTRY}/v2/{NAME}/tags/list")
    if not answer.ok:
        not_yet("{registry} does not answer", look=TAGS, registry=REGISTRY)
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
        not_yet("there is no service {name}", look=LS, name=NAME)
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
        wrong(
            "the image should be called {name}:1",
            found="{name}:latest",
            look=IMAGES,
            hint="`--tag {name}:1`.",
            name=NAME,
        )
    for other in swarm.machines:
        if other.is_running and other.engine.image(f"{NAME}:1"):
            wrong(
                "{name}:1 was built on {other}, but it should be on {first}",
                look=IMAGES,
                hint="`labctl ssh m1`, and the same command there.",
                name=NAME,
                other=other.name,
                first=first.name,
            )
    not_yet("there is no image {name}:1 on {first}", look=IMAGES, name=NAME, first=first.name)


# -- here


@pytest.mark.step("here")
def test_page_is_global(swarm):
    """The service page is global, runs the image page:1, and publishes port 8075."""
    service = the_service(swarm)
    if not service.facts.is_global:
        wrong("{name} should be global", found=service.facts.mode, look=LS, hint=AGAIN, name=NAME)
    if service.image != f"{NAME}:1":
        wrong("{name} should run {name}:1", found=service.image, look=LS, hint=AGAIN, name=NAME)
    if service.published.get(PORT) != TARGET:
        told = ", ".join(f"{port}:{target}" for port, target in service.published.items())
        wrong(
            "{name} should publish port {port}, leading to port {target}",
            found=told if told else "no port",
            look=LS,
            hint=AGAIN,
            name=NAME,
            port=PORT,
            target=TARGET,
        )


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
            "the registry has {name}, but not with the tag 1",
            found=", ".join(there),
            look=TAGS,
            hint="`docker tag {name}:1 {first}`, then push that name.",
            name=NAME,
            first=FIRST,
        )
    if first.engine.image(FIRST):
        not_yet("{node} has the image, but nobody has pushed it", found=FIRST, look=TAGS, node=first.name)
    not_yet("the registry has no {name}", look=TAGS, name=NAME)


# -- everywhere


@pytest.mark.step("everywhere")
def test_service_runs_the_image(swarm):
    """The service runs the image from the registry."""
    must_run_image(swarm, FIRST, before=f"{NAME}:1")


def must_run_image(swarm, image, *, before):
    """Say which image the service runs; `before` is the one that it had when the step began."""
    found = the_service(swarm).image
    if found == before:
        not_yet("{name} should run {image}", found=found, look=LS, name=NAME, image=image)
    if found != image:
        wrong(
            "{name} should run {image}",
            found=found,
            look=LS,
            hint="`docker service update --detach --image {image} {name}`.",
            image=image,
            name=NAME,
        )


@pytest.mark.step("everywhere")
def test_it_runs_on_each_node(swarm):
    """It runs on each node."""
    the_service(swarm).must_run()


@pytest.mark.step("everywhere")
def test_each_node_answers(swarm):
    """Each node answers on port 8075."""
    swarm.must_answer_everywhere(PORT)


# -- next


@pytest.mark.every(2)
@pytest.mark.step("next")
def test_registry_has_the_second(swarm):
    """The registry has page with the tag 2, and it is a new image."""
    if "2" not in tags(swarm):
        not_yet("the registry has no {name}:2", look=TAGS, name=NAME)
    if digest(swarm, "2") == digest(swarm, "1"):
        wrong(
            "{name}:2 is the same image as {name}:1",
            look=IMAGES,
            hint="Change the page first, then build: an image has the files as they were when it was built.",
            name=NAME,
        )


@pytest.mark.step("next")
def test_service_runs_the_second(swarm):
    """The service runs it."""
    found = the_service(swarm).image
    if found != SECOND:
        not_yet("{name} should run {image}", found=found, look=LS, name=NAME, image=SECOND)
    the_service(swarm).must_run()


@pytest.mark.step("next")
def test_page_says_so(swarm):
    """The page says version 2 on every node."""
    for node, page in swarm.must_answer_everywhere(PORT).items():
        if "version 2" not in page.body.casefold():
            not_yet(
                "the page on {node} does not say version 2",
                found=page.body.strip()[:60],
                look=f"labctl ssh m1 curl {page.url}",
                node=node,
            )
