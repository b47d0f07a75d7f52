"""What a lab may be, what the rest becomes, and that each contradiction is refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import SpecError
from labctl.spec import LabSpec, NodeSpec, PortSpec, note_of, read_mapping, spec_noted
from labctl.spec.rules import TAKEN_NAMES, size_in_bytes

labels = st.dictionaries(st.sampled_from(["zone", "ssd", "rack.id"]), st.text(max_size=5), max_size=2)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", fullmatch=True).filter(lambda n: n not in TAKEN_NAMES)
ports = st.builds(
    PortSpec,
    target=st.integers(1, 65535),
    host=st.integers(1, 65535),
    protocol=st.sampled_from(["tcp", "udp"]),
)


@st.composite
def listed_nodes(draw: st.DrawFn) -> list[NodeSpec]:
    chosen = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    roles = ["manager", *draw(st.lists(st.sampled_from(["manager", "worker"]), min_size=4, max_size=4))]
    return [
        NodeSpec(name=name, role="manager" if role == "manager" else "worker", labels=draw(labels))
        for name, role in zip(chosen, roles, strict=False)
    ]


specs = st.builds(
    LabSpec,
    name=names,
    nodes=st.one_of(st.just(()), listed_nodes().map(tuple)),
    subnet=st.sampled_from([None, "10.0.0.0/24", "192.168.7.0/26"]),
    swarm=st.sampled_from(["formed", "empty"]),
    ports=st.lists(ports, max_size=3, unique_by=lambda port: (port.host, port.protocol)).map(tuple),
    images=st.lists(st.from_regex("[a-z0-9/:.]{1,8}", fullmatch=True), max_size=2).map(tuple),
    engine=st.sampled_from([{}, {"log-level": "debug"}, {"labels": ["a=b"]}]),
    node_labels=st.dictionaries(st.just("@manager"), labels, max_size=1),
)


def contradictions(**given: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_mapping(given)
    return [problem.split(": ", 2)[2] for problem in caught.value.problems]


def refusal(**given: Any) -> str:
    return contradictions(**given)[0]


def refusal_of_node(**given: Any) -> str:
    return refusal(nodes=[{"name": "a", "role": "manager", **given}])


def test_a_lab_of_which_nothing_is_said_has_one_manager_and_three_workers() -> None:
    spec = LabSpec()

    assert spec.name == "lab"
    assert [(node.name, node.role) for node in spec.all_nodes()] == [
        ("manager1", "manager"), ("worker1", "worker"), ("worker2", "worker"), ("worker3", "worker"),
    ]  # fmt: skip


def test_managers_come_first_however_they_are_listed() -> None:
    spec = read_mapping({"nodes": [{"name": "b"}, {"name": "a", "role": "manager"}, {"name": "c"}]})

    assert [node.name for node in spec.all_nodes()] == ["a", "b", "c"]


@given(specs)
def test_a_spec_is_the_same_when_it_was_noted_on_a_label_and_read_again(spec: LabSpec) -> None:
    assert spec_noted(json.loads(note_of(spec)), source="a label") == spec
    assert read_mapping(json.loads(note_of(spec))) == spec


def test_a_spec_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        LabSpec().name = "other"  # type: ignore[misc]  # that is what is tried


@pytest.mark.parametrize("name", ["lab", "a", "0", "demo-2", "a" * 40])
def test_a_name_that_a_dns_label_takes_is_a_labs_name(name: str) -> None:
    assert read_mapping({"name": name}).name == name


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "A", "a_b", "a.b", "../a", "ü", "a\n"])
def test_what_a_dns_label_does_not_take_is_no_name(name: str) -> None:
    assert "is no name" in refusal(name=name)


def test_a_name_that_is_too_long_is_shown_by_its_beginning_only() -> None:
    told = refusal(name="x" * 300)

    assert "has 300 characters; 40 is the most" in told
    assert len(told) < 100


@pytest.mark.parametrize("name", ["hub", "registry", "localhost"])
def test_a_node_does_not_take_the_name_of_another_machine_of_the_lab(name: str) -> None:
    assert "is another machine's name" in refusal_of_node(name=name)


def test_a_name_of_a_lab_and_of_a_node_fit_into_a_dns_label_together() -> None:
    spec = LabSpec(name="l" * 40, nodes=(NodeSpec(name="n" * 22, role="manager"),))

    assert len(f"{spec.name}-{spec.nodes[0].name}") <= 63


@pytest.mark.parametrize(("key", "number"), [("managers", 0), ("managers", 8), ("workers", -1), ("workers", 1001)])
def test_counts_that_no_swarm_has_are_refused(key: str, number: int) -> None:
    assert "should be" in refusal(**{key: number})


def test_an_unknown_key_is_refused() -> None:
    assert "there is no such key; did you mean workers?" in refusal(workres=3)


@pytest.mark.parametrize("subnet", ["10.1.0.0/16", "172.31.255.0/24", "192.168.7.0/27"])
def test_a_private_subnet_with_room_is_taken(subnet: str) -> None:
    assert read_mapping({"subnet": subnet}).subnet == subnet


def test_a_subnet_is_noted_in_the_one_way_that_others_can_be_compared_with() -> None:
    assert read_mapping({"subnet": "10.0.0.0/255.255.255.0"}).subnet == "10.0.0.0/24"


@pytest.mark.parametrize("subnet", ["", "lab", "10.0.0.1/24", "10.0.0.0/33", "fd00::/64"])
def test_what_is_no_subnet_is_refused(subnet: str) -> None:
    assert "is no IPv4 subnet like" in refusal(subnet=subnet)


@pytest.mark.parametrize(
    "subnet", ["8.8.8.0/24", "127.0.0.0/24", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/0", "172.32.0.0/16"]
)
def test_a_subnet_that_is_somebody_elses_is_refused(subnet: str) -> None:
    assert "is no private range" in refusal(subnet=subnet)


def test_a_node_that_says_no_size_has_the_labs() -> None:
    small = {"name": "small", "memory": "256m"}
    spec = read_mapping({"cpus": 2, "memory": "2g", "nodes": [{"name": "m", "role": "manager"}, small]})

    assert [(node.cpus, node.memory) for node in spec.all_nodes()] == [(2, "2g"), (2, "256m")]
    assert [node.machine_memory_mib for node in spec.all_nodes()] == [2048, 256]
    assert LabSpec().all_nodes()[0].machine_memory_mib == 1024


def test_a_subnet_without_room_for_the_nodes_is_refused() -> None:
    assert contradictions(subnet="10.0.0.0/27", workers=30) == [
        "10.0.0.0/27 has room for 21 nodes, and there are 31",
    ]


@pytest.mark.parametrize("option", ["hosts", "tlsverify", "data-root", "containerd"])
def test_an_engine_option_that_would_cut_us_off_from_the_node_is_refused(option: str) -> None:
    assert refusal(engine={option: "x"}).endswith(f"labctl itself sets {option}")
    assert refusal_of_node(engine={option: "x"}).endswith(f"labctl itself sets {option}")


@pytest.mark.parametrize("value", [float("inf"), {"x": [float("nan")]}, {1, 2}])
def test_an_engine_option_that_daemon_json_cannot_hold_is_refused(value: object) -> None:
    assert "daemon.json cannot hold" in refusal(engine={"x": value})


@pytest.mark.parametrize(
    ("text", "size"), [("512m", 512 << 20), ("2g", 2 << 30), ("2GiB", 2 << 30), ("1.5 GB", 3 << 29), ("10", 10)]
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1m", "1x", "1m2", "٣m", "9" * 400 + "g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_in_bytes(text)


def test_memory_in_which_no_engine_runs_is_refused() -> None:
    assert "is too little for an engine; 128m is the least" in refusal_of_node(memory="64m")


@pytest.mark.parametrize("cpus", [0, -1, float("inf"), float("nan")])
def test_cpus_that_no_machine_has_are_refused(cpus: float) -> None:
    assert refusal_of_node(cpus=cpus)


def test_two_nodes_of_one_name_are_refused_once_for_each_that_is_too_many() -> None:
    nodes = [{"name": "a", "role": "manager"}, {"name": "b"}, {"name": "a"}, {"name": "a"}]

    assert contradictions(nodes=nodes) == ["another node is called a too"] * 2


@pytest.mark.parametrize("managers", [0, 8])
def test_listed_nodes_have_one_to_seven_managers(managers: int) -> None:
    nodes = [{"name": f"n{n}", "role": "manager" if n < managers else "worker"} for n in range(9)]

    assert contradictions(nodes=nodes) == [f"a swarm has 1 to 7 managers, and there are {managers}"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (8080, (8080, 8080, "tcp")),
        ("8080", (8080, 8080, "tcp")),
        (" 18080:8080 ", (8080, 18080, "tcp")),
        ("53/udp", (53, 53, "udp")),
        ("1053:53/udp", (53, 1053, "udp")),
        ({"target": 80, "host": 8080}, (80, 8080, "tcp")),
    ],
)
def test_a_port_is_written_as_docker_has_it(written: object, meant: tuple[int, int, str]) -> None:
    (port,) = read_mapping({"ports": [written]}).ports

    assert (port.target, port.host, port.protocol) == meant


@given(ports)
def test_a_port_that_was_written_is_read_as_the_same(port: PortSpec) -> None:
    assert PortSpec.parse(str(port)) == port


@pytest.mark.parametrize(
    "written", ["", "x", "80:", ":80", "80/sctp", "1:2:3", "-1", 0, 65536, "0:80", "80:99999", "8 0"]
)
def test_what_is_no_port_is_refused_in_one_line(written: object) -> None:
    (told,) = contradictions(ports=[written])
    assert "is no port" in told


@pytest.mark.parametrize("written", [True, None, 8.5, [80]])
def test_a_port_is_no_other_kind_of_value(written: object) -> None:
    assert refusal(ports=[written])


def test_two_ports_that_want_the_same_port_of_this_host_are_refused() -> None:
    assert contradictions(ports=["8080:80", "8080:81"]) == ["another port wants 8080/tcp of this host too"]


def test_tcp_and_udp_do_not_get_in_each_others_way() -> None:
    assert len(read_mapping({"ports": ["53", "53/udp"]}).ports) == 2


def test_labels_come_from_filters_and_the_nodes_own_win() -> None:
    spec = read_mapping(
        {
            "nodes": [{"name": "m", "role": "manager"}, {"name": "w", "labels": {"zone": "b"}}],
            "node_labels": {"@all": {"zone": "a"}, "w": {"ssd": "true"}},
        }
    )

    manager, worker = spec.all_nodes()
    assert spec.labels_of(manager) == {"zone": "a"}
    assert spec.labels_of(worker) == {"zone": "b", "ssd": "true"}


@pytest.mark.parametrize("pattern", ["@nope", "worker9", "", "@worker:7"])
def test_labels_for_nodes_that_are_not_there_are_refused(pattern: str) -> None:
    (told,) = contradictions(node_labels={pattern: {"a": "b"}})

    assert repr(pattern) in told


def test_all_contradictions_are_told_at_once() -> None:
    told = contradictions(
        nodes=[{"name": "a"}, {"name": "a"}], subnet="10.0.0.0/30", ports=[80, 80], node_labels={"@nope": {}}
    )

    assert len(told) == 5


@given(names)
def test_any_name_of_a_lab_can_be_given_as_a_flag(name: str) -> None:
    assert read_mapping({"name": name}).name == name


@pytest.mark.parametrize("box", ["debian/bookworm64", "mine", "generic/debian12"])
def test_a_box_is_named_as_vagrant_names_it(box: str) -> None:
    assert read_mapping({"backend": "vagrant", "box": box}).box == box


@pytest.mark.parametrize("box", ["", "a b", "-f", "a/b/c", "https://example.com/a.box", "../x"])
def test_what_is_no_name_of_a_box_is_refused(box: str) -> None:
    assert "is no name of a box" in refusal(backend="vagrant", box=box)


def test_a_box_is_for_machines_alone() -> None:
    assert "the backend is dind, not vagrant" in refusal(box="debian/bookworm64")


def test_privileged_tasks_are_asked_for_where_nodes_are_containers_only() -> None:
    assert not LabSpec().privileged_tasks
    told = refusal(backend="vagrant", privileged_tasks=True)
    assert "tasks on virtual machines may be privileged anyway" in told
