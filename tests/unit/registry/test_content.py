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


@pytest.mark.parametrize(
    ("in_a_lab", "told"), [(False, "`docker images` lists"), (True, "docker push registry:5000/app:1")]
)
def test_who_built_on_a_node_is_told_that_the_image_is_there(
    monkeypatch: pytest.MonkeyPatch, in_a_lab: bool, told: str
) -> None:
    """In a shell of `labctl env`, the `docker images` of the usual hint shows another engine than labctl looks at."""
    monkeypatch.setattr("labctl.registry.content.talks_to_a_lab", lambda: in_a_lab)
    engine = FakeEngine({"GET /images/app:1/json": EngineRefused("no such image", status=404), "GET /images/json": []})

    with pytest.raises(UsageError) as caught:
        load(engine, [], "app:1")

    assert told in str(caught.value.hint)
