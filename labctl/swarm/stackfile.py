"""What a stack file refers to outside of itself, so that it can travel with it.

The file is not understood here: `docker stack deploy` does that. Only the files that it names (env_file, and `file:`
of secrets and configs) and the variables that it takes from the environment are looked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import UsageError
from labctl.spec.document import BadYaml, Document, Where, load

__all__ = ["Reference", "StackFile", "interpolated", "place_of", "read_stack_file", "read_stack_files"]

LARGEST = 1 << 20  # bytes of a stack file; they have a few thousand
HINT = "docs.docker.com/reference/compose-file tells what a stack file may say."
PATHS = "Paths count from the stack file's own folder."
VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})")


@dataclass(frozen=True)
class Reference:
    """A file that the stack file names: `said` as it stands there, `path` where it is on this machine."""

    said: str
    path: Path


@dataclass(frozen=True)
class StackFile:
    """A stack file with all that it needs. `folder` is what its relative paths start from.

    `environment` holds the variables that it takes from the user's; `binds` are the host folders that it mounts by a
    relative path, which no node has. `source` is the file as it was named to labctl, "-" for what came by a pipe; a
    text has the `name` docker-stack.yml on a node.
    """

    name: str
    text: str
    folder: Path
    services: tuple[str, ...]
    references: tuple[Reference, ...]
    environment: Mapping[str, str]
    binds: tuple[str, ...]
    document: Document
    unset: tuple[str, ...] = ()  # variables without a value or a default: Docker puts nothing in their place
    source: str = ""

    def place_of(self, complaint: str) -> str:
        """`file:line` of what the Docker CLI complains of ("services.a Additional property foo ..."); the file else."""
        return place_of([self], complaint)

    @property
    def shown(self) -> str:
        """What messages call it."""
        return Path(self.source).name or self.name

    def depth(self, where: Where) -> int:
        """How many parts of a place in a stack file this one has: 3 of services, a, image where it has them all."""
        return next((n for n in range(len(where), 0, -1) if where[:n] in self.document.lines), 0)

    @property
    def top(self) -> Path:
        """The innermost folder that holds the stack file and all that it names by a relative path."""
        near = [_normal(self.folder / ref.said).parent for ref in self.references if not Path(ref.said).is_absolute()]
        return Path(os.path.commonpath([self.folder, *near]))


def place_of(files: Sequence[StackFile], complaint: str) -> str:
    """`file:line` of what the Docker CLI complains of, in the last of the files that says it; the first file else."""
    path, _, rest = complaint.partition(" ")
    found = re.match(r"Additional property (\S+)", rest)
    where = (*path.split("."), *([found[1]] if found else []))
    best = max(reversed(files), key=lambda file: file.depth(where))
    line = best.document.line_of(where) if len(where) > 1 else None
    return f"{best.shown}:{line}" if line else files[0].shown


def read_stack_files(
    paths: Sequence[Path], environment: Mapping[str, str], *, text: str | None = None
) -> list[StackFile]:
    """Read the files that make up one stack; as with Docker, paths in all of them count from the first one's folder.

    Raises UsageError as `read_stack_file` does. A secret's or config's file counts where it is named last.
    """
    if len(paths) == 1:
        return [read_stack_file(paths[0], environment, text=text)]
    folder = _normal(Path.cwd() / paths[0]).parent
    found: list[StackFile] = []
    replaced: set[tuple[str, str]] = set()
    for path in reversed(paths):
        one = read_stack_file(path, environment, folder=folder, replaced=replaced)
        replaced |= {
            (kind, name)
            for kind in ("secrets", "configs")
            for name, entry in _mappings(one.document.value.get(kind))
            if "file" in entry
        }
        found.insert(0, one)
    if not any(file.services for file in found):
        raise UsageError(f"{', '.join(map(str, paths))}: they define no services, so nothing would run", hint=HINT)
    return found


def read_stack_file(
    path: Path,
    environment: Mapping[str, str],
    *,
    text: str | None = None,
    folder: Path | None = None,
    replaced: Collection[tuple[str, str]] = (),
) -> StackFile:
    """Read a stack file and find what it refers to; `text` is its content where it came by a pipe.

    One of several files has the `folder` of the first, need not name services, and may name files of secrets and
    configs that another file has `replaced`. Raises UsageError with every problem and its line.
    """
    content = _content(path) if text is None else text
    try:
        document = load(content)
    except BadYaml as bad:
        raise UsageError(f"{_place(path, bad.line)}: {bad.problem}", hint=HINT) from None
    problems = [f"{_place(path, twice.line)}: {twice.problem}" for twice in document.twice]
    services = document.value.get("services") if isinstance(document.value, dict) else None
    if folder is not None and services is None and isinstance(document.value, dict):
        services = {}
    elif not isinstance(services, dict) or not services:
        raise UsageError("\n".join([*problems, f"{path}: it defines no services, so nothing would run"]), hint=HINT)
    folder = folder or _normal(Path.cwd() / path).parent
    references, missing = _references(path, document, folder, environment, replaced)
    if problems or missing:
        raise UsageError("\n".join(problems + missing), hint=PATHS if missing else HINT)
    return StackFile(
        name=path.name if text is None else "docker-stack.yml",
        source=str(path),
        text=content,
        folder=folder,
        services=tuple(str(name) for name in services),
        references=references,
        environment=_taken(content, services, environment, _bare_names(document.value, folder, environment)),
        binds=tuple(_relative_binds(services)),
        document=document,
        unset=_unset(document.value, environment),
    )


def _references(
    path: Path, document: Document, folder: Path, environment: Mapping[str, str], replaced: Collection[tuple[str, str]]
) -> tuple[tuple[Reference, ...], list[str]]:
    """The files that the document names, and a line about each that is not there."""
    found: dict[str, Reference] = {}
    problems: list[str] = []
    for where, what, said in _named_files(document.value):
        if where[:2] in replaced:
            continue
        real = interpolated(said, environment)
        file = Path(real) if Path(real).is_absolute() else folder / real
        if file.is_file():
            found[real] = Reference(real, file)
        else:
            kind = "a folder, not a file" if file.is_dir() else "not a regular file" if file.exists() else "missing"
            problems.append(f"{_place(path, document.line_of(where))}: {what} is in {said}, which is {kind}")
    return tuple(found.values()), problems


def _content(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a stack file")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} is larger than 1 MiB: that is no stack file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint=_neighbours(path)) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text; a stack file is YAML in UTF-8") from None
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}") from None


def _neighbours(path: Path) -> str | None:
    folder = path.parent
    found = sorted(entry.name for entry in folder.glob("*.y*ml")) if folder.is_dir() else []
    return f"{folder} holds {', '.join(found[:5])}." if found else None


def _named_files(stack: Mapping[str, Any]) -> Iterator[tuple[Where, str, str]]:
    """Each file that is named: where in the document, what it is for, and the path as it stands there."""
    for name, service in _mappings(stack.get("services")):
        given = service.get("env_file")
        for number, entry in enumerate(given if isinstance(given, list) else [given]):
            said = entry.get("path") if isinstance(entry, dict) else entry
            if isinstance(said, str) and not (isinstance(entry, dict) and entry.get("required") is False):
                where: Where = ("services", name, "env_file", number) if isinstance(given, list) else (
                    "services", name, "env_file",
                )  # fmt: skip
                yield where, f"the environment of {name}", said
    for kind in ("secrets", "configs"):
        for name, entry in _mappings(stack.get(kind)):
            said = entry.get("file")
            if isinstance(said, str):
                yield (kind, name, "file"), f"the {kind[:-1]} {name}", said


def _mappings(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, dict):
            yield str(name), inner


def _bare_names(stack: Mapping[str, Any], folder: Path, environment: Mapping[str, str]) -> set[str]:
    """The names without a value in the files that `env_file` names: Docker's CLI takes them from the environment."""
    names: set[str] = set()
    for where, _, said in _named_files(stack):
        file = folder / interpolated(said, environment)
        if where[0] == "services" and file.is_file():
            lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            names |= {line.strip() for line in lines if "=" not in line and not line.lstrip().startswith("#")}
    return names


def _taken(
    content: str, services: Mapping[str, Any], environment: Mapping[str, str], bare: Collection[str]
) -> dict[str, str]:
    """The variables of the user's that the stack refers to: by ${NAME}, or by a bare NAME.

    Such names stand under `environment`, or in an env_file (`bare`).
    """
    names = {found[1] or found[2] for found in VARIABLE.finditer(content)} | set(bare)
    for _, service in _mappings(services):
        given = service.get("environment")
        if isinstance(given, list):
            names |= {entry for entry in given if isinstance(entry, str) and "=" not in entry}
        elif isinstance(given, dict):
            names |= {str(key) for key, value in given.items() if value is None}
    return {name: environment[name] for name in sorted(filter(None, names)) if name in environment}


def _unset(stack: object, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that the file's values refer to, that nobody has set, and that have no default."""
    bare = {found[1] or found[2] for text in _texts(stack) for found in VARIABLE.finditer(text) if not found[3]}
    return tuple(sorted(name for name in bare if name and name not in environment))


def _texts(value: object) -> Iterator[str]:
    """Every text below a value; keys are none, Docker leaves them as they are."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Fill in variables as Docker does, for finding files; what is unset and has no default is empty."""

    def value(found: re.Match[str]) -> str:
        name, operator, other = found[1] or found[2], found[3] or "", found[4] or ""
        if name is None:
            return "$"
        known = environment.get(name)
        present = bool(known) if operator.startswith(":") else known is not None
        if operator.endswith("+"):
            return other if present else ""
        return (known or "") if present or not operator.endswith("-") else other

    return VARIABLE.sub(value, text)


def _relative_binds(services: Mapping[str, Any]) -> Iterator[str]:
    for _, service in _mappings(services):
        given = service.get("volumes")
        for entry in given if isinstance(given, list) else ():
            if isinstance(entry, dict):
                source = entry.get("source") if entry.get("type") == "bind" else None
            else:
                source = str(entry).partition(":")[0]
            if isinstance(source, str) and source.startswith((".", "~")):
                yield source


def _place(path: Path, line: int | None) -> str:
    return f"{path}:{line}" if line is not None else str(path)


def _normal(path: Path) -> Path:
    """The path without `..`, as Docker has it: by its text, not by where links lead."""
    return Path(os.path.normpath(path))
