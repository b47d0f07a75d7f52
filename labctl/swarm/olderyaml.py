"""A stack file as a CLI reads it that is older than the user's: Debian's 26.1 on the nodes.

That one refuses a `version` that it does not know, which Compose and newer CLIs ignore, and takes a bare y, n, yes, no,
on or off for true or false (YAML 1.1) where names and texts stand: `networks: {n: }`. Lines stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["for_older_cli"]

KNOWN_VERSION = re.compile(r"3(\.([0-9]|1[0-2]))?")
VERSION_LINE = re.compile(
    r"""^(["']?)version\1[ \t]*:[ \t]*(["']?)(?P<version>[^"'#\s]+)\2[ \t]*(#.*)?$""", re.MULTILINE
)
BARE_WORDS = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)
# Where values are texts, and never true or false.
TEXTS = {"environment", "labels", "args", "driver_opts", "options"}


def for_older_cli(text: str) -> tuple[str, str | None]:
    """Return the text of a stack file for a node's CLI, and the version that was left out of it."""
    for start, end in reversed(list(_bare(text))):
        text = f'{text[:start]}"{text[start:end]}"{text[end:]}'
    found = VERSION_LINE.search(text)
    if found is None or KNOWN_VERSION.fullmatch(found["version"]):
        return text, None
    return f"{text[: found.start()]}# {text[found.start() :]}", found["version"]


def _bare(text: str) -> Iterator[tuple[int, int]]:
    """Where the words stand that the older CLI would take for true or false, though a text is meant."""
    from ruamel.yaml import YAML

    # Of each open mapping: its name, and the key whose value comes next; of each open list: its name, and None.
    above: list[tuple[str, str | None, bool]] = []
    for event in YAML(typ="safe", pure=True).parse(text):
        kind = type(event).__name__.removesuffix("Event")
        if kind in ("MappingEnd", "SequenceEnd"):
            above.pop()
            continue
        if kind not in ("Scalar", "Alias", "MappingStart", "SequenceStart"):
            continue
        name, key, is_list = above[-1] if above else ("", None, False)
        is_key = bool(above) and not is_list and key is None
        if kind == "Scalar" and (is_key or is_list or name in TEXTS) and _is_bare(event):
            yield event.start_mark.index, event.end_mark.index
        if above and not is_list:
            above[-1] = (name, str(getattr(event, "value", "")) if is_key else None, False)
        if kind in ("MappingStart", "SequenceStart"):
            above.append((key or "", None, kind == "SequenceStart"))


def _is_bare(event: Any) -> bool:
    return event.style is None and not event.tag and bool(BARE_WORDS.fullmatch(event.value))
