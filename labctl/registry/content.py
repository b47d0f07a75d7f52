"""What is in a lab's registry: list it, push to it from the host, and let nodes pull from it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.concurrent import each
from labctl.engine import Engine
from labctl.engine.endpoint import talks_to_a_lab
from labctl.errors import EngineRefused, LabctlError, LabError, NotFoundError, UsageError
from labctl.images.distribution import RegistryApi
from labctl.images.names import Reference, parse
from labctl.images.progress import Note, heard, no_note
from labctl.images.upload import ByteStream, push_saved
from labctl.node import Node
from labctl.registry.service import open_registry

__all__ = ["INSIDE", "StoredImage", "catalog", "inside", "load", "pull", "push"]

STANDIN = "labctl.standin"  # label: on a stand-in and on all that is built on one
INSIDE = "registry:5000"  # the registry's name in the lab
TELL_EACH = 4  # MiB between two words on how much has gone
IDLE = 120.0  # seconds without a word after which an engine is given up


@dataclass(frozen=True)
class StoredImage:
    """An image in a registry; `size` is in bytes, as it is stored, `standin` whom it stands in for, if anybody."""

    repository: str
    tag: str
    digest: str
    image_id: str
    size: int
    standin: str = ""

    @property
    def name(self) -> str:
        """What nodes call it."""
        return f"{INSIDE}/{self.repository}:{self.tag}"


def catalog(api: RegistryApi) -> list[StoredImage]:
    """List all that a registry holds, by repository and tag."""
    stored = []
    for repository in sorted(api.repositories()):
        for tag in api.tags(repository):
            found = _stored(api, repository, tag)
            if found is not None:
                stored.append(found)
    return stored


def _stored(api: RegistryApi, repository: str, tag: str) -> StoredImage | None:
    found = api.manifest(repository, tag)
    if found is None:
        return None
    config = json.loads(api.blob(repository, found.image_id)) if found.image_id else {}
    marks = config.get("config", {}).get("Labels") or {}
    return StoredImage(repository, tag, found.digest, found.image_id, found.size, str(marks.get(STANDIN, "")))


def push(engine: Engine, lab: str, name: str, as_name: str = "", note: Note = no_note) -> StoredImage:
    """Push an image of this host's engine to the lab's registry, where it is called as its name is, or `as_name`.

    Returns what nodes can now pull. Raises NotFoundError with the nearest image of this host.
    """
    target = inside(as_name or name)
    parse(name)  # before the engine is asked for something that has no name
    tag = _tag_of(engine, name, "push")
    with contextlib.closing(open_registry(engine, lab)) as api:
        archive = heard(engine.save_images([tag]), f"saving {name}", idle=IDLE)
        push_saved(api, archive, {tag: [target]}, note)
        found = _stored(api, target.repository, target.tag)
    if found is None:
        raise LabError(f"the registry of lab {lab} took {name} and does not have it")
    return found


def inside(name: str) -> Reference:
    """Return where an image goes in the lab's registry: nginx, registry:5000/nginx and 127.0.0.1:5123/nginx alike.

    Raises UsageError for what is no image name.
    """
    reference = parse(name)
    return Reference(INSIDE, reference.repository.removeprefix("library/"), reference.tag)


def pull(nodes: Sequence[Node], name: str, note: Note = no_note) -> None:
    """Let nodes pull an image, all at once, each from the lab's mirror or registry as its name says.

    Raises LabError with the engines' own words, once where they are all of one opinion.
    """
    reference = parse(name)
    spoken = reference.familiar + (f"@{reference.digest}" if reference.digest else "")

    def one(node: Node) -> str:
        try:
            for line in heard(node.engine.pull(spoken), f"the pull of {spoken} on {node.name}", idle=IDLE):
                if line.get("status"):
                    note(f"{node.name}: {line['status']}")
        except EngineRefused as refused:
            return refused.message.rpartition("refused: ")[2]
        return ""

    said = dict(zip([node.name for node in nodes], each(nodes, one), strict=True))
    reasons = dict.fromkeys(reason for reason in said.values() if reason)
    if reasons:
        who = {reason: [name for name, why in said.items() if why == reason] for reason in reasons}
        raise LabError(
            "\n".join(f"{', '.join(names)} cannot pull {spoken}: {reason}" for reason, names in who.items()),
            hint="`labctl image ls` lists what the lab can pull; `labctl image push` adds to it.",
        )


def load(engine: Engine, nodes: Sequence[Node], name: str, note: Note = no_note) -> None:
    """Copy an image of this host's engine straight to nodes, without a registry, all at once.

    Raises NotFoundError when this host has none of the name, UsageError for a file's, and for an image without one.
    """
    tag = _tag_of(engine, name, "load")

    def one(node: Node) -> None:
        sent = _noted(engine.save_images([tag]), lambda size: note(f"{node.name}: {size} MiB sent"))
        stream = io.BufferedReader(ByteStream(sent), 1 << 20)
        for line in heard(node.engine.load_images(stream), f"loading {name} on {node.name}", idle=IDLE):
            note(f"{node.name}: {str(line.get('stream') or line.get('status') or '').strip()}")

    each(nodes, one)


def _noted(chunks: Iterable[bytes], note: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks, with a word on how many MiB have gone: the engine that takes them is silent until it has all."""
    sent = told = 0
    for chunk in chunks:
        yield chunk
        sent += len(chunk)
        if sent >> 20 >= told + TELL_EACH:
            note(told := sent >> 20)


def _tag_of(engine: Engine, name: str, verb: str) -> str:
    """The tag by which this host's engine knows an image: an archive has no other name for it, and so has a node.

    Raises NotFoundError for none, offering the nearest of the user's own images, UsageError for an id or a digest.
    """
    found = engine.image(name)
    if found is None:
        raise _not_there(engine, name)
    tags = [str(tag) for tag in found.get("RepoTags") or []]
    with contextlib.suppress(UsageError):
        if parse(name).familiar in tags and "@" not in name:
            return parse(name).familiar
    word = "digest" if "@" in name else "id"
    if tags:
        hint = f"It is {tags[0]} here: `labctl image {verb} {tags[0]}`."
    else:
        hint = f"Give it a name: `docker tag {name} NAME:TAG`, then `labctl image {verb} NAME:TAG`."
    raise UsageError(f"{name} is the {word} of an image, and a lab's nodes find images by name", hint=hint)


def _not_there(engine: Engine, name: str) -> LabctlError:
    """What is said of a name that this host's engine does not have, with the nearest of the user's own images."""
    if Path(name).is_file():
        told = f"`docker load -i {name}` brings the images of an archive here; `labctl bundle load {name}` a bundle's."
        return UsageError(f"{name} is a file, and no image's name", hint=told)
    tags = [tag for image in engine.images() for tag in image.get("RepoTags") or []]
    known = [tag for tag in tags if "<none>" not in tag and not tag.startswith("labctl-")]
    return NotFoundError("image", name, known, hint=_where(name))


def _where(name: str) -> str:
    if not talks_to_a_lab():
        return "`docker images` lists what this host's engine has."
    last = name.rpartition("/")[2]
    return (
        "In this shell `docker` talks to a node of a lab (`labctl env`), and this host's engine has other images. From "
        f"there: `docker tag {name} registry:5000/{last}` and `docker push registry:5000/{last}`; all nodes pull that."
    )
