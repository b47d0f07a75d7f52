"""Commands and files of a node that is a container, and the right word when it is not there."""

from __future__ import annotations

import io
import tarfile

import pytest

from labctl.engine.client import ExecOutcome, tar_of
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, NodeDown, NotFoundError, UsageError
from labctl.transport import DockerExec

NOT_RUNNING = EngineRefused("Container c1 is not running", status=409)
GONE = EngineRefused("No such container: c1", status=404)


def transport(engine: FakeEngine) -> DockerExec:
    return DockerExec(engine, "c1", "worker1")


def test_a_file_is_read_out_of_the_archive_that_the_engine_sends() -> None:
    engine = FakeEngine({"GET /containers/c1/archive": tar_of({"hosts": (b"127.0.0.1", 0o644)})})

    assert transport(engine).get("/etc/hosts") == b"127.0.0.1"
    assert engine.asked[0].query == {"path": "/etc/hosts"}


def test_a_file_that_is_missing_is_not_found_on_that_node() -> None:
    with pytest.raises(NotFoundError, match="no file on worker1 named '/etc/none'"):
        transport(FakeEngine({"GET /containers/c1/archive": GONE})).get("/etc/none")


def test_a_folder_is_no_file() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("etc")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)

    with pytest.raises(NotFoundError):
        transport(FakeEngine({"GET /containers/c1/archive": buffer.getvalue()})).get("/etc")


def test_a_file_is_written_with_its_mode_and_changes_no_folder() -> None:
    engine = FakeEngine({"PUT /containers/c1/archive": ""})

    transport(engine).put(b"hello", "/etc/labctl/x", mode=0o600)

    (asked,) = engine.asked
    assert asked.query == {"path": "/etc/labctl", "noOverwriteDirNonDir": "1"}
    with tarfile.open(fileobj=io.BytesIO(asked.body)) as archive:
        assert archive.getnames() == ["x"]
        entry = archive.getmember("x")
        content = archive.extractfile(entry)
        assert content is not None and content.read() == b"hello"
        assert entry.mode == 0o600


def test_a_file_that_cannot_be_written_is_told_with_its_path_and_its_node() -> None:
    engine = FakeEngine({"PUT /containers/c1/archive": EngineRefused("no space left on device", status=500)})

    with pytest.raises(EngineRefused, match=r"cannot write /etc/x in /etc on worker1: .*no space left on device"):
        transport(engine).put(b"", "/etc/x")


@pytest.mark.parametrize("path", ["/opt/data", "/opt/data/"])
def test_a_folder_is_not_replaced_by_a_file(path: str) -> None:
    refused = EngineRefused('cannot overwrite directory "/opt/data" with non-directory "/"', status=500)
    engine = FakeEngine({"PUT /containers/c1/archive": refused})

    with pytest.raises(UsageError, match=f"{path} on worker1 is a folder"):
        transport(engine).put(b"", path)


@pytest.mark.parametrize("state", ["exited", "paused"])
def test_a_node_that_does_not_run_is_down(state: str) -> None:
    engine = FakeEngine(
        {"POST /containers/c1/exec": NOT_RUNNING, "GET /containers/c1/json": {"State": {"Status": state}}}
    )

    with pytest.raises(NodeDown, match=f"node worker1 is {state}"):
        transport(engine).run("true")


def test_a_node_whose_container_was_removed_is_gone() -> None:
    engine = FakeEngine({"POST /containers/c1/exec": GONE, "GET /containers/c1/json": GONE})

    with pytest.raises(NodeDown, match="node worker1 is gone"):
        transport(engine).run("true")


def test_a_refusal_of_a_node_that_runs_is_the_engines_own() -> None:
    refused = EngineRefused("OCI runtime exec failed", status=500)
    engine = FakeEngine(
        {"POST /containers/c1/exec": refused, "GET /containers/c1/json": {"State": {"Status": "running"}}}
    )

    with pytest.raises(EngineRefused, match="OCI runtime exec failed"):
        transport(engine).run("true")


def test_a_folder_with_files_in_it_is_no_file_either() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("etc")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("etc/hosts"))

    with pytest.raises(NotFoundError):
        transport(FakeEngine({"GET /containers/c1/archive": buffer.getvalue()})).get("/etc")


def test_a_command_is_given_more_time_where_more_patience_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_PATIENCE", "3")
    engine = FakeEngine({})
    commands: list[list[str]] = []

    def execute(_container: str, command: list[str], **_more: object) -> ExecOutcome:
        commands.append(command)
        return ExecOutcome(0, b"", b"")

    monkeypatch.setattr(engine, "execute", execute)
    transport(engine).run(["hostname"], limit=20)

    assert commands == [["timeout", "-k", "2", "60", "hostname"]]
