"""What an engine does with images: streams of lines, whose error line is an error."""

from __future__ import annotations

import io

import pytest

from labctl.engine.fake import FakeEngine
from labctl.engine.imagecalls import _split_tag
from labctl.errors import EngineRefused

from .conftest import Serve


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nginx", ("nginx", "latest")),
        ("nginx:1.27", ("nginx", "1.27")),
        ("registry:5000/nginx", ("registry:5000/nginx", "latest")),
        ("registry:5000/team/nginx:1", ("registry:5000/team/nginx", "1")),
        ("dockersamples/visualizer:stable", ("dockersamples/visualizer", "stable")),
    ],
)
def test_a_port_of_a_registry_is_no_tag(name: str, parts: tuple[str, str]) -> None:
    assert _split_tag(name) == parts


def test_the_lines_of_a_pull_are_passed_on(serve: Serve) -> None:
    engine = serve({"POST /images/create": lambda handler: handler.stream(b'{"status": "a"}\n', b'{"status": "b"}\n')})

    assert [line["status"] for line in engine.pull("nginx")] == ["a", "b"]


def test_an_error_in_the_middle_of_a_pull_is_the_engines_refusal(serve: Serve) -> None:
    lines = b'{"status": "Pulling"}\n{"error": "manifest unknown", "errorDetail": {}}\n'
    engine = serve({"POST /images/create": lambda handler: handler.stream(lines)})

    with pytest.raises(EngineRefused, match="the engine of w1 refused: manifest unknown"):
        list(engine.pull("nginx"))


def test_an_error_of_a_build_is_the_engines_refusal(serve: Serve) -> None:
    engine = serve({"POST /build": lambda handler: handler.stream(b'{"error": "no space left on device"}\n')})

    with pytest.raises(EngineRefused, match="no space left on device"):
        list(engine.build(b""))


def test_an_import_that_fails_half_way_is_the_engines_refusal() -> None:
    engine = FakeEngine({"POST /images/create": '{"status":"x"}\n{"error":"unexpected EOF"}'})

    with pytest.raises(EngineRefused, match="refused to import debian:trixie-slim"):
        engine.import_image(io.BytesIO(b""), "debian:trixie-slim")


def test_an_import_gets_its_name_its_tag_and_its_changes() -> None:
    engine = FakeEngine({"POST /images/create": '{"status":"sha256:1"}'})

    engine.import_image(io.BytesIO(b""), "debian:trixie-slim", ["CMD bash"])

    assert engine.asked[0].query == {"fromSrc": "-", "repo": "debian", "tag": "trixie-slim", "changes": "CMD bash"}


def test_an_image_gets_another_name() -> None:
    engine = FakeEngine({"POST /images/nginx/tag": ""})

    engine.tag("nginx", "registry:5000/nginx")

    assert engine.asked[0].query == {"tag": "latest", "repo": "registry:5000/nginx", "force": "1"}


def test_images_are_listed_by_label() -> None:
    engine = FakeEngine({"GET /images/json": [{"Id": "i1"}]})

    assert engine.images(["labctl.image"]) == [{"Id": "i1"}]
    assert engine.asked[0].query["filters"] == '{"label": ["labctl.image"]}'


def test_an_image_is_made_of_a_container_that_is_not_frozen_for_it() -> None:
    engine = FakeEngine({"POST /commit": {"Id": "sha256:1"}})

    assert engine.commit("c1", "labctl.snapshot/demo/w1:fresh", {"labctl.kind": "saved"}) == "sha256:1"
    (asked,) = engine.asked
    assert asked.query == {"container": "c1", "repo": "labctl.snapshot/demo/w1", "tag": "fresh", "pause": "0"}
    assert asked.body == {"Labels": {"labctl.kind": "saved"}}
