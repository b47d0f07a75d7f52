"""`labctl create`: one more bare engine, as docker-machine makes one."""

from __future__ import annotations

import os
from typing import Any

import click

from labctl.cli.common import App, lab_command
from labctl.errors import NotFoundError, UsageError
from labctl.spec.choices import HYPERV_SWITCH

__all__ = ["create", "size_options", "sizes"]

# docker-machine's drivers, and who runs such machines here.
PROVIDERS = {"virtualbox": "virtualbox", "hyperv": "hyperv", "libvirt": "libvirt", "kvm": "libvirt", "kvm2": "libvirt"}
OTHERS = ("parallels", "vmware", "vmwarefusion", "xhyve")

DRIVER_HELP = "dind: a container; virtualbox, hyperv, libvirt: a virtual machine."


def size_options(function: Any) -> Any:
    """Give a command `--cpus` and `--memory`, which `sizes` reads."""
    memory = click.option("--memory", metavar="SIZE", help="Memory limit: 512m, 2g.")
    cpus = click.option("--cpus", type=float, metavar="N", help="Number of CPUs.")
    return cpus(memory(function))


def sizes(cpus: float | None, memory: str | None) -> dict[str, Any]:
    """The size as keys of a node's spec, where one was given."""
    return {key: value for key, value in (("cpus", cpus), ("memory", memory)) if value is not None}


@click.command("create", context_settings={"ignore_unknown_options": True})
@click.option("-d", "--driver", default="dind", show_default=True, metavar="DRIVER", help=DRIVER_HELP)
@click.option("--virtualbox-memory", "--hyperv-memory", "--kvm-memory", "mib", type=int, metavar="MIB", hidden=True)
@click.option("--virtualbox-cpu-count", "--hyperv-cpu-count", "--kvm-cpu-count", "count", type=int, hidden=True)
@click.option("--hyperv-virtual-switch", "switch", metavar="NAME", hidden=True)
@size_options
@click.option("--engine-opt", multiple=True, metavar="KEY=VALUE", help="A daemon.json option of its engine.")
@click.option("--engine-label", multiple=True, metavar="KEY=VALUE", help="A label of its engine.")
@click.option("--engine-insecure-registry", multiple=True, metavar="HOST", help="A registry to talk to without TLS.")
@click.option("--engine-registry-mirror", multiple=True, metavar="URL", help="Another mirror of Docker Hub.")
@click.option("--engine-storage-driver", metavar="NAME", help="Its engine's storage driver.")
@click.argument("rest", metavar="NAME", nargs=-1, type=click.UNPROCESSED)
@lab_command
def create(app: App, *, driver: str, rest: tuple[str, ...], **given: Any) -> None:
    """Create a bare engine: a machine in the lab's network that is not in a swarm.

    If there is no lab, it creates one that has only this machine and no swarm.

    \b
    labctl create myvm1
    labctl create --memory 1g myvm2
    labctl create --driver virtualbox myvm3
    labctl ssh myvm1 "docker swarm init --advertise-addr $(labctl ip myvm1)"
    """
    from labctl.lab.growing import bare_node
    from labctl.lab.up import UpOptions, grow

    kind = _kind(driver)
    name = _only_name(rest)
    if given["switch"]:
        os.environ[HYPERV_SWITCH] = given["switch"]
    memory = given["memory"] or (f"{given['mib']}m" if given["mib"] else None)
    options = sizes(given["cpus"] or given["count"], memory)
    if engine := _engine_options(given):
        options["engine"] = engine
    lab = _lab_name(app)
    grow(app.context, lab, bare_node(lab, name, options, kind), UpOptions(verify=False))
    which = "" if app.lab_name is None else f" -l {lab}"
    click.echo(f"{name} is up and running. To talk to its engine from this shell:", err=True)
    click.echo(f'  eval "$(labctl env{which} {name})"', err=True)


def _kind(driver: str) -> dict[str, str]:
    """The driver as keys of a spec. What cannot be had is refused before anything else of the line is looked at."""
    if driver == "dind":
        return {}
    if driver in PROVIDERS:
        return {"backend": "vagrant", "provider": PROVIDERS[driver]}
    if driver in OTHERS:
        raise UsageError(
            f"--driver {driver} makes virtual machines in a way that labctl does not know",
            hint="Leave --driver out: the machine is a container then, and the rest of the tutorial stays the same.",
        )
    raise NotFoundError("driver", driver, ["dind", *PROVIDERS])


def _only_name(rest: tuple[str, ...]) -> str:
    for word in rest:
        if word.startswith("-"):
            raise click.NoSuchOption(word.partition("=")[0])
    if len(rest) != 1:
        said = f"{len(rest)} names were given: {' '.join(rest)}" if rest else "no name was given"
        raise UsageError(f"create makes one machine, and {said}", hint="labctl create myvm1")
    return rest[0]


def _lab_name(app: App) -> str:
    """The lab that gets the machine; where there is none, `lab` is made."""
    try:
        return app.lab().name
    except NotFoundError:
        return app.lab_name or "lab"


def _engine_options(given: dict[str, Any]) -> dict[str, Any]:
    """docker-machine's `--engine-*` options as keys of daemon.json."""
    from labctl.cli.flags import option_pair

    options = dict(option_pair(pair) for pair in given["engine_opt"])
    lists = {
        "labels": given["engine_label"],
        "insecure-registries": given["engine_insecure_registry"],
        "registry-mirrors": given["engine_registry_mirror"],
    }
    options |= {key: list(values) for key, values in lists.items() if values}
    if given["engine_storage_driver"]:
        options["storage-driver"] = given["engine_storage_driver"]
    return options
