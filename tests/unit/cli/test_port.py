"""labctl port with several ports: one that is not there keeps no other from being taken away."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from labctl import edge
from labctl.cli.common import App
from labctl.edge import ForwardedPort
from labctl.errors import NotFoundError
from labctl.spec import PortSpec

from .conftest import Labctl


def test_a_port_that_nothing_leads_to_keeps_no_other_open_and_is_told(
    labctl: Labctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(_engine: object, _lab: str, port: PortSpec, **_more: Any) -> list[ForwardedPort]:
        if port.target != 8080:
            raise NotFoundError("way to a port", str(port.target), None)
        return [ForwardedPort("lab-edge", 8080, "tcp", 8080)]

    lab = SimpleNamespace(name="lab", context=SimpleNamespace(engine=None))
    lab.held = lambda: contextlib.nullcontext(lab)
    monkeypatch.setattr(App, "lab", lambda _self: lab)
    monkeypatch.setattr(edge, "remove_edge", remove)

    said = labctl("port", "rm", "81", "8080", "82")

    assert said.code == 2
    assert "127.0.0.1:8080 is gone" in said.err
    assert "no way to a port named '81'" in said.err
    assert "no way to a port named '82'" in said.err
