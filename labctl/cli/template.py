"""The part of Go's templates that docker-machine's users write: fields, json, prettyjson, and `table`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labctl.errors import UsageError

__all__ = ["HEADINGS", "as_table", "render", "tabulate"]

ACTION = re.compile(r"(\s*)\{\{(-\s)?(.*?)(\s-)?\}\}(\s*)", re.DOTALL)
FIELD = re.compile(r"\.|(\.[A-Za-z_][A-Za-z0-9_-]*)+")
FUNCTIONS = ("json", "prettyjson")
# What docker-machine calls the columns of `ls`.
HEADINGS = {
    "Name": "NAME",
    "Active": "ACTIVE",
    "ActiveHost": "ACTIVE_HOST",
    "ActiveSwarm": "ACTIVE_SWARM",
    "DriverName": "DRIVER",
    "State": "STATE",
    "URL": "URL",
    "Swarm": "SWARM",
    "DockerVersion": "DOCKER",
    "Error": "ERRORS",
    "ResponseTime": "RESPONSE",
}
HINT = "Templates know {{.Field.Inner}}, {{json .Field}} and {{prettyjson .}}."


def render(template: str, value: Any) -> str:
    """Fill the template's `{{...}}` from the value. Raises UsageError for what is no template, or no field."""
    text = ACTION.sub(lambda found: _action(found, value), template)
    if "{{" in ACTION.sub("", template):
        raise UsageError(f"the template {template!r} has a {{{{ that nothing closes", hint=HINT)
    return text


def as_table(template: str, rows: Sequence[Mapping[str, Any]], *, headings: Mapping[str, str] = HEADINGS) -> str:
    """Render a row a line; with `table ` before the template, headings first. Columns are parted by `\\t`."""
    body = template.replace("\\t", "\t").replace("\\n", "\n")
    values: list[Mapping[str, Any]] = list(rows)
    if body.startswith("table "):
        body = body.removeprefix("table ").lstrip()
        values.insert(0, headings)
    return tabulate("".join(render(body, value) + "\n" for value in values))


def tabulate(text: str, *, narrowest: int = 5, padding: int = 3) -> str:
    """Align cells that end with a tab, as Go's text/tabwriter does: the last cell of a line is left as it is."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths = [[0] * (len(cells) - 1) for cells in lines]
    for column in range(max(len(cells) for cells in lines) - 1):
        first = 0
        while first < len(lines):
            # A column is a block of lines that follow each other and have a cell there.
            last = first
            while last < len(lines) and len(lines[last]) - 1 > column:
                last += 1
            block = range(first, last)
            width = max([narrowest, *(len(lines[row][column]) + padding for row in block)])
            for row in block:
                widths[row][column] = width
            first = last + 1
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(cells, [*wide, 0], strict=True))
        for cells, wide in zip(lines, widths, strict=True)
    )


def _action(found: re.Match[str], value: Any) -> str:
    before, trim_before, body, trim_after, after = found.groups()
    text = _shown(_evaluate(body.strip(), value))
    return ("" if trim_before else before) + text + ("" if trim_after else after)


def _evaluate(expression: str, value: Any) -> Any:
    first, *pipes = [part.strip() for part in expression.split("|")]
    words = first.split()
    if not words or len(words) > 2 or (len(words) == 2 and words[0] not in FUNCTIONS):
        raise UsageError(f"the template's {{{{{expression}}}}} is not understood", hint=HINT)
    result = _field(words[-1], value)
    for name in ([words[0]] if len(words) == 2 else []) + pipes:
        if name not in FUNCTIONS:
            raise UsageError(f"the template's function {name!r} is not known", hint=HINT)
        result = json.dumps(result, indent=4 if name == "prettyjson" else None, default=str)
    return result


def _field(path: str, value: Any) -> Any:
    if not FIELD.fullmatch(path):
        raise UsageError(f"the template's {path!r} is no field", hint=HINT)
    for name in filter(None, path.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            there = f"; there is {', '.join(value)}" if isinstance(value, Mapping) else ""
            raise UsageError(f"the template asks for {path}, and there is no {name}{there}")
        value = value[name]
    return value


def _shown(value: Any) -> str:
    """A value as Go prints it."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
        case Mapping():
            return f"map[{' '.join(f'{key}:{_shown(value[key])}' for key in sorted(value))}]"
        case list() | tuple():
            return f"[{' '.join(_shown(item) for item in value)}]"
        case _:
            return str(value)
