"""Why the manager's CLI did not deploy a stack, and the way out: it depends on what was there before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.engine.errors import INGRESS_HINT, wants_ingress
from labctl.errors import LabctlError, NotYetError, UsageError
from labctl.node import Node
from labctl.swarm.carrying import environment_of
from labctl.swarm.stackfile import StackFile, interpolated, place_of
from labctl.swarm.state import NAMESPACE, SwarmView
from labctl.transport import Result

__all__ = ["FileRefused", "Parts", "paragraphs", "parts_of", "refusal", "told_apart"]

# The CLI's advice on its own flags is no news of the stack.
CHATTER = ("Since --detach=false was not specified", "In a future release, --detach=false")
WARNING = re.compile(r'time="[^"]*" level=warning msg="(?P<text>.*)"')
UNCHANGEABLE = re.compile(
    r"failed to update (?P<kind>secret|config) (?P<name>\S+): .*only updates to Labels are allowed"
)
TAKEN = re.compile(r"network with name (?P<name>\S+) already exists")
NO_NETWORK = re.compile(r'network "(?P<name>[^"]+)" is declared as external, but could not be found')
NO_CONTENT = re.compile(r"(?P<kind>secret|config) not found: (?P<name>\S+)")
FROM_ENGINE = re.compile(r"Error response from daemon: (?:rpc error: code = \w+ desc = )?")


class FileRefused(UsageError):
    """The manager's CLI does not take the file; `cli` is that CLI, with its version."""

    def __init__(self, message: str, *, cli: str) -> None:
        super().__init__(message, hint=f"{cli} said so.")
        self.cli = cli


@dataclass(frozen=True)
class Parts:
    """What the swarm holds of a stack. `runs` are its services; `rest` are networks, secrets and configs."""

    runs: frozenset[str] = frozenset()
    rest: frozenset[str] = frozenset()


def parts_of(view: SwarmView, name: str) -> Parts:
    """All that bears the stack's label, by id."""
    mark = f"{NAMESPACE}={name}"
    rest = {network["Id"] for network in view.engine.networks([mark])}
    for kind in ("secrets", "configs"):
        rest |= {found["ID"] for found in view.engine.swarm_objects(kind, {"label": [mark]})}
    return Parts(frozenset(service.id for service in view.services(stack=name)), frozenset(rest))


def refusal(
    manager: Node, files: Sequence[StackFile], places: Sequence[str], name: str, *, result: Result, before: Parts
) -> LabctlError:
    """The error for a deploy that failed: a file that the CLI does not take is refused by `docker stack config` too.

    It names variables that are not set: Docker's own words tell of what is missing where they stood, at best.
    """
    error = _refusal(manager, files, places, name, result=result, before=before)
    if unset := list(dict.fromkeys(variable for file in files for variable in file.unset)):
        told = (
            f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set: Docker put nothing in the place of that."
        )
        error.hint = f"{told} {error.hint or ''}".rstrip()
    return error


def _refusal(
    manager: Node, files: Sequence[StackFile], places: Sequence[str], name: str, *, result: Result, before: Parts
) -> LabctlError:
    names = dict(zip(places, (file.shown for file in files), strict=True))
    asked = manager.transport.run(
        ["docker", "stack", "config", *(word for place in places for word in ("-c", place))], env=environment_of(files)
    )
    _, said = told_apart((asked if not asked.ok else result).stderr, names)
    said = said or f"exit code {result.code}"
    if not asked.ok:
        version = manager.transport.run(["docker", "--version"]).stdout
        found = re.search(r"version ([\w.]+\w)", version)
        cli = f"The docker command of {manager.name}{f' ({found[1]})' if found else ''}"
        return FileRefused(f"{place_of(files, said)}: {said}", cli=cli)
    said = FROM_ENGINE.sub("", said)
    if found := UNCHANGEABLE.search(result.stderr):
        return _unchangeable(files, name, found["kind"], found["name"])
    way_out = f"{_mend(manager, said)}{_way_out(manager, name, before)}"
    if wants_ingress(said):
        way_out = f"{INGRESS_HINT}. {way_out}"
    return NotYetError(f"stack {name} was not deployed: {said}", hint=way_out)


def _mend(manager: Node, said: str) -> str:
    """What lets the same file be deployed, and a blank; empty where what the swarm said tells all there is."""
    if found := TAKEN.search(said):
        try:
            labels = (manager.engine.network(found["name"]) or {}).get("Labels") or {}
        except LabctlError:
            labels = {}
        owner = f"of stack {labels[NAMESPACE]}" if labels.get(NAMESPACE) else "of nobody's stack"
        return (
            f"{found['name']} is there, and {owner}: `external: true` under `networks:` lets this stack use it, "
            "another `name:` gives it one of its own. "
        )
    if found := NO_NETWORK.search(said):
        return f"`labctl docker -- network create -d overlay {found['name']}` makes it. "
    if found := NO_CONTENT.search(said):
        return f"`labctl docker -- {found['kind']} create {found['name']} FILE` makes it. "
    return ""


def _way_out(manager: Node, name: str, before: Parts) -> str:
    if before.runs:
        return (
            f"Stack {name} was there before, and was not removed: `labctl stack services {name}` shows it. "
            "Deploy again when this is mended."
        )
    try:
        made = parts_of(SwarmView(manager.engine), name)
    except LabctlError:
        made = before
    if made.runs - before.runs or made.rest - before.rest:
        return f"Deploy again when this is mended, or take back what was made of it: `labctl stack rm {name}`."
    return "Nothing was made. Deploy again when this is mended."


def _unchangeable(files: Sequence[StackFile], stack: str, kind: str, name: str) -> NotYetError:
    """A secret or config whose content was changed: it wants another name, which its content gives best."""
    key, own, said, where = _entry(files, stack, f"{kind}s", name)
    real = next((str(ref.path) for file in files for ref in file.references if ref.said == said), said)
    used = re.search(r"\$\{?([A-Za-z_]\w*)", own)
    variable = used[1] if used else f"{re.sub(r'[^A-Za-z0-9]', '_', key).upper()}_HASH"
    if used:
        lines = [f"In {where} its name follows {variable}, which is to follow the content:"]
    else:
        lines = [
            f"A name that follows the content makes a new {kind} each time. In {where}, under `{kind}s:`, write:",
            f"       {key}:",
            f"         name: {own or name}_${{{variable}}}",
            f"         file: {said}",
        ]
    sources = [shlex.quote(file.source) for file in files]
    given = sources[0] if len(files) == 1 else " ".join(f"-c {source}" for source in sources)
    lines += [
        f"     {'' if used else 'then '}`export {variable}=$(sha256sum {shlex.quote(real)} | cut -c1-12)`",
        f"     and `labctl stack deploy {given} {stack}`. What runs keeps the old {kind} until then.",
    ]
    return NotYetError(
        f"stack {stack} was not deployed: {kind} {key} has another content than {name} in the swarm, "
        f"and Swarm changes no {kind}",
        hint="\n".join(lines),
    )


def _entry(files: Sequence[StackFile], stack: str, section: str, name: str) -> tuple[str, str, str, str]:
    """The key that stands for the swarm's name, the name and the file that are written there, and its place."""
    variables = environment_of(files)
    for file in reversed(files):
        found = file.document.value.get(section)
        for key, entry in found.items() if isinstance(found, dict) else ():
            own = str(entry.get("name") or "") if isinstance(entry, dict) else ""
            if name == (interpolated(own, variables) if own else f"{stack}_{key}"):
                line = file.document.line_of((section, key))
                return str(key), own, str(entry.get("file", "FILE")), f"{file.shown}:{line}" if line else file.shown
    return name.removeprefix(f"{stack}_"), "", "FILE", files[-1].shown


def told_apart(text: str, names: dict[str, str]) -> tuple[list[str], str]:
    """What a CLI that failed said on stderr: its warnings, and the error, which comes last.

    `names` are the files' names here, by their paths on the node.
    """
    for place, name in names.items():
        text = text.replace(place, name)
    *warnings, error = paragraphs(text) or [""]
    return warnings, error


def paragraphs(text: str) -> list[str]:
    """What the CLI said on stderr, each thing in one line, without its advice on its own flags.

    A list's head (`1 error(s) decoding:`) and its points (`* error decoding ...`) are one thing.
    """
    kept = "\n".join(line for line in text.splitlines() if not line.startswith(CHATTER))
    kept = WARNING.sub(lambda found: f"\n{found['text']}\n", kept)
    found = re.split(r"\n\s*\n(?!\w+: .*deprecated|\s*\* )|\n(?=image )", kept)
    return [" ".join(paragraph.split()) for paragraph in found if paragraph.strip()]
