"""Which engine is this machine's own: as the Docker CLI would choose, but never a lab's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from labctl.engine import Endpoint, contexts, endpoint, host_endpoint
from labctl.engine.endpoint import docker_config_dir
from labctl.errors import HostError
from labctl.state import lab_dir


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: Path) -> None:
    """An environment that says nothing, and a home and a Docker folder of its own."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def write_context(name: str, meta: object, *, current: bool = True, tls: bool = False) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder = docker_config_dir() / "contexts" / "meta" / digest
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(meta if isinstance(meta, str) else json.dumps(meta))
    if current:
        (docker_config_dir() / "config.json").write_text(json.dumps({"currentContext": name}))
    keys = docker_config_dir() / "contexts" / "tls" / digest / "docker"
    if tls:
        keys.mkdir(parents=True)
    return keys


def host_at(url: str) -> dict[str, object]:
    return {"Endpoints": {"docker": {"Host": url}}}


@pytest.mark.parametrize(
    "url",
    ["unix:///var/run/docker.sock", "npipe:////./pipe/docker_engine", "tcp://127.0.0.1:2375", "tcp://localhost:2376", "http://[::1]:2375"],
)  # fmt: skip
def test_an_engine_of_this_machine_is_local(url: str) -> None:
    assert Endpoint(url).is_local


@pytest.mark.parametrize("url", ["tcp://10.0.0.7:2376", "ssh://me@host", "tcp://[::1", "", "tcp://", "fd://"])
def test_an_engine_of_another_machine_or_of_none_is_not_local(url: str) -> None:
    assert not Endpoint(url).is_local


def test_docker_host_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    write_context("other", host_at("unix:///run/other.sock"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/mine.sock")

    assert host_endpoint() == Endpoint("unix:///run/mine.sock", None, "DOCKER_HOST")


def test_keys_come_from_the_folder_that_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/keys")

    assert host_endpoint().tls == Path("/keys")


def test_keys_come_from_dockers_own_folder_where_only_tls_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")

    assert host_endpoint().tls == docker_config_dir()


def test_the_environment_of_a_lab_is_not_taken_for_the_hosts_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:34567")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(lab_dir("demo")))

    assert host_endpoint().source == "the usual place"


def test_the_current_context_is_followed() -> None:
    write_context("rootless", host_at("unix:///run/user/1000/docker.sock"))

    assert host_endpoint() == Endpoint("unix:///run/user/1000/docker.sock", None, "context rootless")


def test_docker_context_wins_over_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write_context("one", host_at("unix:///run/one.sock"))
    write_context("two", host_at("unix:///run/two.sock"), current=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "two")

    assert host_endpoint().url == "unix:///run/two.sock"


def test_a_contexts_keys_are_found() -> None:
    keys = write_context("tls", host_at("tcp://127.0.0.1:2376"), tls=True)

    assert host_endpoint().tls == keys


def test_the_default_context_is_the_usual_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "default")

    assert host_endpoint().source == "the usual place"


def test_a_labs_context_is_not_taken_for_the_hosts_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts.create("demo", Endpoint("tcp://127.0.0.1:34567"))
    monkeypatch.setenv("DOCKER_CONTEXT", "labctl-demo")

    assert host_endpoint().source == "the usual place"


@pytest.mark.parametrize("meta", ["", "no json", "[]", "{}", '{"Endpoints": {"docker": {}}}'])
def test_a_context_that_cannot_be_read_is_told_with_the_way_back(meta: str) -> None:
    write_context("broken", meta)

    with pytest.raises(HostError, match="the Docker context 'broken' cannot be read") as caught:
        host_endpoint()

    assert "docker context use default" in (caught.value.hint or "")


@pytest.mark.parametrize("config", ["", "no json", "[]", '{"currentContext": 5}', "{}"])
def test_a_configuration_that_says_nothing_is_the_usual_place(config: str) -> None:
    docker_config_dir().mkdir()
    (docker_config_dir() / "config.json").write_text(config)

    assert host_endpoint().source == "the usual place"


@pytest.mark.parametrize("url", ["tcp://10.0.0.7:2376", "ssh://me@host", "tcp://"])
def test_an_engine_of_another_machine_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)

    with pytest.raises(HostError, match=r"\(DOCKER_HOST\) is on another machine") as caught:
        host_endpoint()

    assert "DOCKER_HOST" in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["/var/run/docker.sock", "localhost", "tcp://[::1", "127.0.0.1:2375"])
def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)

    with pytest.raises(HostError, match="is no engine's address"):
        host_endpoint()


def test_a_rootless_engine_is_found_where_it_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(endpoint, "SYSTEM_SOCKET", tmp_path / "none.sock")
    (tmp_path / "docker.sock").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert host_endpoint().url == f"unix://{tmp_path}/docker.sock"


def test_dockers_own_folder_is_in_the_home_where_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")

    assert docker_config_dir() == tmp_path / ".docker"


def test_windows_engine_is_at_its_pipe_and_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")

    assert host_endpoint().url == "npipe:////./pipe/docker_engine"
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    with pytest.raises(HostError, match=r"Windows has no way to unix:///var/run/docker\.sock \(DOCKER_HOST\)"):
        host_endpoint()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_engine_is_at_the_usual_place() -> None:
    assert host_endpoint().url == "unix:///var/run/docker.sock"
    with pytest.raises(HostError, match="is not known") as caught:
        docker_config_dir()
    assert caught.value.hint == "DOCKER_CONFIG names another folder."


@pytest.mark.usefixtures("homeless")
def test_a_context_that_is_asked_for_needs_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "other")

    with pytest.raises(HostError, match="is not known"):
        host_endpoint()


def test_a_home_that_one_may_not_enter_has_no_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(endpoint, "SYSTEM_SOCKET", tmp_path / "none.sock")
    monkeypatch.setattr(Path, "exists", refuse)

    assert host_endpoint().url == f"unix://{tmp_path}/none.sock"
