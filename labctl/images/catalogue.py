"""The images of this project: one folder each under images/, described by its image.yaml (images/README.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import labctl
from labctl.assets import asset
from labctl.errors import NotFoundError, SpecError, UsageError
from labctl.images.mode import MirrorMode
from labctl.images.names import Reference, parse
from labctl.images.recipes import sources_of
from labctl.spec.document import BadYaml, load
from labctl.spec.shapes import Read, between, each_of, of_kind, read_part, values_of

__all__ = [
    "HOST_ONLY",
    "Catalogue",
    "Image",
    "ImageFile",
    "Variant",
    "folders_of",
    "hub_name",
    "read_catalogue",
    "read_images",
]

# Runs beside the nodes, on the host's engine: no node ever pulls it.
HOST_ONLY = ("services",)
OURS = "labctl/"
FILE = "image.yaml"


@dataclass(frozen=True)
class Variant:
    """The same files built with other arguments, under other names."""

    build_args: dict[str, str]
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImageFile:
    """What an image.yaml says. Names other than labctl/... are somebody else's, for whom a stand-in stands in."""

    format: int
    name: str
    standin: bool
    names: tuple[str, ...]
    summary: str
    versions: str
    variants: Mapping[str, Variant] = field(default_factory=dict)


def folders_of(folder: Path) -> dict[str, Path]:
    """What the image of that folder is made of: the folder, and for the proxy what follows a swarm's ports."""
    own = {"follower": Path(labctl.__file__).parent / "follower"} if folder.name in HOST_ONLY else {}
    return {"": folder, **own}


@dataclass(frozen=True)
class Image:
    """An image that labctl builds. `names` are those that it can be served under."""

    name: str
    folder: Path
    standin: bool
    names: tuple[Reference, ...]
    summary: str = ""
    versions: str = ""
    variant: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)

    def stands_in(self, name: Reference) -> bool:
        """Whether under this name it is taken in somebody else's place."""
        return self.standin and not name.repository.startswith(OURS)

    def served(self, mode: MirrorMode) -> tuple[Reference, ...]:
        """The names that the mirror needs; none for what only the host's engine runs."""
        if self.name in HOST_ONLY:
            return ()
        return tuple(name for name in self.names if mode.uses_standins or not self.stands_in(name))

    def sources(self) -> str:
        """The digest of what it is made of."""
        return sources_of(self.folders(), self.variant)

    def folders(self) -> dict[str, Path]:
        """What it is made of: places in its build context, and the folders that go there."""
        return folders_of(self.folder)


@dataclass(frozen=True)
class Catalogue:
    """All images, by name."""

    images: Mapping[str, Image]

    def find(self, name: str) -> Image:
        """The image that a name means: this project's own (nginx), or one that it is served under (nginx:1.27).

        Raises NotFoundError with the nearest name, UsageError for what is no image name.
        """
        if name in self.images:
            return self.images[name]
        wanted = parse(name)
        for image in self.images.values():
            if wanted.is_hub and any(served.path == wanted.path for served in image.names):
                return image
        raise NotFoundError(
            "image", name, self.known(), hint="`labctl image ls` lists what labctl can build and serve."
        )

    def known(self) -> list[str]:
        """Every name that means an image: the short ones first."""
        served = [reference.familiar for image in self.images.values() for reference in image.names]
        return list(dict.fromkeys([*self.images, *served]))


def read_catalogue(folder: Path | None = None) -> Catalogue:
    """Read all image.yaml files. Raises SpecError with all problems of all files."""
    top = folder or asset("images")
    found: list[Image] = []
    problems: list[str] = []
    for file in sorted(top.glob(f"*/{FILE}")):
        try:
            found += read_images(file.parent)
        except SpecError as wrong:
            problems += wrong.problems
    problems += _twice(found)
    if problems:
        raise SpecError(problems, source=str(top))
    return Catalogue({image.name: image for image in found})


def read_images(folder: Path) -> list[Image]:
    """Read one image.yaml: the image and its variants. Raises SpecError with all its problems."""
    place = f"{folder.name}/{FILE}"
    given = _read(_loaded(folder / FILE), place)
    if given.name != folder.name:
        raise SpecError([f"{place}: name: {given.name!r}, and the folder is {folder.name}"], source=place)
    first = Image(given.name, folder, given.standin, _references(given.names), given.summary, given.versions)
    variants = [
        replace(
            first,
            name=f"{given.name}-{mark}",
            names=_references(variant.names),
            variant=mark,
            build_args=variant.build_args,
        )
        for mark, variant in given.variants.items()
    ]
    return [first, *variants]


def _references(names: Sequence[str]) -> tuple[Reference, ...]:
    return tuple(parse(name) for name in names)


def _loaded(file: Path) -> object:
    try:
        return load(file.read_text(encoding="utf-8")).value
    except (OSError, UnicodeDecodeError, BadYaml) as problem:
        said = str(problem).splitlines()[0]
        raise SpecError([f"{file.parent.name}/{FILE}: {said}"], source=file.name) from None


def _read(said: object, place: str) -> ImageFile:
    try:
        return ImageFile(**read_part(said, IMAGE))
    except (ValueError, TypeError):
        # With it comes pydantic, which tells what is wrong.
        from labctl.images.checked import checked_image

        return checked_image(said, place)


def hub_name(name: str) -> str:
    """The name as it is. Raises ValueError for one that is not Docker Hub's."""
    try:
        if not parse(name).is_hub:
            raise ValueError(f"{name} is no name of Docker Hub")
    except UsageError as problem:
        raise ValueError(problem.message) from None
    return name


NAMES = each_of(of_kind(str, hub_name))
VARIANT: Mapping[str, Read] = {"build_args": values_of(of_kind(str)), "names": NAMES}
IMAGE: Mapping[str, Read] = {
    "format": between(1, 1),
    "name": of_kind(str),
    "standin": of_kind(bool),
    "names": NAMES,
    "variants": values_of(lambda value: Variant(**read_part(value, VARIANT))),
    "summary": of_kind(str),
    "versions": of_kind(str),
}


def _twice(images: Sequence[Image]) -> list[str]:
    """Two images must not have one name, nor be served under one."""
    own = [image.name for image in images]
    problems = [f"{name}: two images have this name" for name in sorted({name for name in own if own.count(name) > 1})]
    owners: dict[str, str] = {}
    for image in images:
        for name in image.names:
            other = owners.setdefault(name.path, image.name)
            if other != image.name:
                problems.append(f"{image.folder.name}/{FILE}: names: {name.familiar} is {other}'s already")
    return problems
