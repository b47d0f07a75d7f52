"""The image calls of an engine. Answers are the API's own JSON; errors as in `labctl.engine.client`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from labctl.engine.asking import Asking, Json, as_filters
from labctl.engine.errors import translated
from labctl.engine.wire import JSON
from labctl.errors import EngineRefused
from labctl.waiting import stretched

__all__ = ["CONTEXT_DOCKERFILE", "ImageCalls"]

CONTEXT_DOCKERFILE = ".labctl.Dockerfile"
COMMIT_LIMIT = 600.0  # seconds; what a container has of its own may be gigabytes


class ImageCalls(Asking):
    """What an engine does with images; a part of `Engine`."""

    @property
    def api(self) -> Any:
        """The docker.APIClient."""
        raise NotImplementedError

    def image(self, name: str) -> Json | None:
        """Inspect an image; None when there is none of that name."""
        return self._found(f"/images/{name}/json")

    def images(self, labels: Iterable[str] = ()) -> list[Json]:
        """List the images that bear all `labels`."""
        params = {"filters": as_filters({"label": list(labels)})} if labels else None
        return cast(list[Json], self._json("GET", "/images/json", params=params))

    def build_context(self, folder: Path, dockerfile: str) -> IO[bytes]:
        """Return a tar archive of a folder, less what its .dockerignore names, with `dockerfile` as CONTEXT_DOCKERFILE.

        It is a temporary file, gone once it is closed. Raises OSError for a file that cannot be read.
        """
        import docker.utils.build

        ignored = folder / ".dockerignore"
        lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
        exclude = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        made = docker.utils.build.tar(folder, exclude=exclude, dockerfile=(CONTEXT_DOCKERFILE, dockerfile))
        return cast(IO[bytes], made)

    def build(self, context: bytes | IO[bytes], **options: Any) -> Iterator[Json]:
        """Build an image from a tar archive; yields the engine's lines. `options` are those of POST /build.

        Raises EngineRefused with the build's own error line.
        """
        file = io.BytesIO(context) if isinstance(context, bytes) else context
        with translated(self.where):
            yield from self._stream(self.api.build(fileobj=file, custom_context=True, decode=True, rm=True, **options))

    def pull(self, name: str) -> Iterator[Json]:
        """Pull an image; yields the engine's lines. Raises EngineRefused with its error line."""
        with translated(self.where):
            repository, tag = _split_tag(name)
            yield from self._stream(self.api.pull(repository, tag=tag, stream=True, decode=True))

    def push(self, name: str) -> Iterator[Json]:
        """Push an image; yields the engine's lines. Raises EngineRefused with its error line."""
        with translated(self.where):
            repository, tag = _split_tag(name)
            yield from self._stream(self.api.push(repository, tag=tag, stream=True, decode=True))

    def tag(self, image: str, name: str) -> None:
        """Give an image another name."""
        repository, tag = _split_tag(name)
        self._ask("POST", f"/images/{image}/tag", params={"repo": repository, "tag": tag, "force": 1})

    def commit(self, container: str, name: str, labels: Mapping[str, str]) -> str:
        """Make an image of what a container has changed of its own, without volumes, and return its id.

        The container is not frozen for it. The image bears `labels` beside those of the container.
        """
        repository, tag = _split_tag(name)
        params = {"container": container, "repo": repository, "tag": tag, "pause": 0}
        body = json.dumps({"Labels": dict(labels)}).encode()
        limit = stretched(COMMIT_LIMIT)
        return str(self._json("POST", "/commit", params=params, body=body, headers=JSON, limit=limit)["Id"])

    def remove_image(self, name: str) -> None:
        """Remove an image's name, and the image with its last one; one that is gone is fine."""
        self._remove(f"/images/{name}")

    def import_image(self, archive: IO[bytes], name: str, changes: Iterable[str] = ()) -> None:
        """Make an image of a root file system's tar archive."""
        repository, tag = _split_tag(name)
        with translated(self.where):
            params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": list(changes)}
            url = self.api._url("/images/create")
            answer = self.api._post(url, data=archive, params=params, timeout=None)
            self.api._raise_for_status(answer)
            if '"error"' in answer.text:
                raise EngineRefused(f"{self.where} refused to import {name}: {answer.text.strip()}")

    def save_images(self, names: Iterable[str]) -> Iterator[bytes]:
        """Return a tar archive of images (GET /images/get)."""
        yield from self._streamed("/images/get", {"names": list(names)})

    def load_images(self, archive: IO[bytes]) -> Iterator[Json]:
        """Load a tar archive of images; yields the engine's lines."""
        with translated(self.where):
            yield from self._stream(self.api.load_image(archive))

    def _stream(self, lines: Iterable[Json]) -> Iterator[Json]:
        failed: Json | None = None
        for line in lines:
            if "error" in line:
                # Read on to the end, which is near: a connection that is left half-read stays open.
                failed = failed or line
            elif failed is None:
                yield line
        if failed is not None:
            raise EngineRefused(f"{self.where} refused: {failed['error']}".strip())


def _split_tag(name: str) -> tuple[str, str]:
    """Split "host:port/repository:tag"; the tag is latest where none is said."""
    head, slash, last = name.rpartition("/")
    base, colon, tag = last.partition(":")
    return head + slash + base, tag if colon else "latest"
