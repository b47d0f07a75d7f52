"""Image names as a person types them, and what they mean: nginx is docker.io/library/nginx:latest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.errors import UsageError

__all__ = ["HUB_REGISTRY", "Reference", "parse"]

HUB_REGISTRY = "docker.io"
_HUB_ALIASES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
LONGEST = 255  # characters of a repository, the registry's own limit


@dataclass(frozen=True)
class Reference:
    """An image's whole name. `registry` is docker.io for Docker Hub; `digest` is "" where none was said."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def is_hub(self) -> bool:
        """Whether it is a name of Docker Hub, which a lab's mirror serves."""
        return self.registry == HUB_REGISTRY

    @property
    def path(self) -> str:
        """Repository and tag as a registry has them: library/nginx:latest."""
        return f"{self.repository}:{self.tag}"

    @property
    def familiar(self) -> str:
        """The name as a person writes it, with its tag: nginx:latest, registry:5000/web:1."""
        if self.is_hub:
            return self.path.removeprefix("library/")
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        return self.familiar


def parse(name: str) -> Reference:
    """Read an image's name as the Docker CLI does. Raises UsageError for what can be none."""
    rest, at, digest = name.strip().partition("@")
    registry, rest = _split_registry(rest)
    repository, colon, tag = rest.partition(":")
    if registry == HUB_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    reference = Reference(registry, repository, tag if colon else "latest", digest)
    problem = _problem(reference, has_digest=bool(at))
    if problem:
        raise UsageError(f"{name!r} is no image name: {problem}", hint="Names are like nginx, nginx:1.27, group/web:2.")
    return reference


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return (HUB_REGISTRY if first in _HUB_ALIASES else first), rest
    return HUB_REGISTRY, name


def _problem(reference: Reference, *, has_digest: bool) -> str:
    bare = reference.repository.removeprefix("library/")
    if not _REGISTRY.fullmatch(reference.registry):
        return f"{reference.registry!r} is no registry"
    if not bare:
        return "it is empty"
    if bare != bare.lower():
        return "it must be in lower case"
    if len(reference.repository) > LONGEST:
        return f"it has more than {LONGEST} characters"
    if not _REPOSITORY.fullmatch(reference.repository):
        return "a name has lower-case letters and digits, with . _ - and / between them"
    if not _TAG.fullmatch(reference.tag):
        return f"{reference.tag!r} is no tag"
    if has_digest and not _DIGEST.fullmatch(reference.digest):
        return f"{reference.digest!r} is no digest"
    return ""
