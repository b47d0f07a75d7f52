"""What a lab's registry holds: a name that means something else is told so before any node is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, UsageError
from labctl.registry import load, push
from labctl.registry.content import _noted


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


@pytest.mark.parametrize(
    ("name", "tags", "hint"),
    [
        ("63a596dbed48", ["web:1", "web:2"], "It is web:1 here: `labctl image {} web:1`."),
        ("63a596dbed48", [], "`docker tag 63a596dbed48 NAME:TAG`, then `labctl image {} NAME:TAG`."),
        ("sha256:" + "0" * 64, [], "NAME:TAG`."),
        ("web@sha256:" + "0" * 64, [], "NAME:TAG`."),
    ],
)
@pytest.mark.parametrize("verb", ["push", "load"])
def test_an_id_is_no_name_by_which_a_node_could_call_an_image(name: str, tags: list[str], hint: str, verb: str) -> None:
    engine = FakeEngine({f"GET /images/{name}/json": {"Id": "sha256:63a596dbed48", "RepoTags": tags}})

    with pytest.raises(UsageError) as caught:
        load(engine, [], name) if verb == "load" else push(engine, "lab", name, "mine:1")

    assert " of an image, and a lab's nodes find images by name" in caught.value.message
    assert str(caught.value.hint).endswith(hint.format(verb))
    assert len(engine.asked) == 1, "nothing is saved for it"


def test_what_has_gone_to_a_silent_engine_is_told_on_the_way() -> None:
    said: list[int] = []
    chunks = [bytes(1 << 20)] * 9

    assert list(_noted(chunks, said.append)) == chunks
    assert said == [4, 8]
