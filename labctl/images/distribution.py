"""A registry's own HTTP API (the OCI distribution specification), as far as a lab needs it.

One connection, kept open; not for several threads at once. Every method raises LabError when the
registry does not answer or refuses, HostError when its disk is full.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from labctl.errors import HostError, LabctlError, LabError
from labctl.waiting import stretched

__all__ = ["MANIFEST_TYPE", "Manifest", "RegistryApi"]

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (
    MANIFEST_TYPE,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
PAGE = 1000  # names a request
LIMIT = 60.0  # seconds that one answer may take
NO_WRITER = "Its secret is in the state folder (LABCTL_STATE) of the user who made the lab; a node needs none."
DISK_FULL = "no space left on device"


@dataclass(frozen=True)
class Manifest:
    """What a tag points at: its digest, the image's id (the digest of its configuration) and its bytes."""

    digest: str
    image_id: str
    size: int


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class RegistryApi:
    """The registry at `host`:`port`, without TLS: it is on this machine's loopback. `secret` lets write to it."""

    def __init__(
        self, host: str, port: int, *, limit: float = LIMIT, name: str = "the registry", secret: str = ""
    ) -> None:
        login = base64.b64encode(f"labctl:{secret}".encode()).decode()
        self._login = {"Authorization": f"Basic {login}"} if secret else {}
        self.name = f"{name} at {host}:{port}"
        self._connection = http.client.HTTPConnection(host, port, timeout=stretched(limit))

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def problem(self) -> str:
        """Ask for the API's root: "" when the registry answers, else why not."""
        try:
            answer = self._ask("GET", "/v2/")
        except LabctlError as problem:
            return problem.message
        # 401: it lets read whom it does not know.
        return "" if answer.status in (200, 401) else f"{self.name} answers {answer.status}"

    def repositories(self) -> list[str]:
        """The names of all repositories."""
        return self._pages("/v2/_catalog", "repositories")

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository, [] when there is none of the name."""
        return sorted(self._pages(f"/v2/{repository}/tags/list", "tags"))

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """What a tag or digest points at, of a list for several platforms the first; None when there is none."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ", ".join(ACCEPTED)})
        if answer.status == 404:
            return None
        self._check(answer, f"{repository}:{reference}")
        content = json.loads(answer.body)
        if content.get("manifests"):
            first = self.manifest(repository, str(content["manifests"][0]["digest"]))
            return replace(first, digest=answer.headers.get("docker-content-digest", "")) if first else None
        parts = [content.get("config", {}), *content.get("layers", [])]
        return Manifest(
            digest=answer.headers.get("docker-content-digest", ""),
            image_id=str(parts[0].get("digest", "")),
            size=sum(int(part.get("size", 0)) for part in parts),
        )

    def blob(self, repository: str, digest: str) -> bytes:
        """A blob's content; for configurations, not for layers."""
        answer = self._ask("GET", f"/v2/{repository}/blobs/{digest}")
        self._check(answer, digest)
        return answer.body

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository have a blob of another one; False when the registry does not know it there."""
        query = urlencode({"mount": digest, "from": source})
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/?{query}")
        self._check(answer, digest)
        return answer.status == 201

    def begin_upload(self, repository: str) -> str:
        """Begin a blob whose digest is not known yet; returns where its bytes go."""
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        self._check(answer, repository)
        return _place(answer)

    def upload(self, place: str, content: Iterable[bytes], size: int) -> str:
        """Send a blob's `size` bytes; returns where it is finished."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        answer = self._ask("PATCH", place, content, headers)
        self._check(answer, "a layer")
        return _place(answer)

    def finish_upload(self, place: str, digest: str, content: bytes = b"") -> None:
        """Say what the blob's digest is, sending `content` as its last bytes."""
        mark = "&" if "?" in place else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        answer = self._ask("PUT", f"{place}{mark}{urlencode({'digest': digest})}", content, headers)
        self._check(answer, digest)

    def put_manifest(self, repository: str, tag: str, content: bytes) -> str:
        """Let a tag point at a manifest whose blobs are there; returns the manifest's digest."""
        answer = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", content, {"Content-Type": MANIFEST_TYPE})
        self._check(answer, f"{repository}:{tag}")
        return answer.headers.get("docker-content-digest", "")

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Forget a manifest and the tags that point at it; one that is gone is fine."""
        answer = self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")
        if answer.status != 404:
            self._check(answer, f"{repository}@{digest}")

    def _pages(self, path: str, key: str) -> list[str]:
        found: list[str] = []
        following: str | None = f"{path}?n={PAGE}"
        while following:
            answer = self._ask("GET", following)
            if answer.status == 404:
                return found
            self._check(answer, path)
            found += json.loads(answer.body).get(key) or []
            following = _next_page(answer.headers.get("link", ""))
        return found

    def _ask(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> _Answer:
        try:
            self._connection.request(method, path, body=body or None, headers={**self._login, **(headers or {})})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            said = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise LabError(f"{self.name} does not answer: {said}") from problem
        return _Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, content)

    def _check(self, answer: _Answer, what: str) -> None:
        if answer.status < 400:
            return
        said = _said(answer.body)
        if DISK_FULL in said:
            raise HostError(
                f"{self.name} has no room for {what}: the engine's disk is full",
                hint="`labctl image prune` and `docker system df` show what takes room.",
            )
        hint = NO_WRITER if answer.status in (401, 403) else None
        raise LabError(f"{self.name} refused {what}: {answer.status} {said}".rstrip(), hint=hint)


def _place(answer: _Answer) -> str:
    """The path to go on at; a registry may answer with a whole URL of its own idea of its name."""
    parts = urlsplit(answer.headers.get("location", ""))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _next_page(link: str) -> str | None:
    """Read `</v2/_catalog?last=x&n=1000>; rel="next"`."""
    if 'rel="next"' not in link:
        return None
    parts = urlsplit(link[link.index("<") + 1 : link.index(">")])
    return f"{parts.path}?{parts.query}"


def _said(body: bytes) -> str:
    try:
        content: Any = json.loads(body)
        errors = content["errors"]
        return "; ".join(f"{error.get('message', '')} {error.get('detail') or ''}".strip() for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.decode(errors="replace").strip()[:200]
