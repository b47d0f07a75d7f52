"""A user's own Dockerfile: what it is built on."""

from __future__ import annotations

from labctl.images.own import bases_of, with_bases

DOCKERFILE = """\
ARG BASE=alpine
FROM golang:1.22 AS build
RUN go build
from --platform=linux/amd64 nginx AS web
COPY --from=build /app /app
FROM build AS tests
FROM scratch
FROM $BASE
FROM debian:trixie-slim
"""


def test_the_bases_are_the_images_of_others() -> None:
    assert bases_of(DOCKERFILE) == ["golang:1.22", "nginx", "debian:trixie-slim"]


def test_other_bases_are_put_in_their_place_and_every_line_stays_where_it_is() -> None:
    changed = with_bases(DOCKERFILE, {"nginx": "labctl-nginx:1", "build": "never"})

    assert "from --platform=linux/amd64 labctl-nginx:1 AS web" in changed
    assert "FROM golang:1.22 AS build" in changed
    assert len(changed.splitlines()) == len(DOCKERFILE.splitlines())


def test_a_stage_is_not_taken_for_an_image() -> None:
    assert bases_of("FROM a AS nginx\nFROM nginx\n") == ["a"]
