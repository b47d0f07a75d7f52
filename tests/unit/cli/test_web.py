"""labctl web before it serves: what is missing is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli import web
from labctl.cli.main import run


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "find_spec", lambda name: None if name == "uvicorn" else object())

    assert run(["web"]) == 2
    said = capsys.readouterr().err
    assert "uvicorn" in said and "'swarm-labctl[web]'" in said and "Traceback" not in said


def test_without_the_page_it_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("labctl.web.app.PAGE", tmp_path)

    assert run(["web"]) == 2
    assert "make web" in capsys.readouterr().err
