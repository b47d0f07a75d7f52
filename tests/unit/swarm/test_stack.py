"""Stacks go by the manager's own CLI: what it is given, what it is taken for, and how a removal is waited for."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.fake import Answer, Asked
from labctl.errors import EngineRefused, EngineUnreachable, NotFoundError, NotYetError, UsageError, WaitTimeout
from labctl.events import Event, Noted, Warned
from labctl.swarm import SwarmView
from labctl.swarm import stack as stacks
from labctl.swarm.carrying import CLEAN, MADE, MISSING, OUTSIDE, SWEEP, THERE
from labctl.swarm.refusal import told_apart
from labctl.swarm.stackfile import StackFile, place_of, read_stack_file, read_stack_files
from labctl.swarm.state import Service, Task
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_node, raw_service, raw_task

LABEL = "com.docker.stack.namespace"


@pytest.fixture(autouse=True)
def known_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _bytes: "ab")


def clean(place: str) -> str:
    """What takes carried files away."""
    return f"d={place}/; {CLEAN}"


def manager(deploy: Result | str = "Creating service web_a\n", config: Result | str = "") -> FakeNode:
    node = fake_node(
        api={"GET /services": [], "GET /networks": [], "GET /secrets": [], "GET /configs": [], "GET /tasks": []}
    )
    place = "/tmp/labctl-stack-ab"
    node.shell.answers = {
        SWEEP: "",
        f"mkdir -m 700 {place}": "",
        f"tar -x -C {place}": "",
        clean(place): "",
        f"docker stack deploy -c {place}/stack.yml web": deploy,
        f"docker stack config -c {place}/stack.yml": config,
        "docker --version": "Docker version 26.1.5+dfsg1, build a72d7cd\n",
    }
    return node


def nothing_at(node: FakeNode, *paths: Path) -> None:
    """Let the node say that it has nothing at the paths."""
    for path in paths:
        node.shell.answers[THERE.format(path)] = Result("", 1)


def stack_file(folder: Path, text: str = "services: {a: {image: x}}\n", **files: str) -> StackFile:
    for name, content in files.items():
        (folder / name).write_text(content)
    (folder / "stack.yml").write_text(text)
    return read_stack_file(folder / "stack.yml", {})


def carried(node: FakeNode) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(node.shell.streamed[0])) as archive:
        return {
            entry.name: entry.mode.to_bytes(2, "big")
            for entry in archive
            if entry.isfile() and entry.name not in (OUTSIDE, MADE)
        }


def test_the_file_and_what_it_names_are_carried_for_root_alone(tmp_path: Path) -> None:
    node = manager()
    file = stack_file(tmp_path, "services: {a: {image: x}}\nsecrets: {pw: {file: pw.txt}}\n", **{"pw.txt": "x"})

    deployed = stacks.deploy(node, file, "web")

    assert deployed.services == ("web_a",)
    assert carried(node) == dict.fromkeys(("stack.yml", "pw.txt"), (0o600).to_bytes(2, "big"))
    assert node.shell.commands[-1] == clean("/tmp/labctl-stack-ab")


def test_what_the_cli_says_is_told_without_its_advice_on_its_flags(tmp_path: Path, heard: list[Event]) -> None:
    said = (
        "Since --detach=false was not specified, tasks will be created in the background.\n"
        "In a future release, --detach=false will become the default.\n"
        "image nope:1 could not be accessed on a registry to record\nits digest.\n"
    )

    stacks.deploy(
        manager(Result("", 0, "Creating service web_a\n", said)), stack_file(tmp_path), "web", emit=heard.append
    )

    assert heard == [
        Noted("Creating service web_a"),
        Warned("image nope:1 could not be accessed on a registry to record its digest."),
    ]


def test_a_file_that_the_cli_does_not_take_is_a_mistake_in_the_file(tmp_path: Path) -> None:
    said = "services.a Additional property foo is not allowed\n"
    node = manager(Result("", 1, "", said), Result("", 1, "", said))

    with pytest.raises(UsageError, match=r"stack\.yml:3: services\.a Additional property foo") as caught:
        stacks.deploy(node, stack_file(tmp_path, "services:\n  a:\n    foo: 1\n"), "web")

    assert caught.value.hint == "The docker command of manager1 (26.1.5) said so."
    assert node.shell.commands[-1] == clean("/tmp/labctl-stack-ab"), "it is taken away also after a failure"


def test_what_the_swarm_refuses_is_no_mistake_in_the_file(tmp_path: Path) -> None:
    said = "failed to create service web_a: port '80' is already in use\n"

    with pytest.raises(NotYetError, match="stack web was not deployed: failed to create service web_a") as caught:
        stacks.deploy(manager(Result("", 1, "", said)), stack_file(tmp_path), "web")

    assert caught.value.exit_code == 1
    assert caught.value.hint == "Nothing was made. Deploy again when this is mended."


def test_variables_that_are_not_set_are_named_where_docker_refuses_what_is_left(tmp_path: Path) -> None:
    said = 'failed to create service web_a: ContainerSpec: "nginx:" is not a valid repository/tag\n'
    file = stack_file(
        tmp_path, "services: {a: {image: 'nginx:${TAG}', hostname: '${HOST}${TAG}', user: '${ME:-me}'}}\n"
    )
    told = "HOST, TAG are not set: Docker put nothing in the place of that. "

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(manager(Result("", 1, "", said)), file, "web")
    with pytest.raises(UsageError) as refused:
        stacks.deploy(manager(Result("", 1, "", said), Result("", 1, "", said)), file, "web")

    assert caught.value.hint == f"{told}Nothing was made. Deploy again when this is mended."
    assert str(refused.value.hint).startswith(f"{told}The docker command of manager1")


def test_the_head_of_a_list_of_errors_belongs_to_it() -> None:
    said = (
        'time="2026-01-01" level=warning msg="The \\"NOPE\\" variable is not set."\n'
        "1 error(s) decoding:\n\n* error decoding 'Ports': Invalid hostPort: 99999\n"
    )

    warnings, error = told_apart(said, {})

    assert len(warnings) == 1
    assert error == "1 error(s) decoding: * error decoding 'Ports': Invalid hostPort: 99999"


def test_a_lack_of_the_ingress_network_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    said = (
        "failed to create service web_a: Error response from daemon: rpc error: code = FailedPrecondition desc = "
        "service needs ingress network, but no ingress network is present\n"
    )

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(manager(Result("", 1, "", said)), stack_file(tmp_path), "web")

    assert str(caught.value.hint).startswith(
        "`labctl docker -- network create --driver overlay --ingress ingress` makes it again, "
        "and then `labctl up` lets all nodes enter it. Nothing was made."
    )


GONE = "failed to create service web_a: network web_default not found\n"


def test_what_is_left_of_a_stack_that_was_removed_is_waited_for(tmp_path: Path) -> None:
    node = manager()
    deploy = "docker stack deploy -c /tmp/labctl-stack-ab/stack.yml web"
    old = [{"Id": "old", "Name": "web_default"}]
    # The one of its name that another command makes meanwhile is not waited for.
    node.api["GET /networks"] = then(old, old, old, [{"Id": "new", "Name": "web_default"}])
    node.api["GET /tasks"] = [raw_task("t1")]
    said = [Result(deploy, 1, "", GONE), Result(deploy, 0, "Creating service web_a\n", "")]
    node.shell.answers[deploy] = lambda _command: said.pop(0)
    notes: list[str] = []

    assert stacks.deploy(node, stack_file(tmp_path), "web", noted=notes.append).services == ("web_a",)

    assert node.shell.commands.count(deploy) == 2
    assert notes == ["the network web_default of the stack that was removed is not gone yet, 1 task is still stopping"]


def test_what_stays_of_a_stack_that_was_removed_is_told_with_the_command_that_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "GOING_LIMIT", 0.3)
    node = manager(Result("", 1, "", GONE))
    node.api["GET /networks"] = [{"Id": "old", "Name": "web_default"}]

    with pytest.raises(NotYetError, match="network web_default not found") as caught:
        stacks.deploy(node, stack_file(tmp_path), "web")

    assert caught.value.hint == (
        "the network web_default of the stack that was removed is not gone yet: "
        "`labctl stack rm web` takes it away. Then deploy again."
    )


def test_a_network_that_never_was_is_not_waited_for(tmp_path: Path) -> None:
    node = manager(Result("", 1, "", GONE))

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(node, stack_file(tmp_path), "web")

    assert caught.value.hint == "Nothing was made. Deploy again when this is mended."


def test_a_warning_before_the_error_is_told_apart_from_it(tmp_path: Path, heard: list[Event]) -> None:
    said = (
        "Ignoring unsupported options: build\n\nIgnoring deprecated options:\n\nexpose: Exposing is deprecated.\n\n"
        'time="2026-01-01" level=warning msg="x is obsolete"\n'
        "Since --detach=false was not specified, tasks will be created in the background.\n"
        "failed to create service web_a: port '80' is already in use\n"
    )

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(manager(Result("", 1, "", said)), stack_file(tmp_path), "web", emit=heard.append)

    assert (
        caught.value.message
        == "stack web was not deployed: failed to create service web_a: port '80' is already in use"
    )
    assert heard == [
        Warned("Ignoring unsupported options: build"),
        Warned("Ignoring deprecated options: expose: Exposing is deprecated."),
        Warned("x is obsolete"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "told", "not_told"),
    [
        ([raw_service("web_a")], [raw_service("web_a")], "was there before, and was not removed", "stack rm"),
        ([], [raw_service("web_a")], "`labctl stack rm web`", "Nothing"),
        ([], [], "Nothing was made", "stack rm"),
    ],
)
def test_the_way_out_goes_by_what_was_there_before(
    tmp_path: Path, before: list[Any], after: list[Any], told: str, not_told: str
) -> None:
    node = manager(Result("", 1, "", "failed to create service web_b: no\n"))
    node.api["GET /services"] = then(before, before, after)

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(node, stack_file(tmp_path), "web")

    assert told in str(caught.value.hint)
    assert not_told not in str(caught.value.hint)


UNCHANGED = (
    "failed to update secret web_pw: Error response from daemon: rpc error: code = InvalidArgument "
    "desc = only updates to Labels are allowed\n"
)


def test_a_secret_that_was_changed_wants_another_name(tmp_path: Path) -> None:
    text = "services: {a: {image: x}}\nsecrets:\n  pw: {file: pw.txt}\n"
    file = stack_file(tmp_path, text, **{"pw.txt": "x"})

    with pytest.raises(NotYetError, match="secret pw has another content than web_pw in the swarm") as caught:
        stacks.deploy(manager(Result("", 1, "", UNCHANGED)), file, "web")

    hint = str(caught.value.hint)
    assert "In stack.yml:3, under `secrets:`, write:\n       pw:\n         name: web_pw_${PW_HASH}\n" in hint
    assert f"`export PW_HASH=$(sha256sum {tmp_path}/pw.txt | cut -c1-12)`" in hint
    assert f"`labctl stack deploy {tmp_path}/stack.yml web`" in hint
    assert "stack rm" not in hint


def test_a_name_that_follows_a_variable_already_wants_the_variable_set_again(tmp_path: Path) -> None:
    (tmp_path / "pw.txt").write_text("x")
    text = 'services: {a: {image: x}}\nsecrets: {pw: {name: "web_${V:-pw}", file: pw.txt}}\n'
    (tmp_path / "stack.yml").write_text(text)
    file = read_stack_file(tmp_path / "stack.yml", {})

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(manager(Result("", 1, "", UNCHANGED)), file, "web")

    assert "its name follows V" in str(caught.value.hint)
    assert "`export V=$(sha256sum" in str(caught.value.hint)


def test_several_files_are_carried_and_merged_by_dockers_cli(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yml").write_text("services: {a: {image: x}}\nsecrets: {pw: {file: old.txt}}\n")
    (tmp_path / "sub" / "b.yml").write_text("services: {b: {image: y}}\nsecrets: {pw: {file: pw.txt}}\n")
    (tmp_path / "pw.txt").write_text("x")
    files = read_stack_files([tmp_path / "a.yml", tmp_path / "sub" / "b.yml"], {})
    node = manager()
    given = "-c /tmp/labctl-stack-ab/a.yml -c /tmp/labctl-stack-ab/.labctl-files/2.yml"
    flags = "--prune --with-registry-auth --resolve-image never"
    node.shell.answers[f"docker stack deploy {flags} {given} web"] = ""

    deployed = stacks.deploy(node, files, "web", prune=True, registry_auth=True, resolve_image="never")

    assert deployed.services == ("web_a", "web_b")
    assert set(carried(node)) == {"a.yml", ".labctl-files/2.yml", "pw.txt"}


def test_what_docker_makes_of_a_file_names_the_users_own_paths(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("services: {a: {image: x}}\nconfigs: {c: {file: ./a.env}}\n")
    (tmp_path / "a.env").write_text("A=1")
    node = manager()
    said = "configs:\n  c:\n    file: /tmp/labctl-stack-ab/a.env\n"
    node.shell.answers["docker stack config -c /tmp/labctl-stack-ab/a.yml"] = said

    assert (
        stacks.merged(node, [read_stack_file(tmp_path / "a.yml", {})])
        == f"configs:\n  c:\n    file: {tmp_path}/a.env\n"
    )


def test_a_mistake_in_the_second_file_is_placed_there(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("services:\n  a: {image: x}\n")
    (tmp_path / "b.yml").write_text("services:\n  a:\n    foo: 1\n")
    files = read_stack_files([tmp_path / "a.yml", tmp_path / "b.yml"], {})

    assert place_of(files, "services.a Additional property foo is not allowed") == "b.yml:3"
    assert place_of(files, "services.a.image must be a string") == "a.yml:2"
    assert place_of(files, "something else") == "a.yml"


def test_files_without_any_service_are_refused(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text("networks: {n: {}}\n")

    with pytest.raises(UsageError, match="they define no services"):
        read_stack_files([tmp_path / "a.yml", tmp_path / "b.yml"], {})


def test_a_version_that_the_node_does_not_know_is_left_out(tmp_path: Path, heard: list[Event]) -> None:
    node = manager()

    stacks.deploy(node, stack_file(tmp_path, 'version: "3.13"\nservices: {a: {image: x}}\n'), "web", emit=heard.append)

    assert Noted('stack.yml: `version: "3.13"` was left out; Compose ignores it, and the nodes refuse it') in heard
    with tarfile.open(fileobj=io.BytesIO(node.shell.streamed[0])) as archive:
        content = archive.extractfile("stack.yml")
        assert content is not None
        assert content.read().startswith(b'# version: "3.13"\nservices:')


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "a.b", "a/b"])
def test_a_name_that_docker_would_refuse_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a stack"):
        stacks.deploy(manager(), stack_file(tmp_path), name)


def test_a_mounted_folder_is_warned_of(tmp_path: Path, heard: list[Event]) -> None:
    file = stack_file(tmp_path, "services: {a: {image: x, volumes: ['./data:/data']}}\n")

    stacks.deploy(manager(), file, "web", emit=heard.append)

    assert isinstance(heard[0], Warned)
    assert "./data" in heard[0].text


def test_a_secret_named_by_an_absolute_path_is_put_there_and_taken_away(tmp_path: Path) -> None:
    secret = tmp_path / "pw.txt"
    file = stack_file(
        tmp_path, f"services: {{a: {{image: x}}}}\nsecrets: {{pw: {{file: {secret}}}}}\n", **{"pw.txt": "x"}
    )
    node = manager()
    nothing_at(node, secret)
    asked = shlex.join(["/bin/sh", "-c", MISSING, "sh", str(tmp_path)])
    node.shell.answers[asked] = f"{tmp_path}\n{tmp_path.parent}\n"

    stacks.deploy(node, file, "web")

    assert node.shell.files == {str(secret): b"x"}
    assert node.shell.commands[-1] == clean("/tmp/labctl-stack-ab")
    with tarfile.open(fileobj=io.BytesIO(node.shell.streamed[0])) as archive:
        lists = {name: archive.extractfile(name) for name in (OUTSIDE, MADE)}
        said = {name: file.read().decode() for name, file in lists.items() if file is not None}
    assert said == {OUTSIDE: f"{secret}\0", MADE: f"{tmp_path}\0{tmp_path.parent}\0"}, "the deepest folder goes first"


def test_folders_that_were_made_for_such_files_go_with_them(tmp_path: Path) -> None:
    """By the shell that runs on the node; what somebody put into one of them meanwhile stays."""
    place, stays = tmp_path / "place", tmp_path / "stays"
    deep, kept = tmp_path / "a" / "b" / "c", stays / "d"
    wanted = [str(deep), str(kept)]
    stays.mkdir()
    found = subprocess.run(["/bin/sh", "-c", MISSING, "sh", *wanted], capture_output=True, text=True, check=True).stdout
    assert set(found.split()) == {str(tmp_path / "a"), str(tmp_path / "a" / "b"), str(deep), str(kept)}
    for folder in (place, deep, kept):
        folder.mkdir(parents=True)
    (deep / "pw").write_text("x")
    (kept / "mine").write_text("x")
    (place / OUTSIDE).write_text(f"{deep}/pw\0")
    (place / MADE).write_text("".join(f"{one}\0" for one in sorted(found.split(), key=len, reverse=True)))

    subprocess.run(["/bin/sh", "-c", clean(str(place))], check=False)

    assert not (tmp_path / "a").exists()
    assert not place.exists()
    assert (kept / "mine").exists()


def test_what_is_no_file_at_that_path_is_left_alone(tmp_path: Path) -> None:
    """A folder, a device or a link that leads nowhere: what is put in its place would be taken away afterwards."""
    secret = tmp_path / "pw.txt"
    file = stack_file(
        tmp_path, f"services: {{a: {{image: x}}}}\nsecrets: {{pw: {{file: {secret}}}}}\n", **{"pw.txt": "x"}
    )
    node = manager()
    node.shell.answers[THERE.format(secret)] = ""

    with pytest.raises(UsageError, match=r"pw\.txt is no file on manager1") as caught:
        stacks.deploy(node, file, "web")

    assert "relative to the stack file" in str(caught.value.hint)
    assert not node.shell.files
    assert not node.shell.streamed


def test_another_file_at_that_path_is_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "pw.txt"
    file = stack_file(
        tmp_path, f"services: {{a: {{image: x}}}}\nsecrets: {{pw: {{file: {secret}}}}}\n", **{"pw.txt": "x"}
    )
    node = manager()
    node.shell.files[str(secret)] = b"the node's own"

    with pytest.raises(UsageError, match="is another file on manager1 than here"):
        stacks.deploy(node, file, "web")

    assert node.shell.files[str(secret)] == b"the node's own"


def test_nothing_is_put_there_where_a_later_file_is_refused(tmp_path: Path) -> None:
    """The first one's content would stay on the node, and be taken for somebody's at the next deploy."""
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    text = f"services: {{a: {{image: x}}}}\nsecrets: {{a: {{file: {first}}}, b: {{file: {second}}}}}\n"
    file = stack_file(tmp_path, text, **{"a.txt": "x", "b.txt": "y"})
    node = manager()
    nothing_at(node, first)
    node.shell.files[str(second)] = b"the node's own"

    with pytest.raises(UsageError, match="is another file"):
        stacks.deploy(node, file, "web")

    assert str(first) not in node.shell.files


def test_what_a_killed_deploy_left_goes_before_the_next_looks_at_the_node(tmp_path: Path) -> None:
    node = manager()

    stacks.deploy(node, stack_file(tmp_path), "web")

    assert node.shell.commands[0] == SWEEP


# -- removal


def swarm_with(node: FakeNode, **answers: Answer) -> FakeNode:
    named = raw_service("web_a") | {"Spec": raw_service("web_a")["Spec"] | {"Labels": {LABEL: "web"}}}
    node.api |= {
        "GET /services": [named],
        "GET /networks": [],
        "GET /nodes": [raw_node("worker1"), raw_node("worker2", state="down")],
        "GET /tasks": [],
        **answers,
    }
    node.shell.answers["docker stack rm web"] = "Removing service web_a\n"
    return node


def then(first: Answer, *rest: Answer) -> Any:
    left = [first, *rest]
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


def test_a_removal_waits_for_tasks_and_networks(heard: list[Event]) -> None:
    node = fake_node()
    deleted: list[Asked] = []
    network = {"Id": "n1", "Name": "web_default"}
    service = swarm_with(node).api["GET /services"]
    node.api["GET /services"] = then(service, service, [])
    node.api["GET /tasks"] = then([raw_task("t1")], [raw_task("t1")], [])
    node.api["GET /networks"] = then([network], [])
    node.api["DELETE /networks/n1"] = lambda asked: deleted.append(asked)
    notes: list[str] = []

    stacks.remove(node, "web", emit=heard.append, noted=notes.append)

    assert heard == [Noted("Removing service web_a")]
    assert notes == ["1 service is still there", "1 task is still stopping"]
    assert len(deleted) == 1, "a network that tasks held is removed when they are gone"


def test_a_removal_waits_for_the_nodes_to_clean_up() -> None:
    node = swarm_with(fake_node())
    node.api["GET /services"] = then(node.api["GET /services"], [])
    worker = fake_node("worker1", api={"GET /containers/json": then([{"Id": "c"}], []), "GET /networks": []})
    down = fake_node("worker2", state="exited")
    notes: list[str] = []

    stacks.remove(node, "web", nodes=[worker, down], noted=notes.append)

    assert notes == ["still cleaning up: worker1"]


def test_tasks_on_a_node_that_is_down_are_not_waited_for() -> None:
    node = swarm_with(fake_node())
    node.api["GET /services"] = then(node.api["GET /services"], [])
    node.api["GET /tasks"] = [raw_task("t1", node="id-worker2")]

    stacks.remove(node, "web", limit=1)


def test_nodes_that_say_nothing_are_named_where_they_had_tasks_of_the_stack() -> None:
    node = swarm_with(fake_node())
    node.api["GET /services"] = then(node.api["GET /services"], [])
    members = [raw_node(name, state="down") for name in ("worker1", "worker2", "worker3", "worker4")]
    node.api["GET /nodes"] = members
    tasks = [raw_task(name, node=f"id-{name}") for name in ("worker1", "worker2", "worker3")]
    node.api["GET /tasks"] = tasks
    silent = EngineUnreachable("no answer")
    nodes = [
        fake_node("worker1", api={"GET /containers/json": silent}),
        fake_node("worker2", state="paused"),
        fake_node("worker3", state="exited"),
        fake_node("worker4", api={"GET /containers/json": silent}),
    ]

    assert stacks.remove(node, "web", nodes=nodes, limit=1) == ("worker1", "worker2"), "no container runs on the others"


def test_a_network_that_stays_in_use_is_told_at_the_limit() -> None:
    node = swarm_with(fake_node())
    node.api["GET /services"] = then(node.api["GET /services"], [])
    node.api["GET /networks"] = [{"Id": "n1", "Name": "web_default"}]
    node.api["DELETE /networks/n1"] = EngineRefused("it has active endpoints", status=403)

    with pytest.raises(WaitTimeout, match=r"web_default: .*active endpoints"):
        stacks.remove(node, "web", limit=0.3)


def test_a_stack_that_is_not_there_is_answered_with_the_nearest() -> None:
    node = swarm_with(fake_node())
    node.api["GET /services"] = then([], node.api["GET /services"])

    with pytest.raises(NotFoundError, match="no stack named 'wbe': did you mean web"):
        stacks.remove(node, "wbe")


def test_stacks_are_counted_by_their_services() -> None:
    node = swarm_with(fake_node())

    assert stacks.stacks(SwarmView(node.engine)) == [stacks.Stack("web", 1)]


def test_ports_of_the_mesh_are_known_and_those_of_single_nodes_not() -> None:
    ports = [
        {"PublishedPort": 5000, "TargetPort": 80, "PublishMode": "ingress"},
        {"PublishedPort": 9000, "TargetPort": 90, "PublishMode": "host"},
    ]
    node = swarm_with(fake_node())
    node.api["GET /services"] = [raw_service("web_a", Endpoint={"Ports": ports})]

    assert [port.published for port in stacks.published_ports(SwarmView(node.engine), "web")] == [5000]


def test_a_port_of_single_nodes_is_shown_as_on_those_nodes() -> None:
    ports = [
        {"PublishedPort": 5000, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"},
        {"PublishedPort": 9000, "TargetPort": 90, "Protocol": "udp", "PublishMode": "host"},
        {"TargetPort": 70, "Protocol": "tcp", "PublishMode": "host"},
    ]
    service = Service.of(raw_service("web_a", Endpoint={"Ports": ports}))
    opened = {"Ports": [{"PublishedPort": 32768, "TargetPort": 70, "Protocol": "tcp"}]}
    running = Task.of(raw_task("t1", service=service.id, node="n1", PortStatus=opened))
    ended = Task.of(raw_task("t2", service=service.id, node="n2", state="failed"))

    assert stacks.shown_ports(service, [running, ended], {"n1": "worker1"}) == [
        "*:5000->80/tcp",
        "worker1:9000->90/udp",
        "worker1:32768->70/tcp",
    ]
    assert stacks.shown_ports(service, [ended], {}) == ["*:5000->80/tcp", "-:9000->90/udp", "-:->70/tcp"]


def test_a_stack_that_has_networks_alone_is_there() -> None:
    node = swarm_with(fake_node())
    node.api["GET /networks"] = [
        {"Id": "n1", "Name": "half_default", "Labels": {LABEL: "half"}},
        {"Id": "n2", "Name": "own", "Labels": None},
    ]

    assert stacks.names(SwarmView(node.engine)) == {"web", "half"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "failed to create network shared: Error response from daemon: network with name shared already exists",
            "shared is there, and of stack one: `external: true` under `networks:` lets this stack use it, another",
        ),
        (
            'network "nonet" is declared as external, but could not be found. You need to create',
            "`labctl docker -- network create -d overlay nonet` makes it.",
        ),
        ("service a: secret not found: pw", "`labctl docker -- secret create pw FILE` makes it."),
    ],
)
def test_what_the_swarm_lacks_or_has_already_is_told_with_the_way(tmp_path: Path, said: str, told: str) -> None:
    node = manager(Result("", 1, "", f"{said}\n"))
    node.api["GET /networks/shared"] = {"Id": "n", "Labels": {LABEL: "one"}}

    with pytest.raises(NotYetError) as caught:
        stacks.deploy(node, stack_file(tmp_path), "web")

    assert str(caught.value.hint).startswith(told)
    assert str(caught.value.hint).endswith("Nothing was made. Deploy again when this is mended.")


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("web1.2", "stack.yml:2: 'web1.2' is no name for a service: letters, digits, - and _"),
        ("a-", "stack.yml:2: 'a-' is no name for a service"),
        ("a" * 60, "web_a{60} has 64 characters, and Swarm takes 63 at most"),
    ],
)
def test_a_service_that_swarm_would_refuse_is_refused_before_anything_is_made(
    tmp_path: Path, service: str, told: str
) -> None:
    node = manager()

    with pytest.raises(UsageError, match=told):
        stacks.deploy(node, stack_file(tmp_path, f"services:\n  {service}: {{image: x}}\n"), "web")

    assert not node.shell.commands


def test_who_mounts_a_file_of_this_machine_is_told_what_brings_it(tmp_path: Path, heard: list[Event]) -> None:
    text = "services: {a: {image: x, volumes: ['./conf:/c', './data:/d']}}\n"
    (tmp_path / "data").mkdir()

    stacks.deploy(manager(), stack_file(tmp_path, text, conf="x"), "web", emit=heard.append)

    of_file, of_folder = (str(event.text) for event in heard if isinstance(event, Warned))
    assert of_file.startswith("./conf is mounted from the node that runs the task") and "`labctl scp`" in of_file
    assert of_folder.startswith("./data is mounted from the node") and "`labctl scp -r`" in of_folder
