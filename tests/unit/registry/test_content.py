"""What a lab's registry holds: a name that means something else is told so before any node is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, UsageError
from labctl.registry import load


def test_an_archive_is_no_image_and_is_told_the_way(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    archive.touch()
    engine = FakeEngine({f"GET /images/{archive}/json": EngineRefused("no such image", status=404)})

    with pytest.raises(UsageError) as caught:
        load(engine, [], str(archive))

    assert caught.value.message == f"{archive} is a file, and no image's name"
    assert f"`labctl bundle load {archive}`" in str(caught.value.hint)
