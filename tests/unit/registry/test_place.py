"""The registry of a lab of machines, where the engine cannot listen at this host's end of their network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.backend import Place
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused
from labctl.images import MirrorMode
from labctl.pki import registry_secret
from labctl.registry import service
from labctl.registry.service import ensure_registry

SAID = "driver failed: listen tcp4 192.168.56.1:5000: bind: cannot assign requested address"


@pytest.mark.parametrize(
    ("place", "said", "told"),
    [
        (Place(network="bridge", publish_at="192.168.56.1"), SAID, "the engine has no way to 192.168.56.1"),
        (Place(network="bridge", publish_at="192.168.56.1"), "no space left on device", "no space left on device"),
        (Place(network="labctl-demo"), SAID, SAID),
    ],
)
def test_an_engine_in_a_machine_of_its_own_is_told(
    place: Place, said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EngineRefused(said, status=500)

    monkeypatch.setattr(service, "_ensured", refuse)
    monkeypatch.setattr(service, "mirror_mode", lambda: None)

    with pytest.raises(EngineRefused) as caught:
        ensure_registry(FakeEngine(), "demo", place)
    assert told in caught.value.message
    assert bool(caught.value.hint) == told.startswith("the engine has no way")


def test_nodes_write_without_the_secret_and_this_host_and_other_guests_of_their_network_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path))

    made = service._registry("demo", "image", Place("labctl-demo", subnet="172.30.0.0/24"), MirrorMode())

    assert made.env == {"WRITERS": "172.30.0.0/24", "NOT_WRITERS": "172.30.0.1 172.30.0.192/26"}
    [(path, (content, mode))] = made.files.items()
    assert (path, content.decode(), mode) == ("etc/labctl/registry-secret", registry_secret("demo"), 0o600)
    assert registry_secret("demo") not in json.dumps(made.body(1))
