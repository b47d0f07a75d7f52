"""What labctl noted of a spec is read quickly, and no other way than what a person wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from labctl.errors import SpecError
from labctl.spec import LabSpec, NewerNote, NodeSpec, as_noted, note_of, read_mapping, spec_noted

from .test_reading import lab_like

# As labctl 0.1.0 wrote it.
NOTED = (
    '{"name":"demo","nodes":[{"name":"boss","role":"manager","labels":{"ssd":"true"},"cpus":2.0,"memory":"1g"},'
    '{"name":"w1","swarm":"bare"}],"subnet":"10.7.0.0/24","engine":{"log-level":"debug"},'
    '"ports":[{"target":80,"host":8080,"protocol":"udp"}],"images":["nginx:1"],"node_labels":{"@all":{"zone":"ü"}}}'
)


def read(said: object) -> LabSpec | None:
    try:
        return spec_noted(said, source="a label")
    except NewerNote:
        return None


def checked(said: dict[str, Any]) -> LabSpec | None:
    try:
        return read_mapping(said)
    except SpecError:
        return None


@given(lab_like)
def test_it_is_what_a_person_would_have_been_given_for_the_same_words(said: dict[str, Any]) -> None:
    assert read(said) == checked(said)


def test_a_note_stays_as_it_is_and_is_read_as_what_it_says() -> None:
    spec = read(json.loads(NOTED))

    assert spec is not None
    assert spec == checked(json.loads(NOTED))
    assert note_of(spec) == NOTED


def test_what_is_the_default_is_not_noted() -> None:
    assert note_of(LabSpec()) == "{}"
    assert as_noted(NodeSpec(name="worker")) == {"name": "worker"}


@pytest.mark.parametrize(
    "said",
    [
        [], None, "lab", 3,
        {"name": "../x"}, {"name": 3}, {"workers": -1}, {"managers": 8}, {"backend": "podman"},
        {"nodes": [{"role": "manager"}]}, {"nodes": [{"name": "hub", "role": "manager"}]}, {"nodes": {"name": "a"}},
        {"nodes": [{"name": "a"}]}, {"cpus": 0}, {"memory": "1m"}, {"engine": {"hosts": []}}, {"subnet": "8.8.8.0/24"},
        {"ports": [{"target": 80}]}, {"ports": [{"target": 0, "host": 1}]}, {"images": [""]}, {"registry": "perhaps"},
        {"node_labels": {"@all": {"a": 1}}}, {"node_labels": {"nobody": {"a": "b"}}}, {"box": "x"}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_no_spec_is_none(said: object) -> None:
    assert read(said) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"format": 2}, "format 2, and this one reads 1"),
        ({"format": "two", "name": "demo"}, "format 'two', and this one reads 1"),
        ({"hollow": 1000, "name": "demo", "away": True}, "it says away, hollow"),
        ({"nodes": [{"name": "m", "gpu": 1}], "ports": [{"target": 1, "host": 1, "tls": 1}]}, "it says gpu, tls"),
    ],
)
def test_what_a_newer_labctl_noted_is_not_read_in_part(said: object, told: str) -> None:
    with pytest.raises(NewerNote, match=told):
        spec_noted(said, source="a label")


def test_a_note_may_say_its_format() -> None:
    assert read({"format": 1, "name": "demo"}) == LabSpec(name="demo")


def test_what_was_noted_in_short_by_hand_is_read_as_well() -> None:
    spec = read({"ports": [8080, "53/udp"], "cpus": "2"})

    assert spec is not None
    assert [str(port) for port in spec.ports] == ["8080:8080/tcp", "53:53/udp"]
    assert spec.cpus == 2


def test_a_note_is_read_without_what_takes_long_to_load() -> None:
    code = (
        "import sys, json; from labctl.spec import spec_noted;"
        "assert spec_noted(json.loads(sys.argv[1]), source='a label');"
        "print(sorted({'pydantic', 'ruamel.yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, NOTED], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_it_is_known_whether_somebody_said_the_name() -> None:
    said = [LabSpec(name="lab"), LabSpec(name="demo"), read_mapping({"name": "lab"})]
    unsaid = [LabSpec(), LabSpec(workers=1), read_mapping({}), replace(LabSpec(), workers=1)]

    assert [spec.is_named for spec in said + unsaid] == [True] * 3 + [False] * 4
    assert {spec.name for spec in unsaid} == {"lab"}
    assert LabSpec(name="lab") == LabSpec()
