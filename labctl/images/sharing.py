"""The steps that several Dockerfiles begin with. Built once and first, they become one layer that nodes pull once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labctl.images.building import instruction_lines

__all__ = ["shared_beginnings"]

# From here on a step depends on the image's own files or arguments.
OWN_STEPS = ("COPY", "ADD", "ARG")


def shared_beginnings(dockerfiles: Mapping[str, str]) -> list[str]:
    """Return the longest common beginnings of any two or more Dockerfiles, the shorter ones first.

    `dockerfiles` maps a name to a Dockerfile's text. What is alike is alike to the letter, as the engine's
    cache compares it.
    """
    beginnings = [_beginning(text) for text in dockerfiles.values()]
    shared = {_common(one, other) for number, one in enumerate(beginnings) for other in beginnings[number + 1 :]}
    worth_it = sorted((steps for steps in shared if len(steps) > 1), key=lambda steps: (len(steps), steps))
    return ["\n".join(steps) + "\n" for steps in worth_it]


def _beginning(text: str) -> tuple[str, ...]:
    """The instructions before the first that is the image's own; of the first stage only."""
    lines = text.splitlines()
    starts = [number - 1 for number in instruction_lines(text)]
    steps: list[str] = []
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(lines)
        step = _without_comments(lines[start:end])
        word = step.split(maxsplit=1)[0].upper()
        if word in OWN_STEPS or (word == "FROM" and steps):
            break
        steps.append(step)
    return tuple(steps)


def _without_comments(lines: Sequence[str]) -> str:
    return "\n".join(line for line in lines if line.strip() and not line.strip().startswith("#"))


def _common(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    steps = []
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        steps.append(mine)
    return tuple(steps)
