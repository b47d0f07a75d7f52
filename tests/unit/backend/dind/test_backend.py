"""A lab of containers is found from its labels alone, and made so that a cut-down `up` can be told from another's."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from labctl.backend import DindBackend, NodePlan
from labctl.engine.fake import Answer, FakeEngine
from labctl.errors import EngineRefused, LabError
from labctl.events import Event, NodeRemoved, NodeStarted
from labctl.owner import own_mark
from labctl.spec import LabSpec, labels, note_of

pytestmark = pytest.mark.usefixtures("state")

SPEC = LabSpec(name="demo", workers=1)
GONE = EngineRefused("no such container", status=404)
CONFLICT = EngineRefused('Conflict. The container name "/demo-manager1" is already in use', status=409)
TAKEN = EngineRefused("Bind for 127.0.0.1:1 failed: port is already allocated", status=500)


def container(node: str, address: str, **more: Any) -> dict[str, Any]:
    role = "manager" if node.startswith("manager") else "worker"
    marks = {labels.LAB: "demo", labels.KIND: "node", labels.NODE: node, labels.ROLE: role}
    marks |= {labels.ADDRESS: address, labels.PORT: "34567"}
    return {"Id": node, "Names": [f"/demo-{node}"], "State": "running", "Labels": marks, **more}


def network() -> dict[str, Any]:
    config = [{"Subnet": "10.0.0.0/24"}]
    return {"Name": "labctl-demo", "Labels": {labels.LAB: "demo"}, "IPAM": {"Config": config}}


def noted(text: str, *, name: str = "labctl-demo-spec-1", made: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    marks = {labels.LAB: "demo", labels.KIND: "spec", labels.SPEC: text}
    return {"Name": name, "CreatedAt": made, "Labels": marks}


def engine_with(
    containers: list[dict[str, Any]] | None = None,
    networks: list[dict[str, Any]] | None = None,
    volumes: list[dict[str, Any]] | None = None,
) -> FakeEngine:
    script: dict[str, Answer] = {
        "GET /containers/json": containers or [],
        "GET /networks": networks or [],
        "GET /volumes": {"Volumes": volumes},
        "GET /images/json": [],
    }
    return FakeEngine(script)


def maker(**answers: Answer) -> FakeEngine:
    """An engine on which demo-manager1 can be made."""
    script: dict[str, Answer] = {
        "POST /containers/create": {"Id": "c1"},
        "PUT /containers/demo-manager1/archive": "",
        "POST /containers/demo-manager1/start": None,
        "DELETE /containers/demo-manager1": None,
    }
    return FakeEngine(script | answers)


def plan() -> NodePlan:
    return NodePlan(SPEC.all_nodes()[0], "10.0.0.11", {"debug": True}, aliases=("manager",), environment={"MESH": "on"})


def requests(engine: FakeEngine) -> list[str]:
    return [str(asked) for asked in engine.asked]


def test_where_nothing_bears_the_labs_label_there_is_no_lab() -> None:
    assert DindBackend(engine_with()).find("demo") is None


def test_a_lab_is_rebuilt_from_its_labels() -> None:
    nodes = [container("worker1", "10.0.0.12"), container("manager1", "10.0.0.11")]
    engine = engine_with(nodes, [network()], [noted('{"name": "demo", "workers": 1}')])

    record = DindBackend(engine).find("demo")

    assert record is not None
    assert (record.spec, record.subnet, record.network) == (SPEC, "10.0.0.0/24", "labctl-demo")
    assert [(node.name, node.role, node.address) for node in record.nodes] == [
        ("manager1", "manager", "10.0.0.11"),
        ("worker1", "worker", "10.0.0.12"),
    ]
    assert record.nodes[0].endpoint.url == "tcp://127.0.0.1:34567"
    assert record.nodes[0].machine == "demo-manager1"


def test_nodes_come_in_the_order_of_their_addresses_and_not_of_their_digits() -> None:
    nodes = [container("worker9", "10.0.0.100"), container("worker1", "10.0.0.12")]

    record = DindBackend(engine_with(nodes)).find("demo")

    assert record is not None
    assert [node.name for node in record.nodes] == ["worker1", "worker9"]


def test_a_volume_that_was_left_alone_is_a_lab_that_can_be_removed() -> None:
    record = DindBackend(engine_with(volumes=[noted("{}")])).find("demo")

    assert record is not None
    assert (record.nodes, record.network) == ((), None)


@pytest.mark.parametrize("text", ["", "no json", '{"workers": -1}', "[]", '{"key of a newer version": 1}'])
def test_a_spec_that_cannot_be_read_is_lost_and_the_lab_is_not(text: str) -> None:
    record = DindBackend(engine_with([container("manager1", "10.0.0.11")], volumes=[noted(text)])).find("demo")

    assert record is not None
    assert record.spec is None


def test_of_two_specs_the_newer_one_counts() -> None:
    older = noted('{"name": "demo", "workers": 1}')
    newer = noted('{"name": "demo", "workers": 2}', name="labctl-demo-spec-2", made="2026-01-02T00:00:00Z")

    record = DindBackend(engine_with(volumes=[newer, older])).find("demo")

    assert record is not None and record.spec is not None
    assert record.spec.workers == 2


def test_a_new_spec_is_noted_before_the_old_one_goes() -> None:
    engine = engine_with(volumes=[noted("{}")])
    engine.script |= {"POST /volumes/create": {}, "DELETE /volumes/labctl-demo-spec-1": None}

    DindBackend(engine).remember(SPEC)

    assert requests(engine) == ["GET /volumes", "POST /volumes/create", "DELETE /volumes/labctl-demo-spec-1"]


def test_a_spec_that_is_noted_already_is_not_noted_again() -> None:
    engine = engine_with(volumes=[noted(note_of(SPEC))])

    DindBackend(engine).remember(SPEC)

    assert requests(engine) == ["GET /volumes"]


def test_a_node_is_made_with_its_keys_and_its_configuration_before_it_starts(heard: list[Event]) -> None:
    archives: list[bytes] = []
    engine = maker()
    engine.script["PUT /containers/demo-manager1/archive"] = lambda asked: archives.append(asked.body)

    node = DindBackend(engine, image="node:1").create_node(SPEC, plan(), heard.append)

    assert requests(engine)[-3:] == [
        "POST /containers/create",
        "PUT /containers/demo-manager1/archive",
        "POST /containers/demo-manager1/start",
    ]
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        modes = {entry.name: entry.mode for entry in archive if entry.isfile()}
    assert modes["etc/labctl/tls/key.pem"] == 0o600
    assert modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
    assert {"etc/docker/daemon.json", "etc/labctl/environment", "etc/labctl/tls/ca.pem"} <= set(modes)
    assert (node.name, node.state, node.machine) == ("manager1", "running", "demo-manager1")
    assert heard == [NodeStarted("manager1")]


def test_a_port_that_somebody_took_meanwhile_is_answered_with_another() -> None:
    starts: list[Answer] = [TAKEN, None]
    engine = maker()
    engine.script["POST /containers/demo-manager1/start"] = lambda _: starts.pop(0)

    node = DindBackend(engine).create_node(SPEC, plan())

    assert requests(engine).count("POST /containers/create") == 2
    last = [asked for asked in engine.asked if str(asked) == "POST /containers/create"][-1]
    assert node.endpoint.url.endswith(":" + last.body["Labels"][labels.PORT])


def test_ports_are_not_tried_for_ever() -> None:
    with pytest.raises(EngineRefused, match="port is already allocated"):
        DindBackend(maker(**{"POST /containers/demo-manager1/start": TAKEN})).create_node(SPEC, plan())


def test_a_node_that_cannot_start_leaves_no_container() -> None:
    engine = maker(**{"POST /containers/demo-manager1/start": EngineRefused("operation not permitted", status=500)})

    with pytest.raises(EngineRefused, match="operation not permitted"):
        DindBackend(engine).create_node(SPEC, plan())

    assert requests(engine)[-1] == "DELETE /containers/demo-manager1"


def test_a_container_that_an_earlier_up_left_half_made_is_made_anew() -> None:
    tries: list[Answer] = [CONFLICT, {"Id": "c2"}]
    engine = maker(**{"GET /containers/demo-manager1/json": {"Config": {"Labels": {labels.LAB: "demo"}}}})
    engine.script["POST /containers/create"] = lambda _: tries.pop(0)

    DindBackend(engine).create_node(SPEC, plan())

    assert "DELETE /containers/demo-manager1" in requests(engine)


@pytest.mark.parametrize("marks", [None, {}, {labels.LAB: "other"}])
def test_a_container_of_somebody_else_is_not_touched(marks: dict[str, str] | None) -> None:
    engine = maker(**{"POST /containers/create": CONFLICT})
    engine.script["GET /containers/demo-manager1/json"] = {"Config": {"Labels": marks}}

    with pytest.raises(LabError, match="a container named demo-manager1 is there already and is not this lab's"):
        DindBackend(engine).create_node(SPEC, plan())

    assert "DELETE /containers/demo-manager1" not in requests(engine)


def test_a_lab_is_removed_containers_first(heard: list[Event]) -> None:
    engine = engine_with([container("manager1", "10.0.0.11")], [network()], [noted("{}")])
    engine.script |= {
        "DELETE /containers/demo-manager1": None,
        "DELETE /networks/labctl-demo": None,
        "DELETE /volumes/labctl-demo-spec-1": None,
    }

    removed = DindBackend(engine, emit=heard.append).destroy("demo")

    assert removed == ["demo-manager1", "labctl-demo", "labctl-demo-spec-1"]
    first, *rest = [line for line in requests(engine) if line.startswith("DELETE")]
    assert first == "DELETE /containers/demo-manager1"
    # Nothing holds these any more, so they go at the same time.
    assert sorted(rest) == ["DELETE /networks/labctl-demo", "DELETE /volumes/labctl-demo-spec-1"]
    assert heard == [NodeRemoved("demo-manager1")]


def test_a_node_whose_container_is_gone_is_gone() -> None:
    engine = engine_with([container("manager1", "10.0.0.11")])
    backend = DindBackend(engine)
    record = backend.find("demo")
    assert record is not None
    engine.script["GET /containers/demo-manager1/json"] = GONE

    assert backend.look(record.nodes[0]).state == "gone"


def test_a_node_that_is_down_is_not_killed_again() -> None:
    engine = engine_with([container("manager1", "10.0.0.11", State="exited")])
    backend = DindBackend(engine)
    record = backend.find("demo")
    assert record is not None
    engine.script["GET /containers/demo-manager1/json"] = {"State": {"Status": "exited"}}

    backend.kill(record.nodes[0])

    assert "POST /containers/demo-manager1/kill" not in requests(engine)


def held_by(*names: str) -> FakeEngine:
    """An engine on which these foreign containers keep the lab's network."""
    engine = engine_with([container("manager1", "10.0.0.11")], [network()], [noted("{}")])
    engine.script |= {
        "DELETE /containers/demo-manager1": None,
        "DELETE /volumes/labctl-demo-spec-1": None,
        "DELETE /networks/labctl-demo": EngineRefused("network labctl-demo has active endpoints", status=403),
        "GET /networks/labctl-demo": network() | {"Containers": {name: {"Name": name} for name in names}},
    }
    return engine


def test_a_foreign_container_on_the_labs_network_is_named_and_all_else_is_removed() -> None:
    engine = held_by("mine")

    with pytest.raises(LabError, match="the network of lab demo stays: mine, not the lab's, must go first") as caught:
        DindBackend(engine).destroy("demo")

    assert caught.value.hint == (
        "`docker rm -f mine` or `docker network disconnect -f labctl-demo mine`, then `labctl down -l demo` again."
    )
    asked = [str(one) for one in engine.asked]
    assert "DELETE /containers/demo-manager1" in asked
    assert "DELETE /volumes/labctl-demo-spec-1" in asked


def test_a_network_that_stays_for_another_reason_tells_the_engines_own() -> None:
    with pytest.raises(EngineRefused, match="has active endpoints"):
        DindBackend(held_by()).destroy("demo")


def marked(**changed: str | None) -> dict[str, Any]:
    """A container with a node's labels, some of them changed or left out."""
    found = container("manager9", "10.0.0.19")
    found["Labels"] = {key: value for key, value in (found["Labels"] | changed).items() if value is not None}
    return found


@pytest.mark.parametrize(
    "stray",
    [
        marked(**{labels.NODE: None}),
        marked(**{labels.NODE: "../../etc"}),
        marked(**{labels.ADDRESS: None}),
        marked(**{labels.ADDRESS: "nonsense"}),
        marked(**{labels.PORT: "many"}),
        marked(**{labels.PORT: None}),
        marked(**{labels.OWNER: "alice@0123456789abcdef"}),
        {**marked(), "Names": None},
    ],
)
def test_a_container_with_labels_that_make_no_node_is_none_and_breaks_nothing(stray: dict[str, Any]) -> None:
    mine = network()
    mine["Labels"][labels.OWNER] = own_mark()
    backend = DindBackend(engine_with([stray, container("manager1", "10.0.0.11")], [mine]))

    assert backend.labs() == ["demo"]
    found = backend.find("demo")

    assert found is not None
    assert [node.name for node in found.nodes] == ["manager1"]
    assert found.owner.is_you


def test_a_label_that_can_be_no_name_of_a_lab_is_left_out() -> None:
    stray = {"Names": ["/x"], "Labels": {labels.LAB: "../x"}}
    odd = {"Name": "net", "Labels": {labels.LAB: "odd"}, "IPAM": {"Config": None}}
    backend = DindBackend(engine_with([stray], [odd]))

    assert backend.labs() == ["odd"]
    found = backend.find("odd")
    assert found is not None
    assert found.subnet is None


@pytest.mark.parametrize(
    ("networks", "state", "moved_to"),
    [
        ({"labctl-demo": {"IPAddress": "10.0.0.11"}}, "running", None),
        ({"labctl-demo": {"IPAddress": "10.0.0.77"}}, "running", "10.0.0.77"),
        ({"labctl-demo": {"IPAddress": "10.0.0.77"}, "bridge": {"IPAddress": "10.0.0.11"}}, "paused", "10.0.0.77"),
        ({"bridge": {"IPAddress": "172.17.0.2"}}, "running", ""),
        ({"labctl-demo": {"IPAddress": ""}}, "exited", None),
        (None, "running", None),
    ],
)
def test_that_a_node_has_another_address_than_it_was_made_with_is_seen(
    networks: dict[str, Any] | None, state: str, moved_to: str | None
) -> None:
    found = container("manager1", "10.0.0.11", State=state, NetworkSettings={"Networks": networks})

    record = DindBackend(engine_with([found], [network()])).find("demo")

    assert record is not None
    assert (record.nodes[0].address, record.nodes[0].moved_to) == ("10.0.0.11", moved_to)
