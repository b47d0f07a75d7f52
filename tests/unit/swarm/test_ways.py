"""Ways out: what a person can do about a service that does not come up, by the reason that was told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labctl.errors import EngineRefused
from labctl.swarm.progress import Progress
from labctl.swarm.state import Service, SwarmNode
from labctl.swarm.ways import Nearby, way_out
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_node, raw_service

NO_HUB = (
    'Error response from daemon: Get "https://registry-1.docker.io/v2/": '
    "dial tcp: lookup registry-1.docker.io: no such host\n"
)


def progress(reason: str, name: str = "web") -> Progress:
    return Progress(name, 0, 1, done=False, reason=reason, trouble=True, hopeless=True)


def member(cpus: int = 2, gib: int = 4, **fpgas: str) -> SwarmNode:
    raw = raw_node("worker1")
    raw["Description"]["Resources"] = {
        "NanoCPUs": cpus * 10**9,
        "MemoryBytes": gib * 2**30,
        "GenericResources": [{"NamedResourceSpec": {"Kind": "fpga", "Value": name}} for name in fpgas],
    }
    return SwarmNode.of(raw)


def host_port(name: str) -> Service:
    port = {"PublishedPort": 80, "TargetPort": 8080, "Protocol": "tcp", "PublishMode": "host"}
    return Service.of(raw_service(name, Endpoint={"Ports": [port]}))


def generic(kind: str, value: int) -> list[dict[str, Any]]:
    return [{"DiscreteResourceSpec": {"Kind": kind, "Value": value}}]


def reserving(**reservations: Any) -> Service:
    raw = raw_service("web")
    raw["Spec"]["TaskTemplate"]["Resources"] = {"Reservations": reservations}
    return Service.of(raw)


def puller(said: str) -> FakeNode:
    node = fake_node("worker1")
    node.shell.answers["docker pull -q mysql:8"] = Result("", 1, "", said)
    node.api["GET /images/mysql:8/json"] = EngineRefused("no such image", status=404)
    return node


def hint(reason: str, *services: Service, nodes: list[Any] | None = None) -> str:
    known = {service.name: service for service in services}
    return str(way_out([progress(reason)], known, [member()], nodes or []))


def test_an_image_of_a_registry_out_of_reach_can_be_brought() -> None:
    found = hint("2 attempts failed: No such image: mysql:8@sha256:1", nodes=[puller(NO_HUB)])

    assert found.startswith('Docker Hub is out of reach of the nodes (worker1: Get "https://registry-1.docker.io')
    assert "`labctl image ls`" in found
    assert "`labctl image load mysql:8`" in found
    assert "`labctl image push mysql:8`" in found


def test_a_registry_that_answers_is_told_with_its_answer() -> None:
    said = "Error response from daemon: manifest for mysql:8 not found: manifest unknown\n"

    found = hint("1 rejected: No such image: mysql:8", nodes=[puller(said)])

    assert found.startswith("Docker Hub does not give worker1 the image mysql:8: manifest for mysql:8 not found")


def test_without_a_node_to_ask_both_are_possible_and_several_images_are_told_once() -> None:
    unfinished = [progress(f"2 attempts failed: No such image: {name}") for name in ("ghcr.io/a/b:1", "mysql:8")]

    found = str(way_out(unfinished, {}, []))

    assert found.startswith(
        "ghcr.io has no ghcr.io/a/b:1, or the nodes do not reach it.\n     Docker Hub has no mysql:8"
    )
    assert found.count("image load") == 1
    assert found.endswith("The same goes for mysql:8.")


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (
            reserving(NanoCPUs=7 * 10**9),
            "web reserves 7 CPUs for each task; the largest node has 2 CPUs and 4 GiB: reserve less",
        ),
        (
            reserving(MemoryBytes=9 * 2**30),
            "web reserves 9 GiB for each task; the largest node has 2 CPUs and 4 GiB: reserve",
        ),
        (reserving(MemoryBytes=3 * 2**30), "and other tasks have reserved of it: reserve less, or run fewer tasks."),
        (
            reserving(GenericResources=generic("gpu", 1)),
            "web reserves 1 gpu for each task; the largest node has 2 CPUs, 4 GiB and no gpu: reserve less under",
        ),
    ],
)
def test_a_reservation_is_told_beside_what_the_nodes_have(service: Service, told: str) -> None:
    assert told in hint("1 pending: no suitable node (insufficient resources on 2 nodes)", service)


def test_things_that_engines_name_are_counted_by_their_kind() -> None:
    service = reserving(NanoCPUs=4 * 10**9, GenericResources=generic("fpga", 2))
    reason = "1 pending: no suitable node (insufficient resources on 2 nodes)"

    def told(*members: SwarmNode) -> str:
        return str(way_out([progress(reason)], {"web": service}, members))

    assert "web reserves 4 CPUs and 2 fpga for each task; the largest node has 4 CPUs, 4 GiB and 1 fpga: res" in told(
        member(cpus=4, a="")
    )
    assert "4 CPUs, 4 GiB and 2 fpga, and no node has all of it at once: reserve less" in told(
        member(cpus=4), member(a="", b="")
    )
    assert "and other tasks have reserved of it" in told(member(cpus=4, a="", b=""))


def test_more_replicas_than_nodes_may_have_are_told_with_the_limit() -> None:
    service = Service.of(raw_service("web"))
    service.raw["Spec"]["TaskTemplate"]["Placement"] = {"MaxReplicas": 2}

    found = hint("1 pending: no suitable node (max replicas per node limit exceed on 2 nodes)", service)

    assert found.startswith("web: a node may run 2 tasks of it at most (`deploy: placement: max_replicas_per_node:`)")
    assert "`labctl node add`" in found


def test_a_host_port_is_told_with_the_service_that_has_it() -> None:
    reason = "1 pending: no suitable node (host-mode port already in use on 2 nodes)"

    assert "web: other has host port 80/tcp on the nodes already" in hint(reason, host_port("web"), host_port("other"))
    assert "run no more replicas than nodes" in hint(reason, host_port("web"))


def starting_first(update: str = "updating") -> Service:
    service = host_port("web")
    orders = {"UpdateConfig": {"Order": "start-first"}, "RollbackConfig": {"Order": "start-first"}}
    service.raw["Spec"] |= {key: order for key, order in orders.items() if (key[0] == "R") is (update != "updating")}
    return replace(service, update_state=update)


BOTH = "2 pending: no suitable node (scheduling constraints not satisfied on 1 node; host-mode port already in use on 2"


@pytest.mark.parametrize(
    ("update", "where", "flag"),
    [("updating", "update_config", "--update-order"), ("rollback_started", "rollback_config", "--rollback-order")],
)
@pytest.mark.parametrize("reason", [BOTH, "2 pending: no suitable node (host-mode port already in use on 2 nodes)"])
def test_new_tasks_that_wait_for_the_port_of_the_old_are_told_to_stop_these_first(
    reason: str, update: str, where: str, flag: str
) -> None:
    found = way_out([replace(progress(reason), old=2)], {"web": starting_first(update)}, [member()])

    assert str(found).startswith(
        "web: with `order: start-first` its old tasks keep the host port 80/tcp until new ones"
    )
    assert f"`deploy: {where}: order: stop-first`" in str(found)
    assert f"`labctl docker -- service update --force {flag} stop-first web`" in str(found)
    assert "label" not in str(found)


def test_a_first_deploy_has_no_old_tasks_that_could_stop_first() -> None:
    assert "run no more replicas than nodes" in hint(BOTH, starting_first())


@pytest.mark.parametrize(
    ("reason", "service", "told"),
    [
        ("host-mode port already in use on 1 node", host_port("web"), "run no more replicas than nodes"),
        ("insufficient resources on 1 node", reserving(NanoCPUs=7 * 10**9), "web reserves 7 CPUs for each task"),
        ("max replicas per node limit exceed on 1 node", host_port("web"), "web: a node may run"),
    ],
)
def test_a_placement_that_only_some_nodes_meet_does_not_hide_what_is_wrong_with_those(
    reason: str, service: Service, told: str
) -> None:
    found = hint(f"1 pending: no suitable node (scheduling constraints not satisfied on 1 node; {reason})", service)

    assert told in found.splitlines()[0]
    assert found.splitlines()[-1].startswith("     Other nodes are not what its placement asks for")
    assert "No node" not in found


def test_a_folder_that_no_node_has_is_told_with_the_paths_that_work() -> None:
    said = "bind source path does not exist: /tmp/labctl-stack-1a2b3c4d/data"

    found = hint(f'3 attempts failed: invalid mount config for type "bind": {said}')

    assert "path that is on the nodes" in found
    assert "`labctl exec -- mkdir -p /srv/data`" in found
    assert "`labctl scp FILE NODE:/srv/`" in found


def test_other_reasons_lead_to_the_tasks() -> None:
    assert hint("1 failed") == "`labctl docker -- service ps --no-trunc web` tells more."
    assert way_out([], {}, []) is None


def lacking() -> Any:
    return progress("1 failed and will not be started again: No such image: mysql:8")


def test_an_image_that_this_host_has_only_needs_to_be_copied() -> None:
    near = Nearby(is_here=lambda name: name == "mysql:8")

    found = str(way_out([lacking()], {}, [member()], [puller("")], near))

    assert found.startswith("This host's engine has mysql:8:\n     `labctl image load mysql:8` copies it")
    assert "docker build" not in found


def test_tags_that_the_mirror_has_are_named() -> None:
    near = Nearby(tags=lambda _name: ["mysql:latest", *(f"mysql:{number}" for number in range(50, 80)), "mysql:8.4"])

    found = str(way_out([lacking()], {}, [member()], [], near))

    named = found.splitlines()[1].strip()
    assert named.startswith("The lab's mirror has mysql:") and named.count("mysql:") == 5, "the nearest"
    assert "mysql:8.4" in named
    assert found.count("To bring mysql:8") == 1
    assert "image ls" not in found


def test_an_image_that_came_too_late_is_not_to_be_brought() -> None:
    node = fake_node("worker1", api={"GET /images/mysql:8/json": {"Id": "1"}})

    found = str(way_out([lacking()], {}, [member()], [node]))

    assert found == (
        "Every node has mysql:8 by now.\n     Then `labctl docker -- service update --force web` starts it again."
    )


def test_an_image_that_the_mirror_has_is_kept_from_the_nodes_by_something_else() -> None:
    near = Nearby(tags=lambda _name: ["mysql:9", "mysql:8"])

    found = str(way_out([lacking()], {}, [member()], [], near))

    assert "The lab's mirror has mysql:8: `labctl verify` tells what keeps nodes from it." in found
