"""What an image is made of, and the tag that says so: an image is built again only when that changes.

    labctl-nginx:3f0c2e5d1a7b-91d0c4
                 │            └ the base image's layers
                 └ the files of images/nginx

Without its base on the engine an image that was made of the same files is as good.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from labctl.assets import digest_of
from labctl.engine import Engine
from labctl.images.building import Recipe
from labctl.spec import labels

__all__ = [
    "BASE",
    "SOURCES",
    "archive_of",
    "base_identity",
    "find_built",
    "layers_identity",
    "recipe_for",
    "sources_of",
    "tag_for",
]

BASE = "debian:trixie-slim"
SOURCES = "labctl.sources"  # label: the digest of the files that an image was made of
CREATED_AT = 0  # the time stamp of every file in a context, so that the engine's cache knows it again


def layers_identity(image: Mapping[str, object]) -> str:
    """Return what an inspected image is, whichever engine holds it: six hex digits of its layers' digests."""
    root = image.get("RootFS")
    layers = root.get("Layers") if isinstance(root, Mapping) else None
    return hashlib.sha256("\n".join(layers or [str(image.get("Id"))]).encode()).hexdigest()[:6]


def base_identity(engine: Engine) -> str:
    """Return the identity of the base image on this engine, "" when it is not there."""
    found = engine.image(BASE)
    return layers_identity(found) if found else ""


def tag_for(name: str, sources: str, base: str) -> str:
    """Return the tag of an image made of these files on this base."""
    return f"labctl-{name}:{sources}-{base}"


def find_built(engine: Engine, name: str, sources: str, base: str) -> str | None:
    """Return the tag of the image that was made of these files; None when it must be built."""
    if base:
        tag = tag_for(name, sources, base)
        return tag if engine.image(tag) else None
    for image in engine.images([f"{labels.IMAGE}={name}", f"{SOURCES}={sources}"]):
        for tag in image.get("RepoTags") or []:
            if str(tag).startswith(f"labctl-{name}:{sources}-"):
                return str(tag)
    return None


def recipe_for(
    name: str, folders: Mapping[str, Path], sources: str, base: str, build_args: Mapping[str, str] | None = None
) -> Recipe:
    """Return the recipe of an image of labctl's; `folders` maps places in the context to folders, "" to its top."""
    top = folders[""]
    return Recipe(
        name=name,
        tag=tag_for(name, sources, base),
        context=archive_of(folders),
        dockerfile=(top / "Dockerfile").read_text(encoding="utf-8"),
        labels={labels.IMAGE: name, SOURCES: sources},
        build_args=dict(build_args or {}),
        where=f"{top.name}/Dockerfile",
    )


def sources_of(folders: Mapping[str, Path], variant: str = "") -> str:
    """Return the digest of all files of the folders; a variant is made of the same files, told apart by its name."""
    return digest_of(folders.values(), variant) if variant else digest_of(folders.values())


def archive_of(folders: Mapping[str, Path]) -> bytes:
    """Return a tar archive of the folders, owned by root, without what Python leaves behind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for place, folder in folders.items():
            for path in sorted(folder.rglob("*")):
                if "__pycache__" not in path.parts:
                    inner = f"{place}/{path.relative_to(folder)}".lstrip("/")
                    archive.add(path, inner, recursive=False, filter=_as_root)
    return buffer.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = CREATED_AT
    return entry
