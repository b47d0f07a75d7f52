"""Builds: what is told of them, and how their failures are explained."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO, Any

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import Abandoned, HostError, LabctlError, NotYetError
from labctl.images import building
from labctl.images.building import BuildLog, Recipe, build, instruction_lines

DOCKERFILE = """\
# a comment
FROM debian:trixie-slim

RUN apt-get update \\
 # an inner comment
 && apt-get install -y nginx
COPY page.html /
"""
STEPS = (
    "Step 1/3 : FROM debian:trixie-slim",
    " ---> 39d865555a8a",
    "Step 2/3 : RUN apt-get update  && apt-get install -y nginx",
    " ---> Running in 0f0f0f0f0f0f",
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failed downloads be tried again at once."""
    monkeypatch.setattr(building, "PAUSES", (0.0, 0.0))


Lines = list[dict[str, Any]]


def answer(lines: Sequence[str], error: str = "") -> Lines:
    """The engine's lines, as it sends them."""
    told: Lines = [{"stream": f"{line}\n"} for line in lines]
    return [*told, {"errorDetail": {"message": error}, "error": error}] if error else told


class BuildingEngine(FakeEngine):
    """Answers each build with the next of `builds`, the last one for ever; `options` are those of each build."""

    def __init__(self, *builds: Lines) -> None:
        super().__init__({"DELETE /images/bbbbbbbbbbbb": []})
        self.builds = list(builds)
        self.options: list[dict[str, Any]] = []

    def build(self, context: bytes | IO[bytes], **options: Any) -> Iterator[dict[str, Any]]:
        """Answer as scripted."""
        self.options.append(options)
        lines = self.builds.pop(0) if len(self.builds) > 1 else self.builds[0]
        yield from self._stream(lines)


def recipe(*, own: bool = False) -> Recipe:
    """A recipe of one failing step."""
    return Recipe("web", "labctl-web:1", b"tar", DOCKERFILE, own=own, where="web/Dockerfile")


def attempt(*builds: Lines, own: bool = False) -> tuple[LabctlError | None, list[str], BuildingEngine]:
    """Build with these answers, one a try; returns what was raised, what was told, and the engine."""
    engine = BuildingEngine(*builds)
    told: list[str] = []
    try:
        build(engine, recipe(own=own), told.append)
    except LabctlError as problem:
        return problem, told, engine
    return None, told, engine


def test_each_step_is_told_with_its_number() -> None:
    problem, told, engine = attempt(answer([*STEPS, "Get:1 http://deb.debian.org trixie"]))

    assert problem is None
    assert told == [
        "web: step 1/3: FROM debian:trixie-slim",
        "web: step 2/3: RUN apt-get update && apt-get install -y nginx",
        "web: step 2/3: Get:1 http://deb.debian.org trixie",
    ]
    assert engine.options[0]["tag"] == "labctl-web:1"
    assert engine.options[0]["network_mode"] == "host"


def test_a_failure_names_the_line_of_the_dockerfile_and_the_last_words() -> None:
    error = "The command '/bin/sh -c apt-get update' returned a non-zero code: 100"
    problem, _, _ = attempt(answer([*STEPS, "E: Unable to locate package nginx"], error))

    assert isinstance(problem, HostError)
    assert problem.message == (
        "building web failed at web/Dockerfile:4: RUN apt-get update && apt-get install -y nginx\n"
        "    E: Unable to locate package nginx"
    )
    assert error in (problem.hint or "")


def test_a_users_own_dockerfile_that_fails_leaves_the_machine_blameless() -> None:
    problem, _, _ = attempt(answer([*STEPS, "nope"], "returned a non-zero code: 1"), own=True)

    assert isinstance(problem, NotYetError)


NO_HUB = 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host'
NO_OTHER = NO_HUB.replace("registry-1.docker.io", "ghcr.io")


@pytest.mark.parametrize(
    ("step", "said", "told"),
    [
        ("FROM python:3.4-alpine", NO_HUB, f"Docker Hub is out of reach of this host's engine ({NO_HUB})."),
        ("FROM ghcr.io/a/b:1", NO_OTHER, f"ghcr.io is out of reach of this host's engine ({NO_OTHER})."),
        ("COPY --from=tools:1 /a /a", f"invalid from flag value tools:1: {NO_HUB}", "Docker Hub is out of reach"),
        (
            "FROM a:1",
            "manifest for a:1 not found: manifest unknown",
            "The registry does not give this host's engine the",
        ),
        (
            "FROM a",
            "pull access denied for a, repository does not exist",
            "The registry does not give this host's engine",
        ),
    ],
)
def test_an_image_that_a_users_dockerfile_names_and_nobody_has_is_told_with_what_there_is(
    step: str, said: str, told: str
) -> None:
    problem, _, _ = attempt(answer([f"Step 1/3 : {step}"], said), own=True)

    assert problem is not None
    assert problem.message == f"building web failed at web/Dockerfile:2: {step}"
    assert str(problem.hint).startswith(told)
    assert "`labctl image ls` shows what labctl builds" in str(problem.hint)


@pytest.mark.parametrize(("step", "own"), [("FROM a b c", True), ("COPY a /a", True), ("FROM a", False)])
def test_other_refusals_of_a_build_are_told_as_they_are(step: str, own: bool) -> None:
    said = "FROM requires either one or three arguments" if own else NO_HUB

    problem, _, _ = attempt(answer([f"Step 1/3 : {step}"], said), own=own)

    assert problem is not None
    assert problem.hint == f"the engine refused: {said}"


def test_a_download_that_fails_on_the_bridge_is_told_of_the_other_way() -> None:
    lines = [*STEPS, "E: Failed to fetch http://deb.debian.org/x  Could not resolve 'deb.debian.org'"]
    engine = BuildingEngine(answer(lines, "code: 100"))

    with pytest.raises(NotYetError) as caught:
        build(engine, replace(recipe(own=True), network="bridge"), lambda _: None)

    assert "`--network host`" in (caught.value.hint or "")
    assert {options["network_mode"] for options in engine.options} == {"bridge"}


def test_a_failed_download_is_tried_again() -> None:
    lines = [*STEPS, "W: Failed to fetch http://deb.debian.org/x  Temporary failure resolving 'deb.debian.org'"]
    lines += [f"E: Unable to locate package p{number}" for number in range(30)]
    problem, told, engine = attempt(answer(lines, "code: 100"), answer(STEPS))

    assert problem is None
    assert "web: a download failed; again in 0 s" in told
    assert len(engine.options) == 2


def test_downloads_that_go_on_failing_end_with_what_was_said() -> None:
    lines = [*STEPS, "E: Failed to fetch http://deb.debian.org/x  Could not resolve 'deb.debian.org'"]
    problem, _, engine = attempt(answer(lines, "code: 100"))

    assert isinstance(problem, HostError)
    assert "a download failed again and again: E: Failed to fetch" in problem.message
    assert "bundle load" in (problem.hint or "")
    assert len(engine.options) == 3


def test_a_full_disk_is_one_line_and_what_was_made_is_removed() -> None:
    lines = [*STEPS, " ---> bbbbbbbbbbbb", "Step 3/3 : COPY page.html /", "cp: write error: No space left on device"]
    problem, _, engine = attempt(answer(lines, "code: 1"))

    assert isinstance(problem, HostError)
    assert problem.message == "building web: the engine's disk is full, in step 3; nothing of it was kept"
    assert [str(asked) for asked in engine.asked] == ["DELETE /images/bbbbbbbbbbbb"]


def test_a_build_that_is_given_up_ends() -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(Abandoned):
        build(BuildingEngine(answer(STEPS)), recipe(), lambda _: None, stop=stop)


def test_layers_of_the_base_and_of_the_cache_are_not_ones_own() -> None:
    log = BuildLog()
    for line in (
        "Step 1/3 : FROM debian",
        " ---> aaaaaaaaaaaa",
        "Step 2/3 : RUN one",
        " ---> Using cache",
        " ---> bbbbbbbbbbbb",
        "Step 3/3 : RUN two",
        " ---> Running in 0f0f0f0f0f0f",
        " ---> cccccccccccc",
    ):
        log.hear({"stream": f"{line}\n"})

    assert log.layers == ["cccccccccccc"]


def test_instructions_begin_where_their_words_stand() -> None:
    assert instruction_lines(DOCKERFILE) == [2, 4, 7]
