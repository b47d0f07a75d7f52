"""What the swarm takes without a word: ports of the nodes themselves, and encrypted networks without ESP."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.errors import NodeDown
from labctl.swarm import SwarmView
from labctl.swarm.caveats import ESP_TRY, encrypted_networks, ingress_network, lacks_esp, problems_of, stack_caveats
from labctl.swarm.state import Service
from labctl.transport import Result

from ..nodes import RAW_INGRESS, FakeNode, fake_node, raw_service

NO_ESP = "Error: Requested type not found.\n"


def network(name: str, *, stack: str = "", driver: str = "overlay", **options: str) -> dict[str, Any]:
    labels = {"com.docker.stack.namespace": stack} if stack else {}
    return {"Id": f"id-{name}", "Name": name, "Driver": driver, "Options": options or None, "Labels": labels}


def node(name: str = "manager1", said: str | Result = "", *networks: dict[str, Any], services: Any = ()) -> FakeNode:
    found = fake_node(name, api={"GET /networks": [RAW_INGRESS, *networks], "GET /services": list(services)})
    found.shell.answers = {ESP_TRY: said}
    return found


def failed(stderr: str, code: int = 2) -> Result:
    return Result("", code, "", stderr)


def service(*ports: tuple[int, str], mode: str = "ingress", **more: Any) -> dict[str, Any]:
    published = [{"PublishedPort": p, "TargetPort": 80, "Protocol": proto, "PublishMode": mode} for p, proto in ports]
    return raw_service("web", Endpoint={"Ports": published}, **more)


@pytest.mark.parametrize(
    ("port", "protocol", "whose"),
    [
        (22, "tcp", "SSH"),
        (2376, "tcp", "the engine's API"),
        (2377, "tcp", "the swarm's managers"),
        (7946, "tcp", "the swarm's gossip"),
        (7946, "udp", "the swarm's gossip"),
        (4789, "udp", "the overlay networks"),
    ],
)
def test_a_service_that_publishes_a_nodes_own_port_is_named_with_it(port: int, protocol: str, whose: str) -> None:
    manager = node()

    (told,) = problems_of(SwarmView(manager.engine), [Service.of(service((port, protocol)))], [manager])

    assert told.startswith(f"service web publishes {port}/{protocol}, the nodes' own port ({whose})")


@pytest.mark.parametrize(
    ("port", "protocol"), [(5000, "tcp"), (8080, "tcp"), (22, "udp"), (2377, "udp"), (4789, "tcp")]
)
def test_the_registrys_port_and_all_others_are_no_conflict(port: int, protocol: str) -> None:
    manager = node()

    assert problems_of(SwarmView(manager.engine), [Service.of(service((port, protocol)))], [manager]) == []


def test_a_port_of_one_node_alone_is_no_matter_of_the_mesh() -> None:
    manager = node()
    only_here = Service.of(service((22, "tcp"), mode="host"))

    assert problems_of(SwarmView(manager.engine), [only_here], [manager]) == []


def test_an_encrypted_network_is_named_where_no_kernel_has_esp() -> None:
    nodes = [node("manager1", failed(NO_ESP), network("sec", encrypted="")), node("worker1", failed(NO_ESP))]

    (told,) = problems_of(SwarmView(nodes[0].engine), [], nodes)

    assert told.startswith("network sec is encrypted, and the nodes have no ESP in the kernel: no packet on it")
    assert "--backend vagrant" in told


def test_where_one_kernel_lacks_esp_that_node_is_named() -> None:
    nodes = [node("manager1", "", network("sec", encrypted="")), node("worker1", failed(NO_ESP))]

    (told,) = problems_of(SwarmView(nodes[0].engine), [], nodes)

    assert "worker1 has no ESP" in told


def test_with_esp_nothing_is_said() -> None:
    nodes = [node("manager1", "", network("sec", encrypted="")), node("worker1")]

    assert problems_of(SwarmView(nodes[0].engine), [], nodes) == []


def test_no_kernel_is_asked_while_no_network_is_encrypted() -> None:
    nodes = [node("manager1", failed(NO_ESP), network("plain")), node("worker1", failed(NO_ESP))]

    assert problems_of(SwarmView(nodes[0].engine), [], nodes) == []
    assert nodes[0].shell.commands == []


@pytest.mark.parametrize(
    "said",
    [
        "sh: 1: ip: command not found",
        "unshare: unshare failed: Operation not permitted",
        "RTNETLINK answers: Operation not permitted",
    ],
)
def test_what_cannot_be_tried_is_not_called_missing(said: str) -> None:
    assert not lacks_esp(node("manager1", failed(said)))


def test_a_node_that_is_down_is_not_called_without_esp() -> None:
    down = node("manager1")

    def gone(*_args: Any, **_kwargs: Any) -> Result:
        raise NodeDown("manager1", "exited")

    down.shell.run = gone  # type: ignore[method-assign]  # the machine went down meanwhile

    assert not lacks_esp(down)


def test_only_overlays_count_and_an_empty_option_means_yes() -> None:
    manager = node(
        "manager1",
        "",
        network("b", encrypted=""),
        network("a", encrypted="true"),
        network("off", encrypted="false"),
        network("plain"),
        network("local", driver="bridge", encrypted=""),
    )

    assert [one["Name"] for one in encrypted_networks(manager.engine)] == ["a", "b"]


def test_a_stack_is_told_of_its_own_networks_and_of_those_it_is_attached_to() -> None:
    attached = service((8080, "tcp"))
    attached["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "id-shared"}]
    networks = [
        network("mine", stack="web", encrypted=""),
        network("shared", encrypted=""),
        network("other", encrypted=""),
    ]
    manager = node("manager1", failed(NO_ESP), *networks, services=[attached])

    told = stack_caveats(SwarmView(manager.engine), "web", [manager, node("worker1", failed(NO_ESP))])

    assert [one.split()[1] for one in told] == ["mine", "shared"]


def test_an_ingress_network_that_was_removed_is_told_with_the_command_that_makes_it() -> None:
    manager = node()
    manager.api["GET /networks"] = [network("web_default")]

    assert problems_of(SwarmView(manager.engine), [], [manager]) == [
        "the ingress network is gone, and no service can publish a port: "
        "`labctl docker -- network create --driver overlay --ingress ingress` makes it again, "
        "and then `labctl up` lets all nodes enter it"
    ]


def test_an_ingress_network_of_another_name_is_one() -> None:
    manager = node()
    manager.api["GET /networks"] = [network("web_default"), {**RAW_INGRESS, "Name": "my-ingress"}]

    assert ingress_network(manager.engine) == {**RAW_INGRESS, "Name": "my-ingress"}
    assert problems_of(SwarmView(manager.engine), [], [manager]) == []
