"""up, down, status, verify, labs: the lab as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import (
    App,
    complete_labs,
    complete_nodes,
    file_or_stdin,
    lab_command,
    output_option,
    print_json,
    table,
)
from labctl.cli.hints import named_lab, note_lab, with_lab
from labctl.errors import NotFoundError, UsageError
from labctl.spec.choices import PROVIDERS
from labctl.words import counted, some

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.lab import LabStatus
    from labctl.spec import LabSpec

__all__ = ["down", "labs", "status", "up", "verify_"]

FILES = ("lab.yaml", "lab.yml")


@click.command("up")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-f", "--file", "also_file", type=click.Path(path_type=Path, allow_dash=True), help="The same as FILE.")
@click.option("--name", metavar="NAME", help="The lab's name.", shell_complete=complete_labs)
@click.option("--nodes", type=int, metavar="N", help="How many nodes: one manager and N-1 workers.")
@click.option("--managers", type=int, metavar="N", help="How many of them are managers, 1 to 7.")
@click.option("--workers", type=int, metavar="N", help="How many workers, instead of --nodes.")
@click.option("--backend", type=click.Choice(["dind", "vagrant"]), help="Containers, or virtual machines.")
@click.option("--provider", type=click.Choice(PROVIDERS), help="Who runs the virtual machines.")
@click.option("--box", metavar="NAME", help="A Vagrant box of Debian to make nodes of; labctl's own where not said.")
@click.option("--cpus", type=float, metavar="N", help="How many CPUs each node may use.")
@click.option("--memory", metavar="SIZE", help="The most memory each node may use: 512m, 2g.")
@click.option("--subnet", metavar="CIDR", help="The nodes' network; a free one where not said.")
@click.option("--port", "ports", multiple=True, metavar="[HOST:]PORT", help="A published port to reach on 127.0.0.1.")
@click.option("--image", "images", multiple=True, metavar="NAME", help="An image that every node has from the start.")
@click.option("--label", "labels", multiple=True, metavar="FILTER:KEY=VALUE", help="A node label: @worker:ssd=true.")
@click.option("--engine-opt", multiple=True, metavar="KEY=VALUE", help="A daemon.json option of every engine.")
@click.option("--no-swarm", is_flag=True, default=None, help="Bare engines: init and join are left to you.")
@click.option("--no-registry", is_flag=True, default=None, help="No registry and no mirror.")
@click.option("--bare-names", is_flag=True, default=None, help="Containers are called worker1, not lab-worker1.")
@click.option("--retain", is_flag=True, help="Keep what was made when something fails.")
@click.option("--no-verify", is_flag=True, help="Do not try the mesh and the overlay at the end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@output_option
@lab_command
def up(app: App, file: Path | None, also_file: Path | None, output: str, **flags: Any) -> None:
    """Make a lab, or make the one that stands be what is asked for.

    Without FILE, a lab.yaml in this folder is read; with -, what comes on stdin. Flags win over it. On a lab
    that stands, what is missing is made and what is down is started; nothing else changes.

    \b
    labctl up --nodes 4                        one manager, three workers
    labctl up --managers 3 --workers 2 --port 8080
    labctl up --backend vagrant --memory 2g --cpus 2
    labctl up --backend vagrant --box debian/bookworm64
    labctl up lab.yaml --dry-run
    """
    from labctl.lab import UpOptions, bring_up, checked_plan, status_of

    if file is not None and also_file is not None:
        raise UsageError(f"{file} and {also_file}: a lab is described in one file")
    spec = spec_from(app, file or also_file, flags)
    if flags["name"]:
        note_lab(spec.name)
    if flags["dry_run"]:
        plan = checked_plan(app.context, spec)
        if output == "json":
            print_json({"changes": plan.changes, "plan": plan.lines()})
        else:
            click.echo("\n".join(plan.lines()))
        return
    record = bring_up(app.context, spec, UpOptions(retain=flags["retain"], verify=not flags["no_verify"]))
    if output == "json":
        print_json(status_of(app.context, record).to_dict())
    elif app.progress in ("auto", "plain"):
        _say_what_next(record)


def spec_from(app: App, file: Path | None, flags: dict[str, Any]) -> LabSpec:
    """Return the spec that the file and the flags describe; the standing lab's own where neither says anything."""
    from labctl.spec import read_file, read_mapping
    from labctl.state import labs_of_machines

    given = _given(app, flags)
    if file is None:
        file = next((Path(name) for name in FILES if Path(name).is_file()), None)
    if file is not None:
        usual = {"name": given.pop("name")} if app.lab_is_ambient and not flags["name"] and "name" in given else {}
        return read_file(file_or_stdin(file), given, usual=usual)
    # What is said of a lab of virtual machines need not say again that it is one.
    usual = {"backend": "vagrant"} if given.get("name", "lab") in labs_of_machines() else {}
    wanted = read_mapping({**usual, **given})
    record = app.context.holding(wanted.name).find(wanted.name)
    if record is None or record.spec is None:
        return wanted if not usual else read_mapping(given)
    return read_mapping(merged(record.spec, given))


def merged(standing: LabSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a lab that stands shall be when these flags are given: what it was, and what they add or change."""
    from labctl.spec import PortSpec

    whole = standing.model_dump(mode="json", exclude_defaults=True)
    if given.get("backend", standing.backend) != standing.backend:
        # That it is of another kind will be told; what only machines have would be complained of first.
        whole = {key: value for key, value in whole.items() if key not in ("provider", "box")}
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
        ports = dict.fromkeys(str(PortSpec.model_validate(port)) for port in whole["ports"])
        whole["ports"] = list(ports)
    return whole


def _with_bare_nodes(standing: LabSpec, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is counted is the swarm: engines that somebody made beside it stay as they are."""
    from labctl.spec import read_mapping

    bare = [node for node in standing.nodes if node.swarm == "bare"]
    if not bare:
        return given
    counts = {key: given[key] for key in ("managers", "workers") if key in given}
    nodes = [*read_mapping({"name": standing.name, **counts}).all_nodes(), *bare]
    others = {key: value for key, value in given.items() if key not in counts}
    return {**others, "nodes": [node.model_dump(mode="json", exclude_defaults=True) for node in nodes]}


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
    if flags["bare_names"]:
        given["bare_names"] = True
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


def _say_what_next(record: LabRecord) -> None:
    """Commands that work on this very lab: a node that is there, and an exercise that it is large enough for."""
    which = "" if record.name == "lab" else f" -l {record.name}"
    nodes = [node for node in record.nodes if node.is_running]
    managers = [node.name for node in nodes if node.is_manager]
    formed = record.spec is not None and record.spec.swarm == "formed"
    fits = formed and record.spec is not None and record.spec.registry and len(nodes) - len(managers) >= 2
    lesson = f"labctl exercise {'voting-app' if fits else 'list'}{which}"
    node = (managers or [node.name for node in nodes])[0]
    click.echo(f"Lab {record.name} is up. What next:", err=True)
    click.echo(f'  eval "$(labctl env{which})" && docker {"node ls" if formed else "info"}', err=True)
    click.echo(f"  labctl ssh{which} {node}       labctl map{which}       {lesson}", err=True)


@click.command("down")
@click.option("--all", "everything", is_flag=True, help="Remove all labs.")
@lab_command
def down(app: App, everything: bool) -> None:
    """Remove the lab: nodes, volumes, networks, contexts and keys. Nothing of it is left.

    \b
    labctl down
    labctl down -l workshop
    """
    from labctl.lab import lab_names

    names = lab_names(app.context) if everything else [app.lab_name]
    for name in names:
        one = App(name, app.verbose, app.progress)
        try:
            lab = one.lab()
        except NotFoundError as missing:
            from labctl.lab import forget

            forget(name or "lab")
            click.echo(f"There is no lab {name or 'lab'}: nothing to remove.", err=True)
            if missing.nearest:
                click.echo(
                    f"  -> Did you mean {missing.nearest}? There is: {some(lab_names(app.context), 12)}.", err=True
                )
            continue
        removed = lab.down()
        click.echo(f"Lab {lab.name} is gone: {counted(len(removed), 'thing')} removed.", err=True)


@click.command("status")
@click.argument("node", required=False, shell_complete=complete_nodes)
@output_option
@lab_command
def status(app: App, node: str | None, output: str) -> int:
    """What the lab is like now, and what is missing. Exits with 3 when something is.

    With NODE, docker-machine's word for that machine: Running, Stopped, Paused, ...

    \b
    labctl status
    labctl status -o json
    labctl status worker1
    """
    from labctl.lab import status_of
    from labctl.lab.listing import machine_word

    if node is not None:
        word = machine_word(app.lab().node(node).state)
        if output == "json":
            print_json({"node": node, "state": word})
        else:
            click.echo(word)
        return 0
    found = status_of(app.context, app.lab().record)
    if output == "json":
        print_json(found.to_dict())
    else:
        _print_status(found)
    return 0 if found.is_good else 3


def _print_status(found: LabStatus) -> None:
    headings = ("NODE", "ROLE", "STATE", "SWARM", "AVAILABILITY", "MANAGER", "ADDRESS", "ENGINE")
    rows = [
        (n.name, n.role, n.state, n.swarm or "-", n.availability or "-", n.manager or "-", n.address, n.engine or "-")
        for n in found.nodes
    ]
    click.echo(f"Lab {found.name} ({found.backend}, {found.subnet})")
    table(headings, rows)
    services = "" if found.services is None else f"; {counted(found.services, 'service')}"
    click.echo(f"swarm      {found.swarm}{services}")
    click.echo(f"mesh       {found.mesh}")
    click.echo(f"registry   {found.registry}")
    click.echo(f"mirror     {found.mirror}")
    for port in found.ports:
        click.echo(f"port       {port}")
    for problem in (with_lab(one, named_lab(click.get_current_context())) for one in found.problems):
        click.echo(f"problem    {problem}")


@click.command("verify")
@lab_command
def verify_(app: App) -> None:
    """Try the lab: the mesh on every node, the overlay from every node to every node, the registry.

    \b
    labctl verify
    """
    from labctl.events import Steps
    from labctl.lab.members import members_of
    from labctl.lab.verify import verify
    from labctl.registry import open_registry

    lab = app.lab()
    steps = Steps(app.emit, total=1)
    with steps.step("Verifying"):
        manager = lab.manager()
        if not lab.spec.registry:
            raise UsageError(
                f"lab {lab.name} has no registry for the nodes to get the probe from",
                hint=f"`labctl status -l {lab.name}` tells what its engines and its swarm say.",
            )
        open_registry(app.context.engine, lab.name).close()
        tried = verify(manager, members_of(lab.spec, manager, lab.nodes), steps.note)
        steps.note(tried)


@click.command("labs")
@output_option
@lab_command
def labs(app: App, output: str) -> None:
    """List all labs of this machine.

    \b
    labctl labs
    """
    from labctl.lab import lab_names

    context = app.context
    records = [found for name in lab_names(context) if (found := context.holding(name).find(name)) is not None]
    rows = [
        {
            "name": record.name,
            "backend": record.spec.backend if record.spec else "dind",
            "nodes": len(record.nodes),
            "running": sum(node.is_running for node in record.nodes),
            "subnet": record.subnet or "",
        }
        for record in records
    ]
    if output == "json":
        print_json(rows)
    else:
        headings = ("NAME", "BACKEND", "NODES", "RUNNING", "SUBNET")
        table(headings, [tuple(str(value) for value in row.values()) for row in rows])
