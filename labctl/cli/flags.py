"""What `up` is to make: the flags, the file and the lab that stands, as one spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.common import App, file_or_stdin
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.spec import LabSpec

__all__ = ["merged", "option_pair", "spec_and_reader", "spec_from"]

SpecOf = Callable[["LabRecord | None"], "LabSpec"]
FILES = ("lab.yaml", "lab.yml")


def spec_from(app: App, file: Path | None, flags: dict[str, Any]) -> LabSpec:
    """Return the spec that the file and the flags describe; the standing lab's own where neither says anything."""
    return spec_and_reader(app, file, flags)[0]


def spec_and_reader(app: App, file: Path | None, flags: dict[str, Any]) -> tuple[LabSpec, SpecOf]:
    """Return that spec, and what makes it of the lab as it stands: to be asked again while the lab is held."""
    from labctl.spec import read_file, read_mapping
    from labctl.state import labs_of_machines

    given = _given(app, flags)
    if file is None:
        file = next((Path(name) for name in FILES if Path(name).is_file()), None)
    if file is not None:
        usual = {"name": given.pop("name")} if app.lab_is_ambient and not flags["name"] and "name" in given else {}
        described = read_file(file_or_stdin(file), given, usual=usual)
        return described, lambda _: described
    # What is said of a lab of virtual machines need not say again that it is one.
    usual = {"backend": "vagrant"} if given.get("name", "lab") in labs_of_machines() else {}
    wanted = read_mapping({**usual, **given})

    def of(record: LabRecord | None) -> LabSpec:
        if record is None or record.spec is None:
            return wanted if not usual else read_mapping(given)
        return read_mapping(merged(record.spec, given))

    return of(app.context.holding(wanted.name).find(wanted.name)), of


def merged(standing: LabSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a lab that stands shall be when these flags are given: what it was, and what they add or change."""
    from labctl.spec import PortSpec, as_noted

    whole = as_noted(standing)
    if given.get("backend", standing.backend) != standing.backend:
        # That it is of another kind will be told; what only one kind has would be complained of first.
        whole = {key: value for key, value in whole.items() if key not in ("provider", "box", "privileged_tasks")}
    if {"managers", "workers"} & set(given):
        whole.pop("nodes", None)
        given = _with_bare_nodes(standing, given)
    for key, value in given.items():
        if isinstance(value, dict):
            whole[key] = {**whole.get(key, {}), **value}
        elif isinstance(value, list):
            whole[key] = [*whole.get(key, []), *(one for one in value if one not in whole.get(key, []))]
        else:
            whole[key] = value
    if "ports" in given:
        # The same port said again, in its short form, is the same port.
        ports = (PortSpec(**one) if isinstance(one, dict) else PortSpec.parse(str(one)) for one in whole["ports"])
        whole["ports"] = list(dict.fromkeys(map(str, ports)))
    return whole


def _with_bare_nodes(standing: LabSpec, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is counted is the swarm: engines that somebody made beside it stay as they are."""
    from labctl.spec import as_noted, read_mapping

    bare = [node for node in standing.nodes if node.swarm == "bare"]
    if not bare:
        return given
    counts = {key: given[key] for key in ("managers", "workers") if key in given}
    nodes = [*read_mapping({"name": standing.name, **counts}).all_nodes(), *bare]
    others = {key: value for key, value in given.items() if key not in counts}
    return {**others, "nodes": [as_noted(node) for node in nodes]}


def _given(app: App, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as keys of the spec. Raises UsageError for an empty name."""
    plain = ("backend", "provider", "box", "cpus", "memory", "subnet")
    given: dict[str, Any] = {key: flags[key] for key in plain if flags.get(key) is not None}
    if flags["name"] == "":
        raise UsageError(
            "--name is empty", hint="Is a variable of your shell not set? Leave it out for a lab called lab."
        )
    if flags["name"] and app.lab_name not in (None, flags["name"]) and not app.lab_is_ambient:
        raise UsageError(f"-l {app.lab_name} and --name {flags['name']}: which of them is meant?")
    if name := flags["name"] or app.lab_name:
        given["name"] = name
    given |= _counts(flags["nodes"], flags["managers"], flags["workers"])
    given |= {key: list(flags[key]) for key in ("ports", "images") if flags[key]}
    if flags["labels"]:
        given["node_labels"] = _labels(flags["labels"])
    if flags["engine_opt"]:
        given["engine"] = dict(option_pair(pair) for pair in flags["engine_opt"])
    if flags["no_swarm"]:
        given["swarm"] = "empty"
    if flags["no_registry"]:
        given["registry"] = False
    given |= {key: True for key in ("bare_names", "privileged_tasks") if flags[key]}
    return given


def _counts(nodes: int | None, managers: int | None, workers: int | None) -> dict[str, int]:
    if nodes is None:
        return {key: value for key, value in (("managers", managers), ("workers", workers)) if value is not None}
    if workers is not None:
        raise UsageError("say either --nodes or --workers", hint="--nodes counts the managers too.")
    if nodes < 1:
        raise UsageError(f"--nodes {nodes}: a lab has at least one node")
    first = 1 if managers is None else managers
    if first > nodes:
        raise UsageError(f"--managers {first} is more than --nodes {nodes}")
    return {"managers": first, "workers": nodes - first}


def _labels(pairs: tuple[str, ...]) -> dict[str, dict[str, str]]:
    labels: dict[str, dict[str, str]] = {}
    for pair in pairs:
        # A filter may hold a colon itself (@worker:0), so the key is what follows the last one before "=".
        head, equals, value = pair.partition("=")
        pattern, colon, key = head.rpartition(":")
        if not (equals and colon and pattern and key):
            raise UsageError(f"--label {pair}: expected FILTER:KEY=VALUE, for example @worker:0:ssd=true")
        labels.setdefault(pattern, {})[key] = value
    return labels


def option_pair(pair: str) -> tuple[str, Any]:
    """Read `KEY=VALUE` for daemon.json; a value that is JSON is taken as that. Raises UsageError."""
    import json

    key, equals, value = pair.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--engine-opt {pair}: expected KEY=VALUE, for example log-level=debug")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
