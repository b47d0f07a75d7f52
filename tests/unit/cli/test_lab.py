"""From flags, files and the environment to one spec, and every bad input refused before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from labctl import host
from labctl.backend import LabRecord
from labctl.backend.vagrant.labfile import VmLab, folder_of
from labctl.cli.common import App
from labctl.cli.flags import option_pair, spec_from
from labctl.engine.fake import FakeEngine
from labctl.errors import HostError, SpecError, UsageError
from labctl.lab import Context
from labctl.owner import YOU, Owner
from labctl.spec import LabSpec, labels, note_of, read_mapping

from ..nodes import fake_node
from .conftest import Labctl

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("name", "nodes", "managers", "workers", "backend", "subnet")),
    **dict.fromkeys(("no_swarm", "no_registry", "bare_names", "privileged_tasks")),
    **dict.fromkeys(("ports", "images", "labels", "engine_opt"), ()),
}


def app(volumes: list[dict[str, Any]] | None = None, lab_name: str | None = None) -> App:
    """An App whose engine has only the given volumes."""
    made = App(lab_name)
    script: dict[str, Any] = {"GET /containers/json": [], "GET /networks": [], "GET /volumes": {"Volumes": volumes}}
    made.context = Context(FakeEngine(script))
    return made


def spec(file: str | None = None, *, lab_name: str | None = None, **flags: Any) -> LabSpec:
    return spec_from(app(lab_name=lab_name), Path(file) if file else None, NOTHING | flags)


def test_where_nothing_is_said_the_lab_is_the_usual_one() -> None:
    assert spec() == LabSpec()


@pytest.mark.parametrize(
    ("flags", "managers", "workers"),
    [
        ({"nodes": 4}, 1, 3),
        ({"nodes": 1}, 1, 0),
        ({"nodes": 5, "managers": 3}, 3, 2),
        ({"managers": 3}, 3, 3),
        ({"workers": 7}, 1, 7),
        ({"managers": 2, "workers": 0}, 2, 0),
    ],
)
def test_counts_are_read_as_they_are_meant(flags: dict[str, Any], managers: int, workers: int) -> None:
    found = spec(**flags)

    assert (found.managers, found.workers) == (managers, workers)


def test_each_flag_becomes_its_key() -> None:
    found = spec(
        name="demo",
        subnet="10.1.0.0/24",
        ports=("8080", "53:53/udp"),
        images=("nginx",),
        labels=("@worker:ssd=true", "@worker:0:zone=a=b"),
        engine_opt=("log-level=debug", "debug=true"),
        cpus=0.5,
        memory="512m",
        no_swarm=True,
        no_registry=True,
        bare_names=True,
        privileged_tasks=True,
    )

    assert (found.name, found.subnet, found.swarm) == ("demo", "10.1.0.0/24", "empty")
    assert [str(port) for port in found.ports] == ["8080:8080/tcp", "53:53/udp"]
    assert {(node.cpus, node.memory) for node in found.all_nodes()} == {(0.5, "512m")}
    assert found.images == ("nginx",)
    assert found.node_labels == {"@worker": {"ssd": "true"}, "@worker:0": {"zone": "a=b"}}
    assert found.engine == {"log-level": "debug", "debug": True}
    assert (found.registry, found.bare_names, found.privileged_tasks) == (False, True, True)


def test_the_lab_that_is_meant_is_the_one_that_is_made() -> None:
    assert spec(lab_name="workshop").name == "workshop"
    assert spec(name="other").name == "other"


@pytest.mark.parametrize("name", ["lab.yaml", "lab.yml"])
def test_a_lab_yaml_in_this_folder_is_read(alone: Path, name: str) -> None:
    (alone / name).write_text("name: here\nworkers: 1\n")

    assert spec(managers=3) == LabSpec(name="here", managers=3, workers=1)


def test_a_file_that_is_named_is_read_instead(alone: Path) -> None:
    (alone / "lab.yaml").write_text("name: here\n")
    (alone / "other.yaml").write_text("name: other\n")

    assert spec("other.yaml").name == "other"


def test_a_standing_lab_is_brought_up_as_it_was_made() -> None:
    made = LabSpec(name="demo", workers=1, ports=())
    marks = {labels.LAB: "demo", labels.SPEC: note_of(made)}
    standing = app([{"Name": "v", "Labels": marks}])

    assert spec_from(standing, None, NOTHING | {"name": "demo"}) == made


def test_a_standing_lab_is_changed_by_what_is_said() -> None:
    marks = {labels.LAB: "demo", labels.SPEC: '{"name": "demo", "workers": 1}'}
    standing = app([{"Name": "v", "Labels": marks}])

    assert spec_from(standing, None, NOTHING | {"name": "demo", "workers": 5}).workers == 5


def test_of_a_standing_lab_of_machines_it_need_not_be_said_again(state: Path) -> None:
    given = {"name": "demo", "backend": "vagrant"}
    folder_of("demo").mkdir(parents=True)
    VmLab("demo", "libvirt", "172.30.1.0/24", spec=given).save()

    found = spec_from(app(), None, NOTHING | {"name": "demo", "box": "debian/trixie64"})

    assert (found.backend, found.box, found.provider) == ("vagrant", "debian/trixie64", "libvirt")
    assert spec_from(app(), None, NOTHING | {"name": "demo", "backend": "dind"}).backend == "dind"


@pytest.mark.parametrize("pair", ["", "x", "ssd=true", ":ssd=true", "@worker:=true", "@worker=true"])
def test_a_label_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="expected FILTER:KEY=VALUE"):
        spec(labels=(pair,))


@pytest.mark.parametrize(
    ("pair", "read"),
    [
        ("log-level=debug", ("log-level", "debug")),
        ("debug=true", ("debug", True)),
        ("max-concurrent-downloads=1", ("max-concurrent-downloads", 1)),
        ('labels=["a=b"]', ("labels", ["a=b"])),
        ("storage-driver=", ("storage-driver", "")),
        ("a=b=c", ("a", "b=c")),
    ],
)
def test_an_engine_option_is_json_where_it_can_be(pair: str, read: tuple[str, object]) -> None:
    assert option_pair(pair) == read


def test_an_engine_option_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        option_pair("debug")


def test_an_engine_option_that_no_json_holds_is_refused() -> None:
    with pytest.raises(SpecError, match="cannot hold what is no JSON"):
        spec(engine_opt=("x=NaN",))


# What a user types, and the one line that tells what is wrong with it. No engine is there: asking it would
# end in exit code 3.
BAD_FLAGS = [
    (["--nodes", "0"], "--nodes 0: a lab has at least one node"),
    (["--nodes", "-1"], "--nodes -1: a lab has at least one node"),
    (["--nodes", "four"], "'four' is not a valid integer"),
    (["--nodes", ""], "'' is not a valid integer"),
    (["--nodes", "2", "--managers", "3"], "--managers 3 is more than --nodes 2"),
    (["--nodes", "2", "--workers", "3"], "say either --nodes or --workers"),
    (["--nodes", "5000"], "the arguments: workers: it should be less than or equal to 1000, found 4999"),
    (["--managers", "0"], "the arguments: managers: it should be greater than or equal to 1, found 0"),
    (["--managers", "8"], "the arguments: managers: it should be less than or equal to 7, found 8"),
    (["--workers", "-1"], "the arguments: workers: it should be greater than or equal to 0, found -1"),
    (["--name", "my lab"], "the arguments: name: 'my lab' is no name"),
    (["--name", "x" * 300], "the arguments: name: xxxxxxxxxxxxxxxxxxxx… has 300 characters; 40 is the most"),
    (["--name", "../x", "--nodes", "1"], "the arguments: name: '../x' is no name"),
    (["-l", "my lab", "--nodes", "1"], "the arguments: name: 'my lab' is no name"),
    (["--subnet", "8.8.8.0/24"], "the arguments: subnet: 8.8.8.0/24 is no private range"),
    (["--subnet", "10.0.0.0/30"], "the arguments: subnet: 10.0.0.0/30 has room for 0 nodes, and there are 4"),
    (["--backend", "virtualbox"], "'virtualbox' is not one of"),
    (["--port", "http"], "the arguments: ports.0: 'http' is no port"),
    (["--label", "ssd=true"], "--label ssd=true: expected FILTER:KEY=VALUE"),
    (["--label", "worker9:ssd=true"], "no node named 'worker9': did you mean worker3?"),
    (["--engine-opt", "debug"], "--engine-opt debug: expected KEY=VALUE"),
    (["--engine-opt", "hosts=[]"], "the arguments: engine: labctl itself sets hosts"),
    (["--provider", "libvirt"], "the arguments: provider: libvirt is for virtual machines, and the backend is dind"),
    (["-l", ""], "-l is empty"),
    (["--memory", "10"], "the arguments: memory: 10 is too little for an engine; 128m is the least"),
    (["--memory", "much"], "the arguments: memory: 'much' is no size: 512m, 2g"),
    (["--cpus", "0"], "the arguments: cpus: it should be greater than 0, found 0.0"),
    (["none.yaml"], "none.yaml: there is no such file"),
    (["."], ". is a folder; it should be a lab.yaml"),
]
BAD_FILES = [
    (b"", "lab.yaml: the file is empty"),
    (b"\x7fELF\x00\xff", "lab.yaml: this is not text"),
    (b"workres: 3\n", "lab.yaml:1: workres: there is no such key; did you mean workers?"),
    (b"nodes:\n\t- name: a\n", "lab.yaml:2: a tab; YAML indents with spaces"),
    (b"nodes:\n- {name: a, role: manager}\n- {name: a}\n", "lab.yaml:3: nodes.1.name: another node is called a too"),
    (b"name: a\nname: b\n", "lab.yaml:2: 'name' is there twice, in line 1 first"),
    (b"x" * (1 << 20), "lab.yaml is larger than 256 KiB"),
]


@pytest.mark.parametrize(("flags", "told"), BAD_FLAGS, ids=[" ".join(flags)[:30] for flags, _ in BAD_FLAGS])
def test_flags_that_cannot_be_meant_are_refused_before_anything_is_asked(
    labctl: Labctl, flags: list[str], told: str
) -> None:
    outcome = labctl("up", *flags)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count(told) == 1


@pytest.mark.parametrize(
    ("content", "told"), BAD_FILES, ids=["empty", "binary", "key", "tab", "twice", "again", "huge"]
)
def test_a_lab_yaml_that_is_none_is_refused_before_anything_is_asked(
    labctl: Labctl, alone: Path, content: bytes, told: str
) -> None:
    (alone / "lab.yaml").write_bytes(content)

    outcome = labctl("up")

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count(told) == 1
    assert outcome.err.startswith("labctl: ")
    assert len([line for line in outcome.err.splitlines() if not line.startswith("  -> ")]) == 1


@pytest.fixture
def able_host(empty_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine with nothing on it, on a machine that carries every lab."""
    monkeypatch.setattr(host, "preflight", lambda *_, **__: None)


def test_a_plan_says_what_up_itself_would_refuse(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_args: object, **_more: object) -> None:
        raise HostError("memory: too little", hint="Fewer nodes fit.")

    monkeypatch.setattr(host, "preflight", lacking)

    outcome = labctl("up", "--nodes", "2", "--dry-run")

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == "labctl: memory: too little\n  -> Fewer nodes fit.\n"


def test_a_plan_of_machines_says_that_there_is_no_vagrant(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "preflight_virtual", lambda *_, **__: None)
    monkeypatch.setattr("labctl.host.providers.find_program", lambda _: None)

    outcome = labctl("up", "--backend", "vagrant", "--provider", "virtualbox", "--dry-run")

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("labctl: Vagrant is not installed\n")


def test_two_names_for_one_lab_are_a_question(labctl: Labctl, able_host: None) -> None:
    outcome = labctl("-l", "one", "up", "--name", "other", "--dry-run")

    assert (outcome.code, outcome.out) == (2, "")
    assert "-l one and --name other" in outcome.err
    assert labctl("-l", "one", "up", "--name", "one", "--dry-run").code == 0


def test_the_lab_of_the_environment_gives_way_to_a_name(
    labctl: Labctl, able_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_LAB", "ambient")

    assert labctl("up", "--name", "other", "--dry-run").out.startswith("create  lab other ")


def test_a_plan_can_be_seen_before_anything_is_done(labctl: Labctl, able_host: None) -> None:
    outcome = labctl("up", "--nodes", "2", "--dry-run")

    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "create  lab lab (dind)",
        "create  manager1 (manager)",
        "create  worker1 (worker)",
    ]


def test_a_plan_is_json_where_asked_for(labctl: Labctl, able_host: None) -> None:
    plan = json.loads(labctl("up", "--nodes", "1", "--dry-run", "-o", "json").out)

    assert plan == {"changes": True, "plan": ["create  lab lab (dind)", "create  manager1 (manager)"]}


def test_a_flag_may_come_from_the_environment(labctl: Labctl, able_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_UP_NODES", "2")
    monkeypatch.setenv("LABCTL_UP_DRY_RUN", "1")

    assert "worker1" in labctl("up").out


def test_a_flag_from_the_environment_is_held_to_the_same_rules(labctl: Labctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_UP_NODES", "0")

    outcome = labctl("up")

    assert outcome.code == 2
    assert "--nodes 0: a lab has at least one node" in outcome.err


def test_what_was_typed_wins_over_the_environment(
    labctl: Labctl, able_host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_UP_NODES", "7")

    assert "worker2" not in labctl("up", "--nodes", "2", "--dry-run").out


@pytest.mark.parametrize("command", ["status", "verify", "stop", "start"])
def test_a_lab_that_is_not_there_is_told_with_the_way_to_one(labctl: Labctl, empty_engine: None, command: str) -> None:
    outcome = labctl(command, "-l", "demo")

    assert outcome.code == 2
    assert outcome.err.splitlines()[0] == "labctl: no lab named 'demo': there is no lab at all"
    assert "`labctl -l demo up` makes one" in outcome.err


def test_a_lab_that_is_not_there_need_not_be_removed(labctl: Labctl, empty_engine: None) -> None:
    outcome = labctl("down", "-l", "demo")

    assert outcome.code == 0
    assert "nothing to remove" in outcome.err


def test_a_name_that_is_nearly_a_labs_is_no_error_for_down_and_is_told(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs = {"demo": YOU, "workshop": YOU, "workshop2": Owner("alice", is_you=False)}

    def find(_context: object, name: str) -> Any:
        record = LabRecord(name, lambda: None, None, None, (), labs[name]) if name in labs else None
        return None if record is None else SimpleNamespace(name=name, record=record)

    monkeypatch.setattr("labctl.lab.finding.lab_names", lambda _: list(labs))
    monkeypatch.setattr("labctl.lab.finding._find", find)

    near, far = labctl("down", "-l", "workshp"), labctl("down", "-l", "xyz")

    assert (near.code, far.code) == (0, 0)
    assert near.err.splitlines()[1] == "  -> Did you mean workshop? There is: demo, workshop.", "no others'"
    assert far.err.splitlines() == ["There is no lab xyz: nothing to remove."]
    assert "alice" not in labctl("status", "-l", "workshop3").err


@pytest.mark.parametrize("name", ["..", "../..", "/etc", "a/b", "."])
def test_a_name_that_is_a_path_removes_nothing(labctl: Labctl, empty_engine: None, state: Path, name: str) -> None:
    (state / "labs" / "kept").mkdir(parents=True)

    outcome = labctl("down", "-l", name)

    assert outcome.code == 2
    assert "is no lab's name" in outcome.err
    assert (state / "labs" / "kept").is_dir()


def test_where_there_are_no_labs_the_list_is_empty(labctl: Labctl, empty_engine: None) -> None:
    assert json.loads(labctl("labs", "-o", "json").out) == []
    assert labctl("labs").out.split() == ["NAME", "BACKEND", "NODES", "RUNNING", "SUBNET", "OWNER"]


@pytest.mark.parametrize(("progress", "told"), [("auto", True), ("plain", True), ("json", False), ("none", False)])
def test_what_to_do_next_is_for_people(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch, progress: str, told: bool
) -> None:
    made = LabRecord(
        name="lab", subnet="172.30.1.0/24", network="labctl-lab", nodes=(fake_node("manager1"),), read_spec=LabSpec
    )
    monkeypatch.setattr("labctl.lab.up.grow", lambda *_: made)

    said = labctl("--progress", progress, "up")

    assert ("What next" in said.err) is told


@pytest.mark.parametrize(
    ("names", "swarm", "told"),
    [
        (("manager3", "worker1", "worker2"), "formed", ("ssh manager3", "exercise voting-app", "docker node ls")),
        (("manager1", "worker1"), "formed", ("ssh manager1", "exercise list", "docker node ls")),
        (("worker1", "worker2", "worker3"), "empty", ("ssh worker1", "exercise list", "docker info")),
    ],
)
def test_what_to_do_next_can_be_done(
    labctl: Labctl,
    empty_engine: None,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    swarm: Literal["formed", "empty"],
    told: tuple[str, ...],
) -> None:
    nodes = tuple(fake_node(name) for name in names)
    made = LabRecord(
        name="lab", subnet="172.30.1.0/24", network="labctl-lab", nodes=nodes, read_spec=lambda: LabSpec(swarm=swarm)
    )
    monkeypatch.setattr("labctl.lab.up.grow", lambda *_: made)

    said = labctl("up").err

    assert all(words in said for words in told), said


def test_an_engine_that_somebody_made_beside_the_swarm_stays_as_it_is() -> None:
    nodes = [{"name": "manager1", "role": "manager"}, {"name": "worker1"}, {"name": "mine", "swarm": "bare"}]
    made = read_mapping({"name": "demo", "nodes": nodes})
    marks = {labels.LAB: "demo", labels.SPEC: note_of(made)}
    standing = app([{"Name": "v", "Labels": marks}])

    found = spec_from(standing, None, NOTHING | {"name": "demo", "nodes": 3})

    assert [node.name for node in found.all_nodes()] == ["manager1", "worker1", "worker2", "mine"]
    assert [found.joins(node.name) for node in found.all_nodes()] == [True, True, True, False]


def test_the_environments_lab_is_weaker_than_the_file() -> None:
    Path("lab.yaml").write_text("name: here\n")
    ambient = app(lab_name="there")
    ambient.lab_is_ambient = True

    assert spec_from(ambient, None, NOTHING).name == "here"
    assert spec_from(app(lab_name="there"), None, NOTHING).name == "there"


@pytest.mark.parametrize(
    "words", [("-l", "typed", "status"), ("status", "-l", "typed"), ("-l", "other", "status", "-l", "typed")]
)
def test_the_lab_that_is_typed_is_meant_and_not_the_environments(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LABCTL_LAB", "ambient")

    assert "no lab named 'typed'" in labctl(*words).err


def test_the_environments_lab_is_meant_where_none_is_typed(
    labctl: Labctl, empty_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_LAB", "ambient")

    assert "no lab named 'ambient'" in labctl("status").err


@pytest.mark.parametrize("verb", ["status", "down"])
def test_a_name_too_long_for_any_file_is_refused(labctl: Labctl, empty_engine: None, verb: str) -> None:
    outcome = labctl("-l", "a" * 300, verb)

    assert outcome.code == 2
    assert "is no lab's name" in outcome.err


@pytest.mark.parametrize("image", ["", "A B"])
def test_what_can_be_no_image_is_refused_before_anything_is_made(labctl: Labctl, image: str) -> None:
    outcome = labctl("up", "--image", image, "--dry-run")

    assert outcome.code == 2
    assert "is no image's name" in outcome.err


@pytest.mark.parametrize("words", [("up", "--name", ""), ("up", "--engine-opt", "=1")])
def test_what_is_empty_is_refused(labctl: Labctl, words: tuple[str, ...]) -> None:
    assert labctl(*words, "--dry-run").code == 2
