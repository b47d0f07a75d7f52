"""Image names: what a person types, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.images.names import Reference, parse


@pytest.mark.parametrize(
    ("typed", "registry", "repository", "tag"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27"),
        ("library/nginx", "docker.io", "library/nginx", "latest"),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest"),
        ("index.docker.io/library/nginx", "docker.io", "library/nginx", "latest"),
        ("dockersamples/visualizer:stable", "docker.io", "dockersamples/visualizer", "stable"),
        ("registry:5000/web", "registry:5000", "web", "latest"),
        ("localhost/web:2", "localhost", "web", "2"),
        ("127.0.0.1:5123/a/b/c:x", "127.0.0.1:5123", "a/b/c", "x"),
        ("quay.io/group/tool:v1", "quay.io", "group/tool", "v1"),
        (" nginx ", "docker.io", "library/nginx", "latest"),
    ],
)
def test_a_name_is_read_as_the_docker_cli_reads_it(typed: str, registry: str, repository: str, tag: str) -> None:
    assert parse(typed) == Reference(registry, repository, tag)


def test_a_digest_is_kept_beside_the_tag() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4

    assert parse(f"redis:7@{digest}") == Reference("docker.io", "library/redis", "7", digest)


@pytest.mark.parametrize(
    ("typed", "familiar"),
    [
        ("docker.io/library/nginx", "nginx:latest"),
        ("bretfisher/examplevotingapp_vote", "bretfisher/examplevotingapp_vote:latest"),
        ("registry:5000/web", "registry:5000/web:latest"),
    ],
)
def test_the_familiar_name_is_the_one_that_people_write(typed: str, familiar: str) -> None:
    assert parse(typed).familiar == familiar
    assert parse(familiar) == parse(typed)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "it is empty"),
        ("Nginx", "lower case"),
        ("a b", "lower-case letters and digits"),
        ("nginx:", "'' is no tag"),
        ("nginx:a b", "'a b' is no tag"),
        ("nginx@", "'' is no digest"),
        ("nginx@sha256:xyz", "'sha256:xyz' is no digest"),
        ("../etc/passwd", "'..' is no registry"),
        ("a//b", "lower-case letters and digits"),
        ("x" * 300, "more than 255 characters"),
        ("registry:5000/", "it is empty"),
    ],
)
def test_what_can_be_no_name_is_refused_with_the_reason(typed: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(typed)

    assert problem in caught.value.message
    assert repr(typed) in caught.value.message


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except UsageError:
        return
    assert parse(reference.familiar).path == reference.path
