"""Exercises: read, played, watched and verified on a lab."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.exercise.catalogue import Entry, entries, find_exercise
    from labctl.exercise.model import Exercise, Fence, Front, LabNeeds, Step
    from labctl.exercise.reading import read_exercise

__all__ = ["Entry", "Exercise", "Fence", "Front", "LabNeeds", "Step", "entries", "find_exercise", "read_exercise"]

WHERE = {
    "Entry": "catalogue",
    "entries": "catalogue",
    "find_exercise": "catalogue",
    "Exercise": "model",
    "Fence": "model",
    "Front": "model",
    "LabNeeds": "model",
    "Step": "model",
    "read_exercise": "reading",
}


def __getattr__(name: str) -> Any:
    """The catalogue, the model and the reader come when they are used."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
