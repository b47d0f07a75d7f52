"""Front matter as pydantic reads it: what each key may be, and every problem of one that is not as it should be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from labctl.exercise.model import Front, LabNeeds, Level, Swarm, Track, check_id

__all__ = ["FrontModel", "LabModel"]


class _Part(BaseModel):
    """Strict about what it is given: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LabModel(_Part):
    """The lab that an exercise needs: so many nodes at least."""

    managers: Annotated[int, Field(ge=1, le=7, description="how many managers, at least")] = 1
    workers: Annotated[int, Field(ge=0, le=100, description="how many workers, at least")] = 2
    spare: Annotated[int, Field(ge=0, le=100, description="how many nodes that are in no swarm")] = 0
    swarm: Swarm = Field("formed", description="empty: init and join are the learner's")


class FrontModel(_Part):
    """The front matter of exercise.md."""

    format: Literal[1] = Field(description="the version of the format; 1")
    id: Annotated[str, AfterValidator(check_id)] = Field(
        description="the exercise's name for the command line, and its folder's"
    )
    title: str = Field(min_length=1, max_length=60, description="what it is called")
    summary: str = Field(min_length=1, max_length=120, description="what a learner gets out of it, in one line")
    level: Level = "beginner"
    minutes: Annotated[int, Field(ge=1, le=180, description="how long it takes a learner")]
    needs: tuple[str, ...] = Field((), description="ids of the exercises to do before")
    lab: LabModel = LabModel()
    images: tuple[str, ...] = Field((), description="the images that it uses")
    ports: dict[str, Annotated[int, Field(ge=1, le=65535)]] = Field(
        default_factory=dict, description="published ports that the learner's browser shall reach, by name"
    )
    track: Track = Field("own", description="what the catalogue lists it under")

    def plain(self) -> Front:
        """The front matter as all else has it."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in FrontModel.model_fields}
        return Front(**{**fields, "lab": LabNeeds(**self.lab.model_dump())})
