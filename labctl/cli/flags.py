"""What `up` is to make: the flags, the file and the lab that stands, as one spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.common import App, file_or_stdin
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.lab.wanted import SpecOf
    from labctl.spec import LabSpec

__all__ = ["option_pair", "spec_and_reader", "spec_from"]

FILES = ("lab.yaml", "lab.yml")


def spec_from(app: App, file: Path | None, flags: dict[str, Any]) -> LabSpec:
    """Return the spec that the file and the flags describe; the standing lab's own where neither says anything."""
    return spec_and_reader(app, file, flags)[0]


def spec_and_reader(app: App, file: Path | None, flags: dict[str, Any]) -> tuple[LabSpec, SpecOf]:
    """Return that spec, and what makes it of the lab as it stands: to be asked again while the lab is held."""
    from labctl.lab.wanted import wanted

    given = _given(app, flags)
    if file is None:
        file = next((Path(name) for name in FILES if Path(name).is_file()), None)
    if file is None:
        return wanted(app.context, None, given)
    usual = {"name": given.pop("name")} if app.lab_is_ambient and not flags["name"] and "name" in given else {}
    return wanted(app.context, file_or_stdin(file), given, usual=usual)


def _given(app: App, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as keys of the spec. Raises UsageError for an empty name."""
    from labctl.lab.wanted import counts

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
    given |= counts(flags["nodes"], flags["managers"], flags["workers"], flag="--")
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
