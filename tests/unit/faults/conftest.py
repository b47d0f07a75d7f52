"""What all tests of faults need."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test notes is not found by the next."""
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "state"))
