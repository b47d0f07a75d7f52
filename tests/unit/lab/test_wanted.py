"""What flags mean for a lab that stands already."""

from __future__ import annotations

from labctl.lab.wanted import merged
from labctl.spec import LabSpec, read_mapping


def standing(**said: object) -> LabSpec:
    return read_mapping({"name": "shop", **said})


def test_a_port_more_changes_nothing_else() -> None:
    lab = standing(workers=1, bare_names=True, node_labels={"@worker": {"zone": "a"}}, ports=[8080])

    spec = read_mapping(merged(lab, {"name": "shop", "ports": ["9090", "8080"]}))

    assert [str(port) for port in spec.ports] == ["8080:8080/tcp", "9090:9090/tcp"]
    assert (spec.workers, spec.bare_names, spec.node_labels) == (1, True, {"@worker": {"zone": "a"}})


def test_counts_take_the_place_of_a_list_of_nodes() -> None:
    lab = standing(nodes=[{"name": "one", "role": "manager"}])

    spec = read_mapping(merged(lab, {"managers": 1, "workers": 2}))

    assert [node.name for node in spec.all_nodes()] == ["manager1", "worker1", "worker2"]


def test_labels_and_engine_options_are_added() -> None:
    lab = standing(node_labels={"@worker": {"zone": "a"}}, engine={"debug": True})

    spec = read_mapping(merged(lab, {"node_labels": {"worker1": {"ssd": "true"}}, "engine": {"log-level": "info"}}))

    assert spec.node_labels == {"@worker": {"zone": "a"}, "worker1": {"ssd": "true"}}
    assert spec.engine == {"debug": True, "log-level": "info"}
