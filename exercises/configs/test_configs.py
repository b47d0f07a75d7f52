"""What is true after each step with configs. Every check only reads."""

import pytest

from labctl.checks import not_yet, wrong

NAME, PORT = "site", 8112
PAGE = "/usr/share/nginx/html/index.html"
STACK, GUIDE = "guide", 8113
CONFIGS = "labctl docker -- config ls"
INSPECT = f"labctl docker -- service inspect --pretty {NAME}"
TASKS = f"labctl docker -- service ps --no-trunc {NAME}"
NAMESPACE = "com.docker.stack.namespace"


def configs_of(spec):
    """Where a task finds its configs -> each config's name."""
    given = spec.get("ContainerSpec", {}).get("Configs") or ()
    return {one["File"]["Name"]: one["ConfigName"] for one in given if one.get("File")}


def page_of(service):
    """The config that nginx finds as its page; tells of a config that lies elsewhere."""
    given = configs_of(service.spec["TaskTemplate"])
    if not given:
        wrong(
            "{name} gets no config",
            look=INSPECT,
            hint="A service gets only what it asks for: `--config` when it is created, `--config-add` later.",
            name=service.name,
        )
    if PAGE not in given:
        place, config = next(iter(given.items()))
        wrong(
            "the config lies at /{place}, but nginx looks for {page}",
            look=INSPECT,
            hint="`source={config},target={page}` in the place of `{config}`.",
            place=place.lstrip("/"),
            page=PAGE,
            config=config,
        )
    return given[PAGE]


def must_have(swarm, config, *, since=()):
    """The service, with that config as its page in every task; `since` are the configs that it had before."""
    service = swarm.service(NAME)
    found = page_of(service)
    if found in since:
        not_yet("{name} still takes {config}", look=INSPECT, name=NAME, config=found)
    if found != config:
        wrong("{name} should take {config}", found=found, look=INSPECT, name=NAME, config=config)
    service.must_run()
    if any(configs_of(task.raw["Spec"]).get(PAGE) != config for task in service.running()):
        not_yet("not every task has {config} yet", look=TASKS, config=config)
    return service


# -- create


@pytest.mark.step("create")
def test_there_is_a_config(swarm):
    """The config page-1 has what is in index.html."""
    if swarm.config("page-1").text.strip() != "page 1":
        wrong(
            "page-1 should have what is in index.html",
            found=swarm.config("page-1").text.strip()[:60],
            look="labctl docker -- config inspect --pretty page-1",
            hint="`docker config rm page-1`, then make it again.",
        )


# -- use


@pytest.mark.step("use")
def test_the_service_gets_it(swarm):
    """The service site gets page-1 as its page, in three tasks."""
    service = must_have(swarm, "page-1")
    if service.replicas != 3:
        wrong("{name} should have three tasks", found=service.replicas, look=INSPECT, name=NAME)


@pytest.mark.every(2)
@pytest.mark.step("use")
def test_page_1_answers(swarm):
    """Port 8112 answers with it, on every node."""
    swarm.must_answer_everywhere(PORT, text="page 1")


# -- change


@pytest.mark.step("change")
def test_there_is_a_second_config(swarm):
    """The config page-2 says page 2."""
    if swarm.config("page-2").text.strip() != "page 2":
        wrong(
            "page-2 should say page 2",
            found=swarm.config("page-2").text.strip()[:60],
            look="labctl docker -- config inspect --pretty page-2",
            hint="A config cannot be changed. Remove it with `docker config rm page-2`, and make it again.",
        )


@pytest.mark.step("change")
def test_the_service_takes_the_second(swarm):
    """The service site gets page-2 as its page."""
    must_have(swarm, "page-2", since=("page-1",))


@pytest.mark.every(2)
@pytest.mark.step("change")
def test_page_2_answers(swarm):
    """Port 8112 answers with it, on every node."""
    swarm.must_answer_everywhere(PORT, text="page 2")


# -- template


def template(swarm):
    """The newest of the configs page-3, page-4 and so on, and whether it is a template."""
    service = swarm.service(NAME)
    name = page_of(service)
    if name in ("page-1", "page-2"):
        swarm.config("page-3")
        not_yet("{name} still takes {config}", look=INSPECT, name=NAME, config=name)
    config = swarm.config(name)
    return name, (config.raw["Spec"].get("Templating") or {}).get("Name", "")


@pytest.mark.step("template")
def test_the_page_is_a_template(swarm):
    """The page of site is a template."""
    name, driver = template(swarm)
    if driver != "golang":
        wrong(
            "{config} is no template: its braces are not filled in",
            look=f"labctl docker -- config inspect {name}",
            hint="It wants `--template-driver golang`, and a config stays as it was made. Make another, `page-4`.",
            config=name,
        )
    must_have(swarm, name)


@pytest.mark.every(2)
@pytest.mark.step("template")
def test_each_task_says_who_it_is(swarm):
    """Each task says which one it is, and on which node."""
    service = swarm.service(NAME)
    said = service.file(PAGE).text.strip()
    if f"of {NAME}" not in said:
        wrong("the page should say which task it is", found=said[:60], look=INSPECT)
    if not any(said.endswith(host) for host in swarm.hostnames().values()):
        wrong(
            "the task does not know its node",
            found=said[:60],
            look=INSPECT,
            hint="`docker service update --env-add NODE='{{.Node.Hostname}}' {name}`",
            name=NAME,
        )


# -- stack


@pytest.mark.step("stack")
def test_the_stack_has_the_config(swarm):
    """The stack guide has a page of its own making that says guide 2."""
    given = configs_of(swarm.stack(STACK).service("web").spec["TaskTemplate"])
    if PAGE not in given:
        wrong("guide_web gets no config as its page", look="labctl docker -- service inspect --pretty guide_web")
    config = swarm.config(given[PAGE])
    if config.text.strip() == "guide 1":
        not_yet("the page of guide still says guide 1", found=config.name, look=CONFIGS)
    if config.labels.get(NAMESPACE) != STACK:
        wrong(
            "{config} was made by hand, and the next deployment brings the old page back",
            look=CONFIGS,
            hint="Change guide.html and guide.yml, then deploy that.",
            config=config.name,
        )


@pytest.mark.every(2)
@pytest.mark.step("stack")
def test_the_guide_answers(swarm):
    """Port 8113 answers with guide 2, on every node."""
    swarm.stack(STACK).must_run()
    swarm.must_answer_everywhere(GUIDE, text="guide 2")
