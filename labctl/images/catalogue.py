"""The images of this project: one folder each under images/, described by its image.yaml (images/README.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

import labctl
from labctl.assets import asset
from labctl.errors import NotFoundError, SpecError, UsageError
from labctl.images.mode import MirrorMode
from labctl.images.names import Reference, parse
from labctl.images.recipes import sources_of

__all__ = ["HOST_ONLY", "Catalogue", "Image", "folders_of", "read_catalogue", "read_images"]

# Runs beside the nodes, on the host's engine: no node ever pulls it.
HOST_ONLY = ("services",)
OURS = "labctl/"
FILE = "image.yaml"


class Model(BaseModel):
    """Strict about what it is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _hub_name(name: str) -> str:
    try:
        if not parse(name).is_hub:
            raise ValueError(f"{name} is no name of Docker Hub")
    except UsageError as problem:
        raise ValueError(problem.message) from None
    return name


HubName = Annotated[str, AfterValidator(_hub_name)]


class Variant(Model):
    """The same files built with other arguments, under other names."""

    build_args: dict[str, str]
    names: tuple[HubName, ...]


class ImageFile(Model):
    """What an image.yaml says. Names other than labctl/... are somebody else's, for whom a stand-in stands in."""

    format: Literal[1]
    name: str
    standin: bool
    names: tuple[HubName, ...]
    variants: dict[str, Variant] = {}
    summary: str
    versions: str


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
    try:
        given = ImageFile.model_validate(_loaded(folder / FILE))
    except ValidationError as invalid:
        lines = [f"{place}: {'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in invalid.errors()]
        raise SpecError(lines, source=place) from None
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


def _loaded(file: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as problem:
        said = str(problem).splitlines()[0]
        raise SpecError([f"{file.parent.name}/{FILE}: {said}"], source=file.name) from None


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
