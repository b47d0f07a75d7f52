"""lab.yaml and flags become a spec, or a list of all that is wrong with them, line by line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labctl.errors import SpecError
from labctl.spec import json_schema, note_of, read_file, read_mapping
from labctl.spec.checked import LabModel

Write = Callable[[str | bytes], Path]
KEYS = [*LabModel.model_fields, "role", "labels", "cpus", "memory", "target", "host", "workres"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "manager", "@all", "80:80", "1g", "10.0.0.0/24", "dind", 3]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner),
    max_leaves=8,
)
lab_like = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a lab.yaml and return its path."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "lab.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def problems_of(path: Path, **overrides: Any) -> list[str]:
    """What is wrong, without the folder that the file is in."""
    with pytest.raises(SpecError) as caught:
        read_file(path, overrides)
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


def test_a_whole_lab_is_read(write: Write) -> None:
    spec = read_file(
        write("""
name: demo
nodes:
- {name: boss, role: manager, memory: 1g}
- {name: w1, cpus: 0.5, labels: {ssd: "true"}}
subnet: 10.7.0.0/24
ports: [8080, "18081:81/udp"]
images: [nginx:latest]
engine: {log-level: debug}
registry: no
""")
    )

    assert [node.name for node in spec.all_nodes()] == ["boss", "w1"]
    assert [str(port) for port in spec.ports] == ["8080:8080/tcp", "18081:81/udp"]
    assert spec.registry is False


def test_flags_win_over_the_file(write: Write) -> None:
    spec = read_file(write("name: demo\nworkers: 5\n"), {"workers": 1})

    assert (spec.name, spec.workers) == ("demo", 1)


def test_counts_from_flags_take_the_place_of_listed_nodes(write: Write) -> None:
    spec = read_file(write("nodes: [{name: boss, role: manager}]"), {"managers": 1, "workers": 1})

    assert [node.name for node in spec.all_nodes()] == ["manager1", "worker1"]


def test_a_file_says_either_nodes_or_counts(write: Write) -> None:
    path = write("workers: 2\nnodes: [{name: boss, role: manager}]")

    assert problems_of(path) == ["lab.yaml:2: nodes: say either nodes, or managers and workers"]


def test_every_problem_is_told_at_once_with_its_line(write: Write) -> None:
    path = write("""backend: cloud
workres: 3
subnet: 10.0.0.0/28
nodes:
- name: a
  rol: manager
  role: manager
- {role: worker}
- name: b
  cpus: .inf
- name: a
- name: b
  memory: 1m
  labels: {ssd: true}
ports: [8080, "8080", x]
node_labels: {'@nope': {a: b}}
registry: maybe
images: nginx
images: []
""")

    assert sorted(problems_of(path), key=lambda told: int(told.split(":")[1])) == [
        "lab.yaml:1: backend: it should be 'dind' or 'vagrant', found \"cloud\"",
        "lab.yaml:2: workres: there is no such key; did you mean workers?",
        "lab.yaml:3: subnet: 10.0.0.0/28 has room for 0 nodes, and there are 4",
        "lab.yaml:6: nodes.0.rol: there is no such key; did you mean role?",
        "lab.yaml:8: nodes.1.name: it is missing",
        'lab.yaml:10: nodes.2.cpus: expected a number, found ".inf"',
        "lab.yaml:11: nodes.3.name: another node is called a too",
        "lab.yaml:12: nodes.4.name: another node is called b too",
        "lab.yaml:13: nodes.4.memory: 1m is too little for an engine; 128m is the least",
        "lab.yaml:14: nodes.4.labels.ssd: expected text, found true",
        "lab.yaml:15: ports.2: 'x' is no port: 8080, 18080:8080 or 8080/udp",
        "lab.yaml:15: ports.1: another port wants 8080/tcp of this host too",
        "lab.yaml:16: node_labels.@nope: '@nope' is no filter",
        'lab.yaml:17: registry: expected true or false, found "maybe"',
        'lab.yaml:18: images: expected a list, found "nginx"',
        "lab.yaml:19: 'images' is there twice, in line 18 first",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("workers: four", 'workers: expected a whole number, found "four"'),
        ("workers: 1.5", "workers: expected a whole number, found 1.5"),
        ("workers: " + "9" * 5000, f'workers: expected a whole number, found "{"9" * 39}…'),
        ("workers: -1", "workers: it should be greater than or equal to 0, found -1"),
        ("managers: 8", "managers: it should be less than or equal to 7, found 8"),
        ("managers:", "managers: expected a whole number, found null"),
        ("name: 5", "name: expected text, found 5"),
        ("backend: virtualbox", "backend: it should be 'dind' or 'vagrant', found \"virtualbox\""),
        ("engine: [debug]", 'engine: expected keys with values, found ["debug"]'),
        ("nodes: [3]", "nodes.0: expected keys with values, found 3"),
        ("ports: 8080", "ports: expected a list, found 8080"),
        ("ports: [{target: 1, host: 2, hots: 2}]", "ports.0.hots: there is no such key; did you mean host?"),
        ("zzz: 1", f"zzz: there is no such key; there is {', '.join(LabModel.model_fields)}"),
    ],
)
def test_a_problem_names_the_key_what_was_expected_and_what_was_found(write: Write, text: str, told: str) -> None:
    assert problems_of(write(text)) == [f"lab.yaml:1: {told}"]


def test_a_wrong_role_is_not_told_as_a_missing_manager_too(write: Write) -> None:
    (told,) = problems_of(write("nodes: [{name: a, role: manger}]"))

    assert told.startswith("lab.yaml:1: nodes.0.role")


def test_a_flag_that_is_wrong_is_not_blamed_on_the_file(write: Write) -> None:
    path = write("name: demo\nworkers: 3\n")

    assert problems_of(path, workers=-1) == [
        "the arguments: workers: it should be greater than or equal to 0, found -1"
    ]


def test_flags_alone_are_told_as_flags() -> None:
    with pytest.raises(SpecError, match="the arguments: managers: it should be less than or equal to 7, found 9"):
        read_mapping({"managers": 9})


def test_a_key_that_would_break_the_line_is_told_escaped() -> None:
    with pytest.raises(SpecError) as caught:
        read_mapping({"node_labels": {"a\nb": 3}})

    assert caught.value.problems == ("the arguments: node_labels.'a\\nb': expected keys with values, found 3",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "lab.yaml: the file is empty; `managers: 1` and `workers: 3` would be a lab"),
        (b"# nothing\n", "lab.yaml: the file is empty; `managers: 1` and `workers: 3` would be a lab"),
        (b"\x7fELF\x02\xff\xfe", "lab.yaml: this is not text; a lab.yaml is YAML in UTF-8"),
        (b"name: a\0b", "lab.yaml: this is not YAML: unacceptable character #x0000"),
        (b"nodes:\n\t- name: a\n", "lab.yaml:2: a tab; YAML indents with spaces"),
        (b"- a\n- b\n", 'lab.yaml: expected keys like `name:` and `workers:`, found ["a", "b"]'),
        (b"hello", 'lab.yaml: expected keys like `name:` and `workers:`, found "hello"'),
        (b"x" * (300 << 10), "lab.yaml is larger than 256 KiB; that is no lab.yaml"),
        (b"[" * 5000, "lab.yaml:1: nested more than 20 levels deep"),
        (b"nodes:\n- {name: a, role: manager}\n- {name: a}", "lab.yaml:3: nodes.1.name: another node is called a too"),
        (b"name: a\nname: b", "lab.yaml:2: 'name' is there twice, in line 1 first"),
    ],
    ids=["empty", "comment", "binary", "nul", "tab", "list", "text", "huge", "deep", "node twice", "key twice"],
)
def test_a_file_that_is_no_lab_is_told_in_one_line(write: Write, content: bytes, told: str) -> None:
    (problem,) = problems_of(write(content))

    assert problem.startswith(told)
    assert "\n" not in problem


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "lab.yaml") == ["lab.yaml: there is no such file"]


def test_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").mkdir()

    assert problems_of(tmp_path / "lab.yaml") == ["lab.yaml is a folder; it should be a lab.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(write: Write) -> None:
    path = write("name: demo")
    path.chmod(0)

    assert problems_of(path) == ["lab.yaml: Permission denied"]


def test_a_file_that_cannot_be_read_is_told_whoever_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.symlink_to(path)

    assert problems_of(path) == ["lab.yaml: Too many levels of symbolic links"]


def test_a_path_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path / ("x" * 300)) == [f"{'x' * 300}: File name too long"]


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SpecError, match="larger than 256 KiB"):
        read_file(Path("/dev/zero"))


def test_a_lab_may_come_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"name: piped\n")
    os.close(writing)

    assert read_file(Path(f"/dev/fd/{reading}")).name == "piped"
    os.close(reading)


@given(st.binary(max_size=200) | st.text().map(str.encode))
@example(b"\xef\xbb\xbfname: bom\n")
def test_any_bytes_are_a_lab_or_a_spec_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)

    try:
        read_file(path)
    except SpecError as error:
        assert error.problems


@given(lab_like)
@example({"engine": {"x": float("inf")}})
@example({"nodes": [{"name": "a", "role": "manager", "memory": "9" * 400 + "g"}]})
def test_anything_that_looks_like_a_lab_is_one_that_can_be_noted_or_a_spec_error(given_: dict[str, Any]) -> None:
    try:
        spec = read_mapping(given_)
    except SpecError as error:
        assert all(problem.startswith("the arguments: ") and "\n" not in problem for problem in error.problems)
    else:
        assert read_mapping(json.loads(note_of(spec))) == spec


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "lab",
    [
        {},
        {"name": "demo", "managers": 3, "workers": 2},
        {"ports": [8080, "18080:8080/udp", {"target": 80, "host": 8081}]},
        {"nodes": [{"name": "a", "role": "manager", "memory": "1g", "labels": {"a": "b"}}]},
    ],
)
def test_what_the_schema_takes_is_read(lab: dict[str, Any]) -> None:
    jsonschema.validate(lab, json_schema())

    read_mapping(lab)


@pytest.mark.parametrize("lab", [{"workres": 1}, {"managers": 0}, {"ports": ["x"]}, {"nodes": [{"role": "worker"}]}])
def test_what_the_schema_refuses_is_refused(lab: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(lab, json_schema())

    with pytest.raises(SpecError):
        read_mapping(lab)


def test_the_schema_tells_what_each_key_means() -> None:
    assert all("description" in field for field in json_schema()["properties"].values())
