"""lab.yaml or flags -> LabSpec, with the line of every problem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import SpecError
from labctl.spec.model import LabSpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["json_schema", "read_file", "read_mapping"]

LARGEST = 1 << 20  # bytes; a lab.yaml has a few hundred


def read_mapping(given: Mapping[str, Any], *, source: str = "the flags") -> LabSpec:
    """Make a spec of a plain mapping. Raises SpecError with all problems."""
    return _validated(given, source, lines=None)


def read_file(path: Path, overrides: Mapping[str, Any] | None = None) -> LabSpec:
    """Read a lab.yaml; `overrides` (from flags) win. Raises SpecError with all problems and their lines."""
    text = _text_of(path)
    loaded = _parsed(text, path)
    merged = {**loaded, **dict(overrides or {})}
    if overrides and {"managers", "workers"} & set(overrides):
        merged.pop("nodes", None)
    return _validated(merged, str(path), lines=loaded)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of lab.yaml."""
    schema = LabSpec.model_json_schema(mode="validation")
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
        if path.stat().st_size > LARGEST:
            raise SpecError([f"{path} is larger than 1 MiB; that is no lab.yaml"], source=str(path))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"], source=str(path)) from None
    except UnicodeDecodeError:
        raise SpecError([f"{path}: this is not text; a lab.yaml is YAML in UTF-8"], source=str(path)) from None
    except OSError as problem:
        raise SpecError([f"{path}: {problem.strerror}"], source=str(path)) from None


def _parsed(text: str, path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        loaded = YAML(typ="rt").load(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        said = (problem.problem or problem.context or "this is not YAML").split("\n")[0]
        if "\\t" in said:
            said = "a tab; YAML indents with spaces"
        raise SpecError([f"{place}: {said}"], source=str(path)) from None
    except YAMLError as problem:
        raise SpecError([f"{path}: this is not YAML: {str(problem).splitlines()[0]}"], source=str(path)) from None
    if loaded is None:
        raise SpecError([f"{path}: the file is empty; `managers: 1` and `workers: 3` would be a lab"], source=str(path))
    if not isinstance(loaded, dict):
        said = f"{path}: expected keys like `name:` and `workers:`, found a {_kind(loaded)}"
        raise SpecError([said], source=str(path))
    return loaded


def _kind(value: object) -> str:
    names: dict[type, str] = {list: "list", str: "text", bool: "yes or no", int: "number", float: "number"}
    return next((name for base, name in names.items() if isinstance(value, base)), "value")


def _validated(given: Mapping[str, Any], source: str, lines: Any) -> LabSpec:
    from pydantic import ValidationError

    problems = _counts_against_nodes(given, source, lines)
    try:
        spec = LabSpec.model_validate(_plain(given))
    except ValidationError as invalid:
        problems += [_told(error, source, lines) for error in invalid.errors(include_url=False)]
    else:
        if not problems:
            return spec
    raise SpecError(list(dict.fromkeys(problems)), source=source)


def _counts_against_nodes(given: Mapping[str, Any], source: str, lines: Any) -> list[str]:
    if given.get("nodes") and ({"managers", "workers"} & set(given)):
        return [f"{_place(source, lines, ('nodes',))}: say either nodes, or managers and workers"]
    return []


def _plain(value: Any) -> Any:
    """Drop ruamel's own types, which pydantic's strict parts do not know."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    return value


def _told(error: ErrorDetails, source: str, lines: Any) -> str:
    where = tuple(part for part in error["loc"] if isinstance(part, str | int))
    name = ".".join(str(part) for part in where) or "the lab"
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = f"there is no such key{_nearest(str(where[-1]), where[:-1])}"
    elif error["type"].endswith(("_type", "_parsing")):
        text = f"{text[0].lower()}{text[1:]}, found {error['input']!r}"
    else:
        text = text.replace("Input should", "it should")
    return f"{_place(source, lines, where)}: {name}: {text}"


def _nearest(key: str, above: tuple[str | int, ...]) -> str:
    import difflib

    from labctl.spec.model import NodeSpec

    fields = NodeSpec.model_fields if above[:1] == ("nodes",) else LabSpec.model_fields
    near = difflib.get_close_matches(key, list(fields), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there is {', '.join(fields)}"


def _place(source: str, lines: Any, where: tuple[str | int, ...]) -> str:
    """`file:line` of the innermost part of `where` that the file has."""
    line: int | None = None
    here = lines
    for part in where:
        marks = getattr(here, "lc", None)
        try:
            line = (marks.item(part) if isinstance(part, int) else marks.key(part))[0] + 1  # type: ignore[union-attr]  # None is caught below
            here = here[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return f"{source}:{line}" if line is not None else source
