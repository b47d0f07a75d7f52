"""A lab's Docker context: made as the Docker CLI reads it, and removed without a trace."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from labctl.engine import Endpoint, contexts
from labctl.events import Event, Warned

TLS = {"ca.pem": b"ca", "cert.pem": b"cert", "key.pem": b"key"}


@pytest.fixture(autouse=True)
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    keys = tmp_path / "keys"
    keys.mkdir()
    for name, content in TLS.items():
        (keys / name).write_bytes(content)
    return Endpoint("tcp://127.0.0.1:34567", keys)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_context_is_named_after_its_lab(endpoint: Endpoint) -> None:
    assert contexts.create("demo", endpoint) == "labctl-demo"


def test_a_context_leads_to_the_labs_engine_with_the_labs_keys(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)

    (meta,) = docker_config.glob("contexts/meta/*/meta.json")
    described = json.loads(meta.read_text())
    assert described["Name"] == "labctl-demo"
    assert described["Endpoints"]["docker"] == {"Host": "tcp://127.0.0.1:34567", "SkipTLSVerify": False}
    keys = docker_config / "contexts" / "tls" / meta.parent.name / "docker"
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == TLS


def test_a_contexts_keys_are_its_users_alone(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)

    assert {stat.S_IMODE(path.stat().st_mode) for path in files_in(docker_config)} == {0o600}


@pytest.mark.skipif(shutil.which("docker") is None, reason="the Docker CLI is not here")
def test_the_docker_cli_reads_it(endpoint: Endpoint) -> None:
    contexts.create("demo", endpoint)

    shown = subprocess.run(
        ["docker", "context", "inspect", "labctl-demo"], capture_output=True, check=True, text=True, timeout=30
    )

    (found,) = json.loads(shown.stdout)
    assert found["Endpoints"]["docker"]["Host"] == endpoint.url
    assert sorted(found["TLSMaterial"]["docker"]) == sorted(TLS)


def test_a_context_may_be_made_again_for_another_port(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)
    contexts.create("demo", Endpoint("tcp://127.0.0.1:2", endpoint.tls))

    (meta,) = docker_config.glob("contexts/meta/*/meta.json")
    assert json.loads(meta.read_text())["Endpoints"]["docker"]["Host"] == "tcp://127.0.0.1:2"


def test_a_context_that_is_removed_leaves_nothing(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)

    contexts.remove("demo")

    assert files_in(docker_config) == []
    assert list(docker_config.glob("contexts/*/*")) == []


def test_the_contexts_of_others_stay(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)
    contexts.create("other", endpoint)

    contexts.remove("demo")

    assert len(list(docker_config.glob("contexts/meta/*/meta.json"))) == 1


def test_a_context_may_be_removed_twice() -> None:
    contexts.remove("demo")
    contexts.remove("demo")


def test_a_shell_that_used_the_context_goes_back_to_the_default(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)
    config = docker_config / "config.json"
    config.write_text(json.dumps({"currentContext": "labctl-demo", "auths": {"hub": {}}}))

    contexts.remove("demo")

    assert json.loads(config.read_text()) == {"auths": {"hub": {}}}


def test_the_configuration_of_who_uses_another_context_is_not_touched(docker_config: Path) -> None:
    docker_config.mkdir()
    config = docker_config / "config.json"
    config.write_text('{"currentContext":   "mine"}')

    contexts.remove("demo")

    assert config.read_text() == '{"currentContext":   "mine"}'


def test_a_folder_that_cannot_be_written_is_a_warning(
    endpoint: Endpoint, docker_config: Path, heard: list[Event]
) -> None:
    docker_config.write_text("a file")

    contexts.create("demo", endpoint, heard.append)

    (warning,) = heard
    assert isinstance(warning, Warned)
    assert warning.text.startswith(f"no Docker context labctl-demo could be made ({docker_config}/contexts")
    assert "labctl env -l demo" in warning.text


def users_own(docker_config: Path, host: str = "ssh://elsewhere") -> Path:
    """A context of the user's, of the name that the lab's would have."""
    digest = hashlib.sha256(b"labctl-demo").hexdigest()
    meta = docker_config / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(
        json.dumps(
            {"Name": "labctl-demo", "Metadata": {"Description": "mine"}, "Endpoints": {"docker": {"Host": host}}}
        )
    )
    return meta


def test_a_context_that_the_user_made_is_left_alone_and_named(
    endpoint: Endpoint, docker_config: Path, heard: list[Event]
) -> None:
    meta = users_own(docker_config)
    (docker_config / "config.json").write_text(before_current := json.dumps({"currentContext": "labctl-demo"}))
    before = meta.read_text()

    contexts.create("demo", endpoint, heard.append)
    contexts.remove("demo")

    assert meta.read_text() == before
    assert (docker_config / "config.json").read_text() == before_current
    (warned,) = heard
    assert isinstance(warned, Warned)
    assert "labctl-demo is not labctl's" in warned.text and "labctl env -l demo" in warned.text


def test_a_context_that_the_user_led_elsewhere_is_the_users(endpoint: Endpoint, docker_config: Path) -> None:
    contexts.create("demo", endpoint)
    (meta,) = docker_config.glob("contexts/meta/*/meta.json")
    changed = json.loads(meta.read_text())
    changed["Endpoints"]["docker"]["Host"] = "ssh://elsewhere"
    meta.write_text(json.dumps(changed))

    contexts.create("demo", endpoint)
    contexts.remove("demo")

    assert json.loads(meta.read_text()) == changed


def test_a_context_of_another_state_folder_stays(
    endpoint: Endpoint, docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contexts.create("demo", endpoint)
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "another"))

    contexts.remove("demo")

    assert len(list(docker_config.glob("contexts/meta/*/meta.json"))) == 1


def test_a_context_that_an_older_labctl_made_goes_with_its_lab(docker_config: Path) -> None:
    meta = users_own(docker_config, "tcp://127.0.0.1:1")
    meta.write_text(meta.read_text().replace("mine", "the swarm of labctl's lab demo"))

    contexts.remove("demo")

    assert files_in(docker_config) == []


def test_a_configuration_that_is_a_link_stays_one_with_its_mode(
    endpoint: Endpoint, docker_config: Path, tmp_path: Path
) -> None:
    contexts.create("demo", endpoint)
    file = tmp_path / "dotfiles.json"
    file.write_text(json.dumps({"currentContext": "labctl-demo"}))
    file.chmod(0o640)
    (docker_config / "config.json").symlink_to(file)

    contexts.remove("demo")

    assert (docker_config / "config.json").is_symlink()
    assert (json.loads(file.read_text()), stat.S_IMODE(file.stat().st_mode)) == ({}, 0o640)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_no_context_and_no_error(endpoint: Endpoint, heard: list[Event]) -> None:
    contexts.create("demo", endpoint, heard.append)
    contexts.remove("demo")

    (warned,) = heard
    assert isinstance(warned, Warned)
    assert "lab demo gets no Docker context" in warned.text
    assert "DOCKER_CONFIG names another folder" in warned.text
