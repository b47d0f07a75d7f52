"""Reading what is well formed without pydantic, which takes long to load: each reader takes a value and gives it back.

Where a value is not as it should be, ValueError is all that is told: whoever reads for a person then lets pydantic read
it, which tells what is wrong with it and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

__all__ = ["Read", "between", "each_of", "of_kind", "one_of", "read_part", "values_of"]

Read = Callable[[Any], Any]


def read_part(said: object, how: Mapping[str, Read]) -> dict[str, Any]:
    """Read a mapping key by key; a key that `how` does not have is refused."""
    if not isinstance(said, Mapping) or not set(said) <= set(how):
        raise ValueError("there is no such key")
    return {key: how[key](value) for key, value in said.items()}


def of_kind(kind: type, check: Read = lambda value: value) -> Read:
    """Just this kind of value, and what `check` makes of it."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return check(value)

    return read


def one_of(words: object) -> Read:
    """One of a Literal's words."""
    known = get_args(words)

    def read(value: Any) -> Any:
        if value not in known:
            raise ValueError(f"{value!r} is none of {known}")
        return value

    return read


def between(least: int, most: int) -> Read:
    """A whole number in these bounds."""

    def check(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(f"{value} is not between {least} and {most}")
        return value

    return of_kind(int, check)


def each_of(read: Read, most: int | None = None) -> Read:
    """A list as a tuple, each item read; `most` is how many it may have."""

    def whole(value: Sequence[Any]) -> tuple[Any, ...]:
        if most is not None and len(value) > most:
            raise ValueError(f"{most} is the most")
        return tuple(map(read, value))

    return of_kind(list, whole)


def values_of(read: Read) -> Read:
    """Keys that are text, each value read."""
    return of_kind(dict, lambda value: {of_kind(str)(key): read(inner) for key, inner in value.items()})
