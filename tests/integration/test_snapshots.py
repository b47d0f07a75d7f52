"""Snapshots of a lab of containers: what comes back, and days on which something breaks in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from labctl.backend.dind.copying import Copier
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import LabctlError, LabError
from labctl.lab import Context, Lab
from labctl.spec import labels
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING
from tests.integration.verbs import LABCTL, labctl

pytestmark = pytest.mark.lab

WRITE = """\
set -e
place=$(docker volume inspect data --format '{{.Mountpoint}}')
echo then > "$place/file"; ln "$place/file" "$place/hard"; mknod "$place/null" c 1 3; chown 1234:5678 "$place/file"
python3 -c "
import os, sys
os.setxattr(sys.argv[1], 'user.mark', b'one'); os.setxattr(sys.argv[1], 'trusted.mark', b'two')" "$place/file"
mkdir /root/made; echo then > /root/made/file; rm /etc/motd
"""
READ = """\
place=$(docker volume inspect data --format '{{.Mountpoint}}')
cat "$place/file"; stat -c '%h %u:%g' "$place/file"; stat -c '%F %t:%T' "$place/null"
python3 -c "
import os, sys
print(*(one + '=' + os.getxattr(sys.argv[1], one).decode() for one in sorted(os.listxattr(sys.argv[1]))))" "$place/file"
cat /root/made/file; ls /etc/motd 2>/dev/null || echo no motd
"""
THEN = "then\n2 1234:5678\ncharacter special file 1:3\ntrusted.mark=two user.mark=one\nthen\nno motd\n"
SERVICE = (
    "printf secret | docker secret create pw - && docker service create --quiet --name web --replicas 2 --secret pw "
    "--publish 8088:8080 --mount type=volume,source=data,target=/data labctl/probe:1"
)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and a worker with a service, a secret, and data in a volume; saved as `then`."""
    lab = make_lab()
    lab.manager().expect(SERVICE, limit=180)
    lab.node("worker1").expect(WRITE)
    said = labctl("snapshot", "save", "then", lab=lab.name)
    assert said.code == 0, said.err
    return lab.refresh()


def names(lab: Lab) -> list[str]:
    return [one["name"] for one in json.loads(labctl("snapshot", "ls", "-o", "json", lab=lab.name).out)]


def is_as_then(lab: Lab) -> None:
    """Assert that the lab is what it was, serves, and that nothing of a restore is left."""
    lab = lab.refresh()
    assert [node.name for node in lab.nodes] == ["manager1", "worker1"]
    status = labctl("status", lab=lab.name)
    assert status.code == 0, status.out + status.err
    assert lab.node("worker1").expect(READ).stdout == THEN
    manager = lab.manager()
    assert manager.expect("docker secret ls --format '{{.Name}}'").stdout == "pw\n"
    assert manager.expect("docker config ls -q").stdout == ""

    def replicas() -> None:
        said = manager.expect("docker service ls --format '{{.Name}} {{.Replicas}}'").stdout
        if said != "web 2/2\n":
            raise Pending(said)

    wait_until("the service", replicas, limit=HANGING)
    assert left(lab.context.engine, lab.name) == []


def left(engine: Engine, lab: str) -> list[str]:
    """What a command that was killed leaves: copiers, new containers, marks, and volumes that no snapshot names."""
    containers = [one["Names"][0].lstrip("/") for one in engine.containers(labels.of_lab(lab))]
    wrecks = [name for name in containers if "copier" in name or name.endswith(".restored")]
    wrecks += [one["Name"] for one in engine.volumes(labels.of_lab(lab, "restoring"))]
    noted = "".join(one["Labels"][labels.SAVED] for one in engine.volumes(labels.of_lab(lab, "snapshot")))
    return wrecks + [one["Name"] for one in engine.volumes(labels.of_lab(lab, "saved")) if one["Name"] not in noted]


def change(lab: Lab) -> None:
    """Make the lab another one."""
    lab.refresh().manager().expect(
        "docker service rm web && docker secret rm pw && docker config create now /etc/hostname"
    )
    lab.node("worker1").expect("docker rm -f $(docker ps -aq) >/dev/null; rm -rf /root/made; touch /etc/motd")


@contextmanager
def killed_at(
    moment: Callable[[], object], *words: str, lab: Lab, by: signal.Signals = signal.SIGKILL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and kill it as soon as the moment is there."""
    with tempfile.TemporaryFile() as said:
        command = [*LABCTL, "-l", lab.name, *words]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said, start_new_session=True)

        def look() -> None:
            if process.poll() is not None:
                said.seek(0)
                raise AssertionError(f"it was through before it could be killed: {said.read().decode()}")
            if not moment():
                raise Pending("it is not there")

        try:
            wait_until("the moment", look, limit=HANGING, pause=0.01)
            process.send_signal(by)
            process.wait(HANGING)
            yield process
        finally:
            process.kill()
            process.wait()


def containers(engine: Engine, lab: str, part: str) -> list[Json]:
    return [one for one in engine.containers(labels.of_lab(lab)) if part in one["Names"][0]]


def test_all_of_a_lab_comes_back_at_its_addresses_with_its_certificates(lab: Lab) -> None:
    change(lab)
    before = {node.name: (node.address, node.endpoint, node.machine) for node in lab.refresh().nodes}
    assert labctl("snapshot", "restore", "then", lab=lab.name).code == 2, "nobody was asked"

    said = labctl("snapshot", "restore", "-y", "then", lab=lab.name)

    assert said.code == 0, said.err
    assert {node.name: (node.address, node.endpoint, node.machine) for node in lab.refresh().nodes} == before
    is_as_then(lab)
    (row,) = json.loads(labctl("snapshot", "ls", "-o", "json", lab=lab.name).out)
    assert row["name"] == "then" and row["nodes"] == ["manager1", "worker1"] and row["size"] > 1_000_000


def test_a_name_that_is_taken_or_not_there_changes_nothing(lab: Lab) -> None:
    taken = labctl("snapshot", "save", "then", lab=lab.name)
    assert taken.code == 2 and "snapshot then is there already" in taken.err
    for verb in (("restore", "-y"), ("rm",)):
        missing = labctl("snapshot", *verb, "them", lab=lab.name)
        assert missing.code == 2 and "did you mean then?" in missing.err
    assert names(lab) == ["then"]


def test_a_node_that_was_removed_comes_back(lab: Lab, context: Context) -> None:
    assert labctl("node", "rm", "-y", "worker1", lab=lab.name).code == 0

    said = labctl("snapshot", "restore", "-y", "then", lab=lab.name)

    assert said.code == 0, said.err
    is_as_then(lab)
    context.engine.remove(lab.refresh().node("worker1").machine)  # by others, behind labctl's back
    assert labctl("snapshot", "restore", "-y", "then", lab=lab.name).code == 0
    is_as_then(lab)


def test_a_node_that_came_since_is_named_and_nothing_is_changed(lab: Lab) -> None:
    assert labctl("node", "add", "more", lab=lab.name).code == 0

    said = labctl("snapshot", "restore", "-y", "then", lab=lab.name)

    assert said.code == 3
    assert "snapshot then is of a lab without more" in said.err and "node rm more` first" in said.err
    assert all(node.is_running for node in lab.refresh().nodes)
    assert labctl("node", "rm", "-y", "more", lab=lab.name).code == 0


def test_a_lab_with_a_fault_is_not_saved_and_restored_without_it(lab: Lab) -> None:
    assert labctl("fault", "inject", "cut", "worker1", lab=lab.name).code == 0

    said = labctl("snapshot", "save", "ill", lab=lab.name)
    assert said.code == 3
    assert "worker1 has the fault cut" in said.err and "fault heal" in said.err
    assert names(lab) == ["then"]

    assert labctl("snapshot", "restore", "-y", "then", lab=lab.name).code == 0
    is_as_then(lab)
    assert json.loads(labctl("fault", "status", "-o", "json", lab=lab.name).out) == []


def test_a_save_that_is_killed_leaves_no_snapshot_and_the_next_one_clears_up(lab: Lab, context: Context) -> None:
    engine = context.engine
    with killed_at(
        lambda: containers(engine, lab.name, "copier") and is_frozen(lab), "snapshot", "save", "more", lab=lab
    ):
        pass
    status = labctl("status", lab=lab.name)
    assert "is paused: `labctl resume manager1`" in status.out.replace(f"-l {lab.name} ", "")
    assert names(lab) == ["then"]

    assert labctl("resume", lab=lab.name).code == 0
    assert labctl("snapshot", "save", "more", lab=lab.name).code == 0

    assert names(lab) == ["then", "more"]
    assert left(engine, lab.name) == []
    assert labctl("snapshot", "rm", "more", lab=lab.name).code == 0
    assert left(engine, lab.name) == []
    assert {one["Labels"][labels.SNAPSHOT] for one in engine.images(labels.of_lab(lab.name))} == {"then"}


def test_ctrl_c_while_saving_and_before_a_node_went_leaves_nothing_and_the_lab_goes_on(
    lab: Lab, context: Context
) -> None:
    moments = {
        ("snapshot", "save", "more"): lambda: containers(context.engine, lab.name, "copier") and is_frozen(lab),
        ("snapshot", "restore", "-y", "then"): lambda: containers(context.engine, lab.name, ".restored"),
    }
    for words, moment in moments.items():
        with killed_at(moment, *words, lab=lab, by=signal.SIGINT) as ended:
            assert ended.returncode == 130

        assert names(lab) == ["then"]
        assert left(context.engine, lab.name) == []
        assert labctl("status", lab=lab.name).code == 0


def is_frozen(lab: Lab) -> bool:
    return any(node.state == "paused" for node in lab.refresh().nodes)


def test_a_restore_that_is_killed_before_a_node_went_has_changed_nothing(lab: Lab, context: Context) -> None:
    before = [node.run_id for node in map(lab.backend.look, lab.refresh().nodes)]

    words = ("snapshot", "restore", "-y", "then")
    with killed_at(lambda: containers(context.engine, lab.name, ".restored"), *words, lab=lab):
        pass

    assert [node.run_id for node in map(lab.backend.look, lab.refresh().nodes)] == before
    assert labctl("status", lab=lab.name).code == 0
    assert labctl("snapshot", "restore", "-y", "then", lab=lab.name).code == 0
    is_as_then(lab)


def test_a_restore_that_is_killed_half_way_is_not_started_and_done_again(lab: Lab, context: Context) -> None:
    marks = labels.of_lab(lab.name, "restoring")
    with killed_at(lambda: context.engine.volumes(marks), "snapshot", "restore", "-y", "then", lab=lab):
        pass

    for verb in (("start",), ("up", "--name", lab.name), ("snapshot", "save", "half"), ("snapshot", "rm", "then")):
        said = labctl(*verb, lab=lab.name)
        assert said.code == 3, verb
        assert "put back to snapshot then in part" in said.err and "snapshot restore then` finishes it" in said.err
    assert "snapshot restore then` finishes it" in labctl("status", lab=lab.name).out

    assert labctl("snapshot", "restore", "-y", "then", lab=lab.name).code == 0
    is_as_then(lab)


def test_two_at_once_wait_for_each_other(lab: Lab) -> None:
    command = [*LABCTL, "-l", lab.name, "snapshot", "save"]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in ("one", "two")]
    said = [process.communicate(timeout=120)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(names(lab)) == ["one", "then", "two"]
    assert labctl("snapshot", "rm", "one", "two", lab=lab.name).code == 0
    assert left(lab.context.engine, lab.name) == []


def test_a_disk_that_is_full_while_saving_leaves_nothing_and_the_lab_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Engine.create_volume

    def small(engine: Engine, name: str, marks: Mapping[str, str]) -> None:
        if marks[labels.KIND] != "saved":
            return made(engine, name, marks)
        options = {"type": "tmpfs", "device": "tmpfs", "o": "size=2m"}
        engine.post("/volumes/create", {"Name": name, "Labels": dict(marks), "DriverOpts": options})
        return None

    monkeypatch.setattr(Engine, "create_volume", small)
    with pytest.raises(LabctlError) as said:
        lab.refresh().save_snapshot("large")

    assert said.value.message == "the engine's disk is full"
    assert "`labctl snapshot rm`" in (said.value.hint or "")
    assert names(lab) == ["then"]
    assert left(lab.context.engine, lab.name) == []
    assert labctl("status", lab=lab.name).code == 0


def test_one_that_was_cut_short_or_lost_a_part_is_refused_and_the_lab_goes_on(lab: Lab, context: Context) -> None:
    assert labctl("snapshot", "save", "torn", lab=lab.name).code == 0
    (note,) = context.engine.volumes([*labels.of_lab(lab.name, "snapshot"), f"{labels.SNAPSHOT}=torn"])
    saved = json.loads(note["Labels"][labels.SAVED])
    worker = next(part for part in saved["parts"] if part["node"] == "worker1")
    cut = "cd /to && truncate -s 100 swarm/worker/tasks.db"
    mount = {"Type": "volume", "Source": worker["disk"]["volume"], "Target": "/to"}
    Copier(context.engine, lab.name, worker["image"], worker["body"]["HostConfig"])._run(cut, [mount])

    said = labctl("snapshot", "restore", "-y", "torn", lab=lab.name)
    assert said.code == 3
    assert "worker1 in snapshot torn is not what was saved" in said.err
    assert left(context.engine, lab.name) == []
    context.engine.remove_volume(worker["disk"]["volume"])
    said = labctl("snapshot", "restore", "-y", "torn", lab=lab.name)
    assert said.code == 3
    assert "snapshot torn has nothing of worker1 any more" in said.err
    assert labctl("status", lab=lab.name).code == 0

    assert labctl("snapshot", "rm", "torn", lab=lab.name).code == 0
    assert names(lab) == ["then"]


def test_one_of_a_newer_labctl_is_listed_refused_and_removed(lab: Lab, context: Context) -> None:
    (note,) = context.engine.volumes(labels.of_lab(lab.name, "snapshot"))
    newer = {**json.loads(note["Labels"][labels.SAVED]), "format": 99}
    given = {**note["Labels"], labels.SNAPSHOT: "newer", labels.SAVED: json.dumps(newer)}
    context.engine.create_volume(f"labctl-{lab.name}-snapshot-newer", given)

    assert sorted(names(lab)) == ["newer", "then"]
    said = labctl("snapshot", "restore", "-y", "newer", lab=lab.name)
    assert said.code == 3
    assert "snapshot newer was saved by a newer labctl (format 99" in said.err
    assert labctl("snapshot", "rm", "newer", lab=lab.name).code == 0
    assert names(lab) == ["then"]


def test_a_restore_that_fails_half_way_leaves_the_lab_stopped_and_is_done_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(engine: Engine, container: str, name: str) -> None:
        raise LabError(f"no {name} today")

    with (
        monkeypatch.context() as patch,
        pytest.raises(LabError, match="could not be put back to snapshot then") as said,
    ):
        patch.setattr(Engine, "rename", refused)
        lab.refresh().restore_snapshot("then")

    assert "`labctl snapshot restore then` does it again" in (said.value.hint or "")
    assert not any(node.is_running for node in lab.refresh().nodes)
    assert labctl("snapshot", "restore", "-y", "then", lab=lab.name).code == 0
    is_as_then(lab)


def test_nothing_of_snapshots_outlives_the_lab(lab: Lab, context: Context) -> None:
    assert labctl("snapshot", "save", "later", lab=lab.name).code == 0

    assert labctl("down", "--yes", lab=lab.name).code == 0

    assert context.engine.volumes(labels.of_lab(lab.name)) == []
    assert context.engine.images(labels.of_lab(lab.name)) == []
