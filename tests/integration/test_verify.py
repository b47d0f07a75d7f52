"""`verify` tries the services of the user on a real lab, and names what does not serve."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from labctl.events import Event, Noted
from labctl.lab import Lab
from labctl.lab.gossip import WHERE
from labctl.lab.verify import PROBE_IMAGE

pytestmark = pytest.mark.lab

STACK = f"""
services:
  web:
    image: {PROBE_IMAGE}
    ports: ["8471:8080", "8472:8080/udp"]
    networks: [inner]
    deploy: {{mode: global}}
  own:
    image: {PROBE_IMAGE}
    ports: [{{target: 8080, published: 8473, mode: host}}]
    networks: [inner, other]
    deploy: {{replicas: 2, endpoint_mode: dnsrr}}
networks: {{inner: {{}}, other: {{}}}}
"""
BLOCK = (
    "nft add table inet test_block && "
    "nft add chain inet test_block in '{ type filter hook prerouting priority -350; }' && "
    "nft add rule inet test_block in tcp dport 8471 drop"
)


@pytest.fixture
def served(shared_lab: Lab) -> Iterator[Lab]:
    """A lab with a stack: one name with a VIP, one without."""
    shared_lab.deploy([], "tried", text=STACK)
    yield shared_lab
    shared_lab.remove_stack("tried")


def refusal(lab: Lab) -> str:
    with pytest.raises(Exception, match="service tried_web") as caught:
        lab.verify()
    return str(caught.value)


def test_services_that_serve_are_tried_and_what_has_not_converged_is_told_apart(served: Lab) -> None:
    manager = served.manager()
    manager.expect(f"docker service create --detach --name nowhere --constraint node.labels.no==where {PROBE_IMAGE}")
    heard: list[Event] = []
    try:
        said = served.verify(on_event=heard.append)
    finally:
        manager.run("docker service rm nowhere")

    # The service without a VIP and the one with it, and `tasks.` of both, on three nodes; on `other`, on two, one more.
    assert re.search(r"3 services, 1 of them without a running task: \d+ names found, 5 published ports answer", said)
    notes = [event.text for event in heard if isinstance(event, Noted)]
    assert "not tried, since only TCP tells: 8472/udp of tried_web" in notes
    assert any(
        note.startswith("not converged, and tried as far as its tasks run: nowhere: 0 of 1 task") for note in notes
    )


def test_a_port_that_a_node_does_not_serve_is_named(served: Lab) -> None:
    worker = served.node("worker2")
    worker.expect(BLOCK)
    try:
        told = refusal(served)
    finally:
        worker.expect("nft delete table inet test_block")

    assert told.startswith("service tried_web: on worker2 published port 8471/tcp does not answer (from ")
    assert "`labctl restart worker2` starts the node over" in told
    assert len(told.splitlines()) == 1
    assert "published ports answer" in served.verify()


def test_a_task_that_is_missing_from_the_names_is_named_and_what_is_advised_helps(served: Lab) -> None:
    """Its engine forgets that it announced it, as engines do that lost a part of what they know."""
    worker = served.node("worker1")
    network = served.manager().expect("docker network ls -q --no-trunc -f name=tried_inner").stdout.strip()
    here = worker.engine.get_json(f"/networks/{network}")["Containers"].values()
    (end,) = [one for one in here if one["Name"].startswith("tried_web.")]
    entry = f"nid={network}&tname=endpoint_table&key={end['EndpointID']}"
    assert worker.expect(["curl", "-s", f"{WHERE}/deleteentry?{entry}"]).stdout.startswith("OK")

    told = refusal(served)
    address = end["IPv4Address"].partition("/")[0]
    assert f"the name tasks.tried_web does not lead to {address} (on worker1): " in told
    (advised,) = re.findall(r"`labctl docker -- (service update --force tried_web)`", told)

    served.manager().expect(f"docker {advised}")
    assert "published ports answer" in served.verify()
