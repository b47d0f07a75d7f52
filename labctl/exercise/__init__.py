"""Exercises: read, played, watched and verified on a lab."""

from labctl.exercise.catalogue import Entry, entries, find_exercise
from labctl.exercise.model import Exercise, Fence, Front, LabNeeds, Step
from labctl.exercise.reading import read_exercise

__all__ = ["Entry", "Exercise", "Fence", "Front", "LabNeeds", "Step", "entries", "find_exercise", "read_exercise"]
