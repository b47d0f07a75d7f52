"""lab.yaml or flags -> LabSpec, with the line of every problem."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import SpecError
from labctl.spec.document import BadYaml, Document, Where, load
from labctl.spec.model import Contradictions, LabSpec

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = ["json_schema", "read_file", "read_mapping"]

LARGEST = 256 << 10  # bytes; a lab.yaml has a few hundred
LONGEST_FOUND = 40  # characters of a value in a message
EXPECTED = {
    "tuple": "a list",
    "dict": "keys with values",
    "model": "keys with values",
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
}

Problem = tuple[Where, str]


@dataclass(frozen=True)
class _Origin:
    """Where the parts of a description come from: a file with the lines of its keys, and flags that win over it."""

    source: str
    lines: Mapping[Where, int] = field(default_factory=dict)
    flags: Collection[str] = ()

    def place(self, where: Where) -> str:
        """`file:line` of the innermost part of `where` that the file has."""
        if where and where[0] in self.flags:
            return "the arguments"
        for length in range(len(where), 0, -1):
            if where[:length] in self.lines:
                return f"{self.source}:{self.lines[where[:length]]}"
        return self.source


def read_mapping(given: Mapping[str, Any], *, source: str = "the arguments") -> LabSpec:
    """Make a spec of a plain mapping. Raises SpecError with all problems."""
    return _spec_of(given, _Origin(source), ())


def read_file(
    path: Path, overrides: Mapping[str, Any] | None = None, *, usual: Mapping[str, Any] | None = None
) -> LabSpec:
    """Read a lab.yaml; `overrides` (from flags) win over it, and it over what is `usual`.

    Raises SpecError with all problems and their lines.
    """
    document = _parsed(_text_of(path), path)
    flags = dict(overrides or {})
    merged = {**(usual or {}), **document.value, **flags}
    if {"managers", "workers"} & set(flags):
        merged.pop("nodes", None)
    twice = [f"{path}:{again.line}: {again.problem}" for again in document.twice]
    return _spec_of(merged, _Origin(str(path), document.lines, flags), twice)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of lab.yaml."""
    from labctl.spec.checked import LabModel

    schema = LabModel.model_json_schema(mode="validation")
    _allow_short_ports(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lab.yaml of labctl",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _allow_short_ports(schema: dict[str, Any]) -> None:
    """A port may be written 8080 or "18080:8080/udp" too, which the model turns into its fields."""
    ports = schema["properties"]["ports"]
    ports["items"] = {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"type": "string", "pattern": r"^(\d{1,5}:)?\d{1,5}(/(tcp|udp))?$"},
            ports["items"],
        ]
    }


def _text_of(path: Path) -> str:
    try:
        if path.is_dir():
            raise SpecError([f"{path} is a folder; it should be a lab.yaml"], source=str(path))
        with path.open("rb") as file:  # which may be a pipe, and have no size or no end
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SpecError([f"{path} is larger than {LARGEST >> 10} KiB; that is no lab.yaml"], source=str(path))
        return content.decode()
    except FileNotFoundError:
        hint = "`labctl up --nodes 4` needs no file; `labctl schema` prints what one may say."
        if re.fullmatch(r"[a-z][a-z0-9-]*", str(path)):
            hint = f"`labctl up --name {path}` if that is the lab's name. {hint}"
        raise SpecError([f"{path}: there is no such file"], source=str(path), hint=hint) from None
    except UnicodeDecodeError:
        raise SpecError([f"{path}: this is not text; a lab.yaml is YAML in UTF-8"], source=str(path)) from None
    except OSError as problem:
        raise SpecError([f"{path}: {problem.strerror}"], source=str(path)) from None


def _parsed(text: str, path: Path) -> Document:
    try:
        document = load(text)
    except BadYaml as bad:
        place = f"{path}:{bad.line}" if bad.line is not None else str(path)
        raise SpecError([f"{place}: {bad.problem}"], source=str(path)) from None
    if document.value is None:
        raise SpecError([f"{path}: the file is empty; `managers: 1` and `workers: 3` would be a lab"], source=str(path))
    if not isinstance(document.value, dict):
        said = f"{path}: expected keys like `name:` and `workers:`, found {_shortened(document.value)}"
        raise SpecError([said], source=str(path))
    return document


def _spec_of(given: Mapping[str, Any], origin: _Origin, known_problems: Collection[str]) -> LabSpec:
    spec, problems = _tried(given)
    if spec is None:
        problems += _contradictions_apart_from(problems, given)
    if given.get("nodes") and {"managers", "workers"} & set(given):
        problems.append((("nodes",), "say either nodes, or managers and workers"))
    told = [f"{origin.place(where)}: {_dotted(where)}: {text}" for where, text in problems]
    if spec is None or told or known_problems:
        raise SpecError(list(dict.fromkeys([*known_problems, *told])), source=origin.source)
    return spec


def _dotted(where: Where) -> str:
    parts = (str(part) for part in where)
    return ".".join(part if part.isprintable() else repr(part) for part in parts) or "the lab"


def _tried(given: Mapping[str, Any]) -> tuple[LabSpec | None, list[Problem]]:
    from pydantic import ValidationError

    from labctl.spec.checked import LabModel

    try:
        return LabModel.model_validate(given).plain(), []
    except ValidationError as invalid:
        return None, [problem for error in invalid.errors(include_url=False) for problem in _problems_of(error)]


def _contradictions_apart_from(problems: Collection[Problem], given: Mapping[str, Any]) -> list[Problem]:
    """What contradicts each other in the parts that are right; pydantic looks for it only when all are."""
    wrong = {where for where, _ in problems}
    left, indexes = _without(given, wrong)
    _, found = _tried(left)
    later: list[Problem] = []
    for where, text in found:
        if len(where) > 1 and where[0] in indexes and isinstance(where[1], int):
            where = (where[0], indexes[str(where[0])][where[1]], *where[2:])
        # With a part of it wrong, the whole cannot be judged.
        if not any(inner[: len(where)] == where for inner in wrong):
            later.append((where, text))
    return later


def _without(given: Mapping[str, Any], wrong: Collection[Where]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The description less its wrong parts, and which items are left of each list."""
    inside: dict[Where, set[object]] = defaultdict(set)
    for where in wrong:
        for depth in range(1, len(where)):
            inside[where[:depth]].add(where[depth])
    left: dict[str, Any] = {}
    indexes: dict[str, list[int]] = {}
    for key, value in given.items():
        if (key,) in wrong:
            continue
        if not isinstance(value, list):
            left[key] = _less(value, inside[(key,)])
        else:
            items = [_less(item, inside[(key, index)]) for index, item in enumerate(value)]
            indexes[key] = [i for i, item in enumerate(items) if (key, i) not in wrong and _is_whole(key, item)]
            left[key] = [items[index] for index in indexes[key]]
    return left, indexes


def _less(value: Any, keys: Collection[object]) -> Any:
    """A mapping without some of its keys; of anything else that is wrong inside, nothing."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if key not in keys}
    return None if keys else value


def _is_whole(key: str, item: Any) -> bool:
    needed = {"nodes": {"name"}, "ports": {"target", "host"}}.get(key, set())
    return needed <= set(item) if isinstance(item, dict) else item is not None


def _problems_of(error: ErrorDetails) -> list[Problem]:
    cause: object = error.get("ctx", {}).get("error")
    if isinstance(cause, Contradictions):
        return list(cause.problems)
    return [(error["loc"], _told(error, error["loc"]))]


def _told(error: ErrorDetails, where: Where) -> str:
    kind, text = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"there is no such key{_nearest(str(where[-1]), where[0])}"
    if kind in ("missing", "value_error"):
        return "it is missing" if kind == "missing" else text
    if kind == "too_long":
        most, count = error["ctx"]["max_length"], error["ctx"]["actual_length"]
        return f"{most} is the most, and there are {count}"
    family = kind.split("_")[0]
    if kind.endswith(("_type", "_parsing", "_size", "_from_float", "_number")) and family in EXPECTED:
        text = f"expected {EXPECTED[family]}"
    return f"{text.replace('Input should', 'it should')}, found {_shortened(error['input'])}"


def _nearest(key: str, top: str | int) -> str:
    from labctl.spec.checked import LabModel, NodeModel, PortModel

    models: dict[str, type[BaseModel]] = {"nodes": NodeModel, "ports": PortModel}
    model = models.get(str(top), LabModel)
    near = difflib.get_close_matches(key, list(model.model_fields), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there is {', '.join(model.model_fields)}"


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_FOUND else f"{text[:LONGEST_FOUND]}…"
