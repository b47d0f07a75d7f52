"""From what an engine saves straight into a registry, in one pass and without compressing anything.

`docker push` compresses every layer and goes through the network once for each name. On one machine
both only cost time: 33 names of one image are 33 small documents here, and a node unpacks a plain layer
faster than a compressed one.

Two formats come out of engines: folders with a layer.tar each (before 25), or an OCI layout whose
layers may be compressed (since). Both list their images in a manifest.json, which comes last.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from labctl.errors import HostError
from labctl.images.distribution import MANIFEST_TYPE, RegistryApi
from labctl.images.names import Reference

__all__ = ["ByteStream", "push_saved"]

CHUNK = 1 << 20
# What is smaller stays in memory until the list of images says what it is: configurations, small layers.
SMALL = 1 << 20
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
GZIP_MAGIC = b"\x1f\x8b"

Note = Callable[[str], None]


class ByteStream(io.RawIOBase):
    """A readable file over chunks of bytes; `read_so_far` counts what was read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")
        self.read_so_far = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has a wider buffer
        """Fill the buffer as far as the next chunk goes."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        self.read_so_far += count
        return count


@dataclass(frozen=True)
class _Blob:
    digest: str
    size: int
    kind: str

    def described(self) -> dict[str, object]:
        return {"mediaType": self.kind, "size": self.size, "digest": self.digest}


@dataclass
class _Archive:
    """What a pass over the archive found: blobs sent already, small files, and links from one to another."""

    sent: dict[str, _Blob] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> str:
        """The file behind a path: an engine links a layer that it has written before."""
        for _ in range(8):
            if path not in self.links:
                break
            path = self.links[path]
        return path


def push_saved(
    api: RegistryApi,
    archive: Iterable[bytes],
    wanted: Mapping[str, Sequence[Reference]],
    note: Note = lambda _: None,
) -> dict[str, str]:
    """Push the images of an archive made by an engine; returns the digest of each image's manifest.

    `wanted` maps each image's tag in the archive to the names that it gets. Raises HostError when the
    archive ends early or lacks an image.
    """
    staging = next((names[0].repository for names in wanted.values() if names), "")
    if not staging:
        return {}
    found = _read(api, archive, staging, note)
    digests = {}
    for entry in json.loads(found.small.get("manifest.json", b"[]")):
        for tag in entry.get("RepoTags") or []:
            if tag in wanted:
                note(f"naming {tag}")
                digests[tag] = _name(api, found, entry, staging, wanted[tag])
    missing = [tag for tag in wanted if tag not in digests]
    if missing:
        raise HostError(f"the engine saved no image {', '.join(missing)}", hint="`labctl image build` recreates it.")
    return digests


def _read(api: RegistryApi, archive: Iterable[bytes], staging: str, note: Note) -> _Archive:
    found = _Archive()
    stream = ByteStream(archive)
    try:
        with tarfile.open(fileobj=io.BufferedReader(stream, CHUNK), mode="r|") as tar:
            for member in tar:
                path = posixpath.normpath(member.name)
                if member.issym():
                    found.links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
                elif member.islnk():
                    found.links[path] = posixpath.normpath(member.linkname)
                elif member.isfile():
                    file = tar.extractfile(member)
                    assert file is not None  # it is a file
                    if member.size <= SMALL:
                        found.small[path] = file.read()
                    else:
                        found.sent[path] = _send(api, file, member.size, staging)
                        note(f"{stream.read_so_far >> 20} MiB sent")
    except tarfile.TarError as problem:
        raise HostError(f"the engine's archive of images ends early: {problem}") from problem
    return found


def _send(api: RegistryApi, file: IO[bytes], size: int, repository: str) -> _Blob:
    sum_ = hashlib.sha256()
    first = file.read(CHUNK)

    def chunks() -> Iterator[bytes]:
        chunk = first
        while chunk:
            sum_.update(chunk)
            yield chunk
            chunk = file.read(CHUNK)

    place = api.upload(api.begin_upload(repository), chunks(), size)
    digest = f"sha256:{sum_.hexdigest()}"
    api.finish_upload(place, digest)
    return _Blob(digest, size, _layer_type(first))


def _layer_type(begin: bytes) -> str:
    return LAYER_TYPE + (".gzip" if begin.startswith(GZIP_MAGIC) else "")


def _name(
    api: RegistryApi, found: _Archive, entry: Mapping[str, object], staging: str, names: Sequence[Reference]
) -> str:
    """Give one image its names: each repository is let have its blobs, each tag its manifest."""
    config = _blob(api, found, str(entry["Config"]), staging, CONFIG_TYPE)
    layers = entry["Layers"]
    assert isinstance(layers, list)  # so say both formats
    blobs = [config, *(_blob(api, found, str(path), staging) for path in layers)]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.described(),
            "layers": [blob.described() for blob in blobs[1:]],
        },
        indent=1,
    ).encode()
    for repository in dict.fromkeys(name.repository for name in names):
        if repository != staging:
            for digest in dict.fromkeys(blob.digest for blob in blobs):
                api.mount(repository, digest, staging)
    digest = ""
    for name in names:
        digest = api.put_manifest(name.repository, name.tag, manifest)
    return digest


def _blob(api: RegistryApi, found: _Archive, path: str, staging: str, kind: str = "") -> _Blob:
    """The blob of a path in the archive, sent now where it was small enough to be kept."""
    place = found.place(posixpath.normpath(path))
    if place in found.sent:
        return found.sent[place]
    if place not in found.small:
        raise HostError(f"the engine's archive of images lacks {path}")
    content = found.small[place]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    api.finish_upload(api.begin_upload(staging), digest, content)
    found.sent[place] = _Blob(digest, len(content), kind or _layer_type(content))
    return found.sent[place]
