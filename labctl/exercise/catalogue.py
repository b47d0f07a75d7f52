"""Which exercises there are: those that labctl ships, and those in folders that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from labctl.assets import asset
from labctl.errors import NotFoundError, SpecError
from labctl.exercise.language import text_file
from labctl.exercise.model import Exercise, Track
from labctl.exercise.progress import done_ever
from labctl.exercise.reading import read_exercise

__all__ = [
    "Entry",
    "entries",
    "find_exercise",
    "first_to_do",
    "holds_exercises",
    "ids_around",
    "in_order",
    "is_exercise",
    "next_after",
]


@dataclass(frozen=True)
class Entry:
    """An exercise of the catalogue; `problem` says why it cannot be read."""

    id: str
    folder: Path
    exercise: Exercise | None
    problem: str = ""


def is_exercise(folder: Path) -> bool:
    """Whether a folder holds an exercise."""
    return (folder / "exercise.md").is_file()


def holds_exercises(folder: Path) -> bool:
    """Whether a folder is one of an exercise, or of exercises."""
    return is_exercise(folder) or any(is_exercise(inner) for inner in folder.iterdir())


def find_exercise(name: str, folders: Sequence[Path] = ()) -> Exercise:
    """The exercise of that id, else in the folder of that path. Folders named by the user win over what is shipped.

    Raises NotFoundError with the nearest id, SpecError when it is there and cannot be read.
    """
    known = {folder.name: folder for folder in reversed(_all(folders))}
    if name in known:
        return read_exercise(known[name])
    if is_exercise(Path(name)):
        return read_exercise(Path(name))
    own = "one of your own is named by its folder (./my-exercise)"
    raise NotFoundError("exercise", name, known, hint=f"`labctl exercise list` shows all; {own}.")


def entries(folders: Sequence[Path] = ()) -> list[Entry]:
    """All exercises by id, also those that cannot be read."""
    found: dict[str, Entry] = {}
    for folder in _all(folders):
        if folder.name not in found:
            found[folder.name] = _entry(folder)
    return sorted(found.values(), key=lambda entry: entry.id)


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """The catalogue as it is to be learned: by track, and in it each exercise behind those that it builds on."""
    tracks = {name: number for number, name in enumerate(get_args(Track))}
    known = {entry.id: entry for entry in entries}
    placed: list[Entry] = []

    def place(entry: Entry, above: tuple[str, ...] = ()) -> None:
        for needed in entry.exercise.front.needs if entry.exercise else ():
            if needed in known and needed not in above:
                place(known[needed], (*above, entry.id))
        if entry not in placed:
            placed.append(entry)

    def rank(entry: Entry) -> tuple[int, int, str]:
        front = entry.exercise.front if entry.exercise else None
        return (tracks[front.track] if front else len(tracks), len(front.needs) if front else 0, entry.id)

    for entry in sorted(entries, key=rank):
        place(entry)
    return sorted(placed, key=lambda entry: rank(entry)[0])


def first_to_do(entries: Sequence[Entry]) -> Entry | None:
    """The first exercise that the user has not finished; None where all are."""
    for entry in in_order(entries):
        if entry.exercise and {step.id for step in entry.exercise.required} - done_ever(entry.id).keys():
            return entry
    return None


def next_after(entries: Sequence[Entry], id_: str) -> str:
    """The exercise to do after that one, of those that the user has not begun; empty where there is none.

    One of its track that builds on it comes first, then one that the list has below it there, then those of others.
    """
    ordered = [entry.exercise for entry in in_order(entries) if entry.exercise]
    done = next((number for number, one in enumerate(ordered) if one.id == id_), len(ordered))
    track = ordered[done].front.track if done < len(ordered) else ""
    builds = [one for one in ordered if id_ in one.front.needs]
    near = [one for one in builds if one.front.track == track]
    below = [one for one in ordered[done + 1 :] if one.front.track == track]
    return next((one.id for one in (*near, *below, *builds) if not done_ever(one.id)), "")


def _entry(folder: Path) -> Entry:
    try:
        # Whether a translation lags behind is asked where the exercise is begun: it costs reading the original too.
        return Entry(folder.name, folder, read_exercise(folder, text_file(folder)))
    except SpecError as bad:
        return Entry(folder.name, folder, None, bad.problems[0])


def ids_around(folder: Path) -> set[str]:
    """The ids that an exercise may name as needed: those that labctl ships, and those in the folders beside it."""
    beside = [inner for inner in folder.resolve().parent.iterdir() if is_exercise(inner)]
    return {one.name for one in (*_all(()), *beside)} - {folder.resolve().name}


def _all(folders: Sequence[Path]) -> list[Path]:
    """Every folder that holds an exercise, the user's first; a folder named may itself be one."""
    found: list[Path] = []
    for top in (*folders, asset("exercises")):
        if is_exercise(top):
            found.append(top.resolve())
        elif top.is_dir():
            found += sorted(inner for inner in top.resolve().iterdir() if is_exercise(inner))
        else:
            raise NotFoundError("folder", str(top), ())
    return found
