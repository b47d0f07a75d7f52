"""An image.yaml that is not as it should be, read by pydantic: every problem is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from labctl.errors import SpecError
from labctl.images.catalogue import ImageFile, Variant, hub_name

__all__ = ["checked_image"]


class Model(BaseModel):
    """Strict about what it is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)


HubName = Annotated[str, AfterValidator(hub_name)]


class VariantModel(Model):
    """See Variant."""

    build_args: dict[str, str]
    names: tuple[HubName, ...]


class ImageModel(Model):
    """See ImageFile."""

    format: Literal[1]
    name: str
    standin: bool
    names: tuple[HubName, ...]
    variants: dict[str, VariantModel] = {}
    summary: str
    versions: str


def checked_image(said: object, place: str) -> ImageFile:
    """Read what the image.yaml at that place says. Raises SpecError with all its problems."""
    try:
        found = ImageModel.model_validate(said)
    except ValidationError as invalid:
        lines = [f"{place}: {'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in invalid.errors()]
        raise SpecError(lines, source=place) from None
    fields = {name: getattr(found, name) for name in ImageModel.model_fields}
    variants = {mark: Variant(one.build_args, one.names) for mark, one in found.variants.items()}
    return ImageFile(**{**fields, "variants": variants})
