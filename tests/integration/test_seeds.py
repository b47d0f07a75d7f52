"""What old tutorials type, typed as they have it. The names are theirs: manager, worker01, registry."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from labctl.lab import Context, Lab, UpOptions, bring_up, find_lab, open_context
from labctl.spec import read_mapping
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING

pytestmark = pytest.mark.lab

NODES = [
    {"name": "manager", "role": "manager"},
    *({"name": f"worker0{number}", "role": "worker"} for number in (1, 2, 3)),
]


def sh(command: str) -> str:
    """Type a command on this host, and return what it printed; it must succeed."""
    # `docker exec -it` wants a terminal, which a test has not.
    typed = shlex.split(command.replace(" -it ", " "))
    done = subprocess.run(typed, capture_output=True, text=True, timeout=180, env=os.environ)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def compose_lab() -> Iterator[Lab]:
    """A lab whose containers are called as a compose file of docker:dind has them, not yet a swarm."""
    context: Context = open_context()
    spec = read_mapping({"name": "tseed", "nodes": NODES, "swarm": "empty", "bare_names": True})
    bring_up(context, spec, UpOptions(verify=False))
    lab = find_lab(context, "tseed")
    yield lab
    lab.down()


def test_the_swarm_is_made_by_docker_exec_one_by_one(compose_lab: Lab) -> None:
    said = sh("docker container exec -it manager docker swarm init")
    token = re.search(r"SWMTKN-\S+", said)
    assert token is not None
    for number in (1, 2, 3):
        joined = sh(f"docker container exec -it worker0{number} docker swarm join --token {token[0]} manager:2377")
        assert "This node joined a swarm as a worker." in joined
    for role in ("worker", "manager"):
        assert "SWMTKN-" in sh(f"docker container exec -it manager docker swarm join-token {role}")

    def ready() -> None:
        found = sh("docker container exec -it manager docker node ls")
        if found.count("Ready") != 4:
            raise Pending(found)

    wait_until("four nodes being Ready", ready, limit=HANGING)
    assert "Leader" in sh("docker container exec -it manager docker node ls")


def test_a_service_is_made_scaled_and_removed(compose_lab: Lab) -> None:
    create = "docker service create --name nginx-service --replicas 3 --publish=8080:80 nginx:latest"
    sh(f"docker container exec -it manager {create}")
    assert "3/3" in sh("docker container exec -it manager docker service ls")
    assert sh("docker container exec -it manager docker service ps nginx-service").count("Running ") >= 3

    for node in compose_lab.nodes:
        page = wait_until("the page", partial(answer, node.address, 8080), limit=HANGING)
        assert "nginx" in page.lower()

    sh("docker container exec -it manager docker service scale nginx-service=5")
    assert "5/5" in sh("docker container exec -it manager docker service ls")
    sh("docker container exec -it manager docker service inspect nginx-service")
    sh("docker container exec -it manager docker service rm nginx-service")
    assert "nginx-service" not in sh("docker container exec -it manager docker service ls")


def test_the_registry_is_there_by_name(compose_lab: Lab) -> None:
    sh("docker container exec -it manager docker pull nginx:latest")
    sh("docker container exec -it manager docker tag nginx:latest registry:5000/mine:latest")
    sh("docker container exec -it manager docker push registry:5000/mine:latest")
    sh("docker container exec -it worker01 docker pull registry:5000/mine:latest")


STACK = """
version: "3.9"
services:
  redis:
    image: redis:alpine
    networks: [frontend]
    deploy:
      replicas: 1
      update_config: {parallelism: 2, delay: 10s}
      restart_policy: {condition: on-failure}
  db:
    image: postgres:9.4
    volumes: ["db-data:/var/lib/postgresql/data"]
    networks: [backend]
    environment: ["POSTGRES_HOST_AUTH_METHOD=trust"]
    deploy:
      placement: {constraints: [node.role == manager]}
  vote:
    image: bretfisher/examplevotingapp_vote
    ports: ["5000:80"]
    networks: [frontend]
    depends_on: [redis]
    deploy:
      replicas: 2
      update_config: {parallelism: 2}
      restart_policy: {condition: on-failure}
  result:
    image: bretfisher/examplevotingapp_result
    ports: ["5001:80"]
    networks: [backend]
    depends_on: [db]
    deploy: {replicas: 1}
  worker:
    image: bretfisher/examplevotingapp_worker
    networks: [frontend, backend]
    deploy:
      mode: replicated
      replicas: 1
      placement: {constraints: [node.role == manager]}
  visualizer:
    image: dockersamples/visualizer
    ports: ["8080:8080"]
    stop_grace_period: 1m30s
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    deploy:
      placement: {constraints: [node.role == manager]}
networks:
  frontend:
  backend:
volumes:
  db-data:
"""


def test_the_voting_app_of_the_tutorial_is_deployed_by_docker_stack(
    own_lab: Callable[..., Lab], context: Context
) -> None:
    from labctl import images

    images.ensure(context.engine, re.findall(r"image: (\S+)", STACK))
    lab = own_lab(workers=2, options=UpOptions(verify=False))
    manager = lab.manager()
    manager.put(STACK.encode(), "/root/docker-stack.yml")
    manager.expect("cd /root && sudo docker stack deploy -c docker-stack.yml testapp")
    assert "testapp" in manager.expect("sudo docker stack ls").stdout

    def converged() -> None:
        listed = manager.expect("sudo docker stack services --format '{{.Name}} {{.Replicas}}' testapp").stdout
        rows = dict(line.split()[:2] for line in listed.splitlines())
        if len(rows) != 6 or any(len(set(row.split("/"))) != 1 for row in rows.values()):
            raise Pending(listed)

    wait_until("the stack converging", converged, limit=180, pause=1, longest_pause=2)
    for port, word in ((5000, "cats"), (5001, "cats"), (8080, "swarm")):
        for node in lab.nodes:
            page = wait_until(f"port {port}", partial(answer, node.address, port), limit=HANGING)
            assert word in page.lower(), f"{node.name}:{port} says {page[:200]}"
    manager.expect("docker stack rm testapp")


def answer(address: str, port: int) -> str:
    """Ask for a page; "not yet" while nobody answers."""
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=5) as page:
            return str(page.read().decode())
    except OSError as problem:
        raise Pending(str(problem)) from None
