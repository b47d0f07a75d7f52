"""labctl fault: break something on purpose, see it, and heal it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import App, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_filters
from labctl.errors import NotYetError, UsageError

if TYPE_CHECKING:
    from labctl.faults import Fault, Kind
    from labctl.lab import Lab

__all__ = ["fault"]

HEALERS = {
    "node": "the node heals it",
    "host": "a process on this host heals it",
    "manager": "a manager heals it",
    "nobody": "a single blow",
}


# Flags that are options of some kinds; one that this kind has not is refused. --seed also picks nodes for all of them.
OF_KINDS = {"from", "port", "share", "rate", "delay", "jitter", "reorder", "size", "busy"}


@click.group("fault")
def fault() -> None:
    """Inject faults into the lab, and heal them.

    \b
    labctl fault list
    labctl fault inject cut w1 --for 30s
    labctl fault status
    labctl fault heal --all
    """


def _complete_kinds(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from labctl.faults import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


def _complete_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from labctl.errors import LabctlError
    from labctl.faults import active

    try:
        found = active(App(ctx.params.get("lab_name"), progress="none").lab().scene())
    except LabctlError:
        return []
    return [one.id for one in found if one.id.startswith(incomplete)]


@fault.command("list")
@output_option
@lab_command
def list_(_app: App, output: str) -> None:
    """List the kinds of faults, and what heals each when its time is over.

    \b
    labctl fault list
    labctl fault list -o json
    """
    from labctl.faults import KINDS

    if output == "json":
        rows = [
            {
                "fault": kind.name,
                "acts_on": kind.acts_on,
                "healed_by": kind.healer,
                "summary": kind.summary,
                "options": {option.name: option.default for option in kind.options},
            }
            for kind in KINDS.values()
        ]
        print_json(rows)
        return
    options = [" ".join(f"--{option.name}" for option in kind.options) or "-" for kind in KINDS.values()]
    table(
        ("FAULT", "ON", "HEALED BY", "OPTIONS", "WHAT IT DOES"),
        [
            (kind.name, kind.acts_on, kind.healer, said, kind.summary)
            for kind, said in zip(KINDS.values(), options, strict=True)
        ],
    )


@fault.command("inject")
@click.argument("kind", shell_complete=_complete_kinds)
@click.argument("targets", nargs=-1, shell_complete=complete_filters)
@click.option("--for", "lease", metavar="TIME", help="Heal by itself after 30s, 5m or 1h (default: stay until healed).")
@click.option("--service", metavar="NAME", help="The nodes that run the service's tasks.")
@click.option("--label", metavar="KEY=VALUE", help="The nodes that have this label in the swarm.")
@click.option("--pick", metavar="N|P%", help="Only some of the nodes: a number, or a share.")
@click.option("--seed", metavar="TEXT", help="Pick the same nodes for the same seed.")
@click.option("--from", metavar="NODES", help="partition: the nodes on the other side (default: all others).")
@click.option("--port", metavar="PORT", help="block: 2377 managers, 7946 gossip, 4789 overlay (default: 4789).")
@click.option("--share", metavar="P%", help="loss, memory, kill-tasks: how much.")
@click.option("--rate", metavar="RATE", help="rate: 512kbit, 10mbit (default: 1mbit).")
@click.option("--delay", metavar="TIME", help="delay: how long each packet waits (default: 100ms).")
@click.option("--jitter", metavar="TIME", help="delay: by how much that varies (default: 0ms).")
@click.option("--reorder", metavar="P%", help="delay: how many packets overtake the others (default: 0%).")
@click.option("--size", metavar="BYTES", help="mtu: the largest packet that passes (default: 1400).")
@click.option("--busy", metavar="N", help="cpu: how many loops run (default: one for each processor).")
@click.option("-y", "--yes", is_flag=True, help="Inject it even if the managers lose their majority.")
@output_option
@lab_command
def inject_(app: App, kind: str, targets: tuple[str, ...], output: str, **flags: Any) -> None:
    """Inject the fault KIND into nodes (names, @worker, @worker:0) or services.

    With -v, it shows each command as a person would type it.

    \b
    labctl fault inject kill w1
    labctl fault inject cut @worker:0 --for 30s
    labctl fault inject partition manager1 w1 --from w2,w3 --yes
    labctl fault inject block @all --port 4789 --for 2m
    labctl fault inject kill-tasks web --share 50% --seed 7
    """
    from labctl.faults import inject, kind_named, planned, seconds_of
    from labctl.lab.faulting import other_side

    found = kind_named(kind)
    _refuse_unused(found, targets, flags)
    seconds = None if flags["lease"] is None else seconds_of(flags["lease"])
    lab = app.lab()
    own = {option.name for option in found.options}
    options = {name: flags[name] for name in sorted(own | OF_KINDS) if flags.get(name) is not None}
    names = _services(targets, flags) if found.acts_on == "service" else _nodes(lab, targets, flags)
    if kind == "partition":
        options["from"] = other_side(lab, names, options.get("from"))
    faults = planned(found, names, options, seconds)
    inject(lab.scene(), faults, sure=flags["yes"])
    if output == "json":
        print_json([_row(one) for one in faults])
        return
    for one in faults:
        ends = {"nobody": "it is done"}.get(found.healer, f"`labctl fault heal {one.id}` ends it")
        if one.left is not None:
            ends = f"it heals by itself in {one.left:.0f} s ({HEALERS[found.healer]}); {ends}"
        click.echo(f"{one.id}  {one.kind} on {one.target}: {ends}", err=True)


@fault.command("heal")
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=_complete_ids)
@click.option("--all", "everything", is_flag=True, help="Heal all faults of the lab.")
@click.option("--after", type=float, hidden=True)  # the lease of a fault: `labctl.faults.power` starts it
@lab_command
def heal_(app: App, ids: tuple[str, ...], everything: bool, after: float | None) -> None:
    """Heal the named faults, or all. It finds them in the lab itself, so it also works after labctl was killed.

    \b
    labctl fault heal 3fa2b1
    labctl fault heal --all
    """
    from labctl.faults import heal

    if bool(ids) == everything:
        raise UsageError(
            "which faults?" if not ids else "either ids or --all", hint="`labctl fault heal --all`, or ids."
        )
    if after is not None and not _sleep_while_wanted(app, ids[0], after):
        return
    healed = heal(app.lab().scene(), None if everything else ids)
    for one in healed:
        click.echo(f"{one.id}  {one.kind} on {one.target}: healed.", err=True)
    if not healed:
        click.echo("Nothing to heal: the lab has no fault.", err=True)


def _sleep_while_wanted(app: App, id_: str, seconds: float) -> bool:
    """Wait for the end of a lease. Whether it is wanted then: the lab may have gone with its notes."""
    from labctl.faults.notes import path_of

    note = path_of(app.lab_name or "lab", id_)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        if not note.exists():
            return False
    return note.exists()


@fault.command("status")
@output_option
@lab_command
def status(app: App, output: str) -> None:
    """List the active faults, and when each ends. It looks at the nodes, not at a record.

    \b
    labctl fault status
    labctl fault status -o json
    """
    from labctl.faults import look

    found, silent = look(app.lab().scene())
    if output == "json":
        print_json([_row(one) for one in found])
    else:
        rows = []
        for one in found:
            said = " ".join(f"{name}={value}" for name, value in one.options.items() if value)
            rows.append((one.id, one.kind, one.target, said or "-", _end_of(one)))
        table(("ID", "FAULT", "ON", "OPTIONS", "ENDS"), rows)
    if silent:
        raise NotYetError(
            f"not everybody could be asked for faults: {'; '.join(silent)}", hint="`labctl status` tells more of them."
        )


def _end_of(one: Fault) -> str:
    from labctl.faults import kind_named

    if one.state == "striking":
        return "it is being injected"
    if one.left is None:
        return "when it is healed"
    if one.is_overdue:
        return f"overdue: `labctl fault heal {one.id}`"
    return f"in {one.left:.0f} s: {HEALERS[kind_named(one.kind).healer]}"


def _row(one: Fault) -> dict[str, Any]:
    left = None if one.left is None else round(one.left, 1)
    said = {"id": one.id, "fault": one.kind, "on": one.target, "options": dict(one.options)}
    return {**said, "state": one.state, "seconds_left": left}


def _refuse_unused(kind: Kind, targets: Sequence[str], flags: dict[str, Any]) -> None:
    """Raise UsageError for flags that would be of no account."""
    own = {option.name for option in kind.options}
    if kind.acts_on == "service":
        unused = [name for name in ("label", "pick", "seed") if flags[name] and name not in own]
        if targets and flags["service"]:
            raise UsageError("either a service's name or --service")
    else:
        unused = ["seed"] if flags["seed"] and not flags["pick"] else []
    if unused:
        what = "picks nothing without --pick" if unused == ["seed"] and kind.acts_on == "node" else ""
        raise UsageError(f"--{unused[0]} {what or f'is of no account: {kind.name} acts on services'}")


def _services(targets: Sequence[str], flags: dict[str, Any]) -> list[str]:
    names = [*targets, *([flags["service"]] if flags["service"] and not targets else [])]
    if not names:
        raise UsageError("this fault acts on a service: which?", hint="`labctl fault inject bad-image voting_vote`")
    return names


def _nodes(lab: Lab, targets: Sequence[str], flags: dict[str, Any]) -> list[str]:
    """The nodes that names, a label or a service mean, or those of them that are picked."""
    from labctl.faults.model import as_flag
    from labctl.lab.faulting import targets as meant

    if targets or flags["label"] or flags["service"]:
        found = meant(
            lab,
            list(targets) or None,
            label=flags["label"] or None,
            service=flags["service"] or None,
            share=flags["pick"] or "",
            seed=flags["seed"] or "",
            word=as_flag,
        )
        if found:
            return [node.name for node in found]
    raise UsageError("on which node?", hint="Name one (w1), or a filter: @worker, @worker:0, --service, --label.")
