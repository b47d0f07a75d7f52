"""What is true once each service runs, and Swarm can still look after it. What must not change is asked first."""

import re

import pytest

from labctl.checks import not_yet, wrong

SHOP, DOCS, NEWS = 8098, 8099, 8100
LS = "labctl docker -- service ls"
ALWAYS_YES = re.compile(r"(^|\|\||;)\s*(true|:|exit 0)\s*$")


def inspect(name):
    """The command that shows what a service is like."""
    return f"labctl docker -- service inspect --pretty {name}"


def service_of(swarm, name, port):
    """The service, with one task and its port; one that was removed is told as that."""
    if name not in {service.name for service in swarm.services()}:
        not_yet(
            "there is no service {name} any more",
            look=LS,
            hint="`labctl exercise reset`, then begin again: that creates the services again.",
            name=name,
        )
    service = swarm.service(name)
    if service.replicas != 1:
        wrong(
            "{name} should run one task: more tasks fail just as often",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}=1`.",
            name=name,
        )
    if port not in service.published:
        wrong(
            "{name} should publish port {port}",
            found=", ".join(map(str, service.published)) if service.published else "no port",
            look=inspect(name),
            name=name,
            port=port,
        )
    return service


def must_run(swarm, name):
    """Its task runs, and goes on running. Why it does not is for the learner to find."""
    service = swarm.service(name)
    if not service.running():
        not_yet("{name} runs 0 of 1 tasks", look=f"labctl docker -- service ps {name}", name=name)
    service.must_run()


def must_answer(swarm, name, port):
    """Every node answers on its port; returns what came."""
    pages = swarm.http_everywhere(port, limit=2.0)
    silent = sorted(node for node, page in pages.items() if not page.ok)
    if silent:
        not_yet(
            "{name} does not answer on {silent}",
            look=f"labctl docker -- service logs {name}",
            name=name,
            silent=", ".join(silent),
        )
    return pages


# -- sick


@pytest.mark.step("sick")
def test_shop_is_there(swarm):
    """The service shop is set to run one task, and publishes port 8098."""
    service_of(swarm, "shop", SHOP)


@pytest.mark.step("sick")
def test_shop_has_a_check(swarm):
    """It has a health check, and the check can fail."""
    check = swarm.service("shop").spec["TaskTemplate"]["ContainerSpec"].get("Healthcheck") or {}
    kind, *words = check.get("Test") or ["NONE"]
    if kind == "NONE" or not words:
        wrong(
            "shop has no health check any more: Swarm would send visitors to tasks that do not work",
            look=inspect("shop"),
            hint='`docker service update --health-cmd "curl -fsS http://localhost:PORT/" shop` gives it one.',
        )
    if ALWAYS_YES.search(" ".join(words)):
        wrong("the health check succeeds whatever happens", found=" ".join(words), look=inspect("shop"))


@pytest.mark.step("sick")
def test_shop_runs(swarm):
    """Its task is healthy, and runs."""
    must_run(swarm, "shop")


@pytest.mark.every(2)
@pytest.mark.step("sick")
def test_shop_answers(swarm):
    """Port 8098 answers on every node."""
    must_answer(swarm, "shop", SHOP)


# -- ends


@pytest.mark.step("ends")
def test_docs_is_there(swarm):
    """The service docs is set to run one task, and publishes port 8099."""
    service_of(swarm, "docs", DOCS)


@pytest.mark.step("ends")
def test_docs_is_started_again(swarm):
    """Swarm starts it again when it ends."""
    policy = swarm.service("docs").spec["TaskTemplate"].get("RestartPolicy") or {}
    if policy.get("Condition", "any") == "none":
        wrong(
            "docs should be started again when it ends: nothing else brings it back",
            found="restart condition none",
            look=inspect("docs"),
            hint="`docker service update --restart-condition any docs`.",
        )


@pytest.mark.step("ends")
def test_docs_runs(swarm):
    """Its task goes on running."""
    must_run(swarm, "docs")


@pytest.mark.step("ends")
def test_nginx_is_the_first_process(swarm):
    """Its container ends when nginx ends."""
    first = swarm.service("docs").run("cat /proc/1/comm").stdout.strip()
    if first in ("sh", "bash", "dash", "sleep", "tail"):
        wrong(
            "the first process in the container is {first}: nobody would notice if nginx died",
            found=first,
            look=inspect("docs"),
            hint="nginx itself has to be the first process and stay in the foreground: `daemon off;`.",
            first=first,
        )


@pytest.mark.every(2)
@pytest.mark.step("ends")
def test_docs_answers(swarm):
    """Port 8099 answers on every node."""
    must_answer(swarm, "docs", DOCS)


# -- alone


@pytest.mark.step("alone")
def test_news_is_there(swarm):
    """The service news is set to run one task, and publishes port 8100."""
    service_of(swarm, "news", NEWS)


@pytest.mark.step("alone")
def test_news_runs(swarm):
    """Its task goes on running."""
    must_run(swarm, "news")


@pytest.mark.every(2)
@pytest.mark.step("alone")
def test_news_are_shown(swarm):
    """Port 8100 answers with the news, on every node."""
    for node, page in must_answer(swarm, "news", NEWS).items():
        if "news of today" not in page.body:
            wrong(
                "news runs but does not show the news: {node} answers with another page",
                found=" ".join(page.body.split())[:60],
                look=f"labctl ssh m1 curl -s {page.url}",
                hint="The page comes from the config, which has to be where nginx reads it: "
                "`target=/etc/nginx/conf.d/default.conf`.",
                node=node,
            )
