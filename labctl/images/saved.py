"""What `docker save` wrote, looked through before an engine loads it: which images, under which names.

An engine loads whatever an archive holds, under any name, the node image's too. So the lists in it are read here first,
and what goes to the engine is written anew from what was read: two programs that read one archive in two ways would
leave a gap.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import UsageError
from labctl.images.names import parse
from labctl.images.recipes import layers_identity
from labctl.tarstream import TarReader, end, padding

__all__ = ["check_saved", "rewritten_saved"]

MOST_ENTRIES = 20_000  # labctl's own have some hundred
LARGEST_DOCUMENT = 1 << 20  # bytes of a list or a configuration
MOST_DOCUMENTS = 64 << 20  # bytes of all of them
NAME_IN_INDEX = "io.containerd.image.name"
DEEPEST = 3  # an index of indexes of manifests


class Lacking(tarfile.TarError):
    """The archive lacks what every engine writes: a copy that was cut or torn."""


@dataclass
class _Saved:
    """What was read: the small documents by their names, and every name."""

    documents: dict[str, bytes] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def json(self, name: str) -> Any:
        """A document. Raises Lacking for one that is missing or no JSON."""
        if name not in self.documents:
            raise Lacking(f"it has no {name}, or one that is too large")
        try:
            return json.loads(self.documents[name])
        except (ValueError, RecursionError) as problem:
            raise Lacking(f"its {name} is no JSON") from problem


def check_saved(chunks: Iterable[bytes], images: Mapping[str, str], *, most_bytes: int, skip: str) -> None:
    """Raise UsageError unless the archive holds just `images`: the identity of each one's layers, by its tag.

    `skip` is an entry that is none of the engine's; `most_bytes` is what it may unpack to. Raises tarfile.TarError for
    an archive that is cut off or lacks something.
    """
    saved = _Saved()
    read, kept = 0, 0
    reader = TarReader(chunks)
    for entry in reader:
        _check_entry(entry, saved.names)
        saved.names.add(entry.name)
        read += entry.size
        if read > most_bytes:
            raise UsageError(f"it unpacks to more than {most_bytes} bytes")
        if entry.isreg() and entry.size <= LARGEST_DOCUMENT and entry.name != skip:
            kept += entry.size
            if kept > MOST_DOCUMENTS:
                raise UsageError(f"its small files take more than {MOST_DOCUMENTS} bytes")
            saved.documents[entry.name] = b"".join(reader.content())
    reader.drain()
    try:
        found = {**_named(saved), **_indexed(saved)}
    except (KeyError, TypeError, AttributeError) as problem:
        raise Lacking(f"its list of images is not as engines write it: {problem}") from problem
    _compare(found, images)


def rewritten_saved(chunks: Iterable[bytes], *, skip: str) -> Iterator[bytes]:
    """The archive as it was checked, for the engine, in an encoding of our own and without `skip`."""
    reader = TarReader(chunks)
    names: set[str] = set()
    for entry in reader:
        _check_entry(entry, names)
        names.add(entry.name)
        if entry.name == skip:
            continue
        size = entry.size if entry.isreg() else 0
        entry.pax_headers = {}
        yield entry.tobuf(tarfile.GNU_FORMAT)
        yield from reader.content()
        yield padding(size)
    yield end()
    reader.drain()


def _check_entry(entry: tarfile.TarInfo, names: set[str]) -> None:
    entry.name = entry.name.rstrip("/")
    if len(names) >= MOST_ENTRIES:
        raise UsageError(f"it has more than {MOST_ENTRIES} entries")
    if not _is_inside(entry.name) or entry.name in names:
        raise UsageError(f"the name {entry.name[:80]!r} leads elsewhere, or comes twice")
    if entry.issym():
        # Engines before 25 write a layer that two images have as a link to the first.
        if not _is_inside(posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), entry.linkname))):
            raise UsageError(f"the link {entry.name!r} leads out of it")
    elif not (entry.isreg() or entry.isdir()):
        raise UsageError(f"{entry.name!r} is neither a file nor a folder")


def _is_inside(name: str) -> bool:
    return bool(name) and posixpath.normpath(name) == name and not name.startswith(("/", "../")) and name != ".."


def _named(saved: _Saved) -> dict[str, str]:
    """The layers' identity of each image by its tag, as manifest.json and the older `repositories` say."""
    found: dict[str, str] = {}
    for image in saved.json("manifest.json"):
        layers = _layers(saved, image["Config"])
        tags = image.get("RepoTags") or []
        if not tags:
            raise UsageError("it holds an image without a name")
        for tag in tags:
            _put(found, tag, layers)
    if "repositories" in saved.names:
        for name, tags in saved.json("repositories").items():
            for tag in tags:
                if f"{name}:{tag}" not in found:
                    raise UsageError(f"it gives the name {name}:{tag} beside its list")
    return found


def _indexed(saved: _Saved) -> dict[str, str]:
    """The same as the OCI index says, which engines read that keep their images with containerd."""
    found: dict[str, str] = {}
    if "index.json" not in saved.names:
        return found
    named = _named(saved)
    for image in saved.json("index.json")["manifests"]:
        name = (image.get("annotations") or {}).get(NAME_IN_INDEX)
        if name is None:
            raise UsageError("it holds an image without a name")
        tag = parse(name).familiar
        for layers in _of_descriptor(saved, image, DEEPEST):
            if named.get(tag) != layers:
                raise UsageError(f"its two lists say different things of {tag}")
            _put(found, tag, layers)
    return found


def _of_descriptor(saved: _Saved, descriptor: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The layers' identities of the images that a descriptor leads to."""
    if depth == 0:
        raise UsageError("its index is too deep")
    document = saved.json(_blob(descriptor["digest"]))
    if "manifests" in document:
        for inner in document["manifests"]:
            # What tells of how it was built is none; no engine runs it.
            if (inner.get("platform") or {}).get("os") != "unknown":
                yield from _of_descriptor(saved, inner, depth - 1)
    else:
        yield _layers(saved, _blob(document["config"]["digest"]))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _layers(saved: _Saved, config: str) -> str:
    layers = saved.json(config)["rootfs"]["diff_ids"]
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, str) for layer in layers):
        raise Lacking(f"{config} names no layers")
    return layers_identity({"RootFS": {"Layers": layers}})


def _put(found: dict[str, str], tag: str, layers: str) -> None:
    if found.setdefault(tag, layers) != layers:
        raise UsageError(f"it holds two images of the name {tag}")


def _compare(found: Mapping[str, str], images: Mapping[str, str]) -> None:
    strange = sorted(set(found) - set(images))
    if strange:
        raise UsageError(f"it holds {', '.join(strange[:3])}, which is not in its own list")
    for tag, layers in images.items():
        if tag not in found:
            raise Lacking(f"{tag} is missing")
        if found[tag] != layers:
            raise UsageError(f"its {tag} has other layers than its own list says")
