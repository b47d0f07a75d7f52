"""A lab's registry and mirror, in one container; with Docker Hub in reach, the Hub's cache in another.

registry:5000   what the lab's users push; published on 127.0.0.1 too. Everybody reads; the nodes write, and who has
                the lab's secret
registry:5001   the mirror: labctl's own images, and stand-ins where the Hub is out of reach
hub:5001        the cache of the Hub's originals; where the Hub is out of reach, the mirror once more
                (virtual machines reach all three at this host's end of their network, the cache at 5002)

Nodes ask the two mirrors in this order, so labctl/... is never asked of the Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.backend import Place
from labctl.concurrent import together
from labctl.engine import Engine
from labctl.errors import EngineRefused, LabError
from labctl.events import Emit, Noted, quiet
from labctl.images import HUB_CACHE, MirrorMode, ensure_services, mirror_mode
from labctl.images.distribution import RegistryApi
from labctl.images.store import secret_file, store_mount
from labctl.owner import marks
from labctl.pki import known_registry_secret, registry_secret
from labctl.registry.beside import Beside, converge
from labctl.spec import labels
from labctl.spec.addresses import dynamic_range, gateway
from labctl.waiting import Pending, wait_until

__all__ = ["RegistryInfo", "ensure_registry", "find_registry", "open_registry"]

KIND, HUB_KIND = "registry", "hub"
START_LIMIT = 20.0
NOT_ITS_OWN = "cannot assign requested address"  # what an engine says of an address that its system has not
UPSTREAM = "MIRROR_UPSTREAM"
HUB_OUTSIDE = {5002: "5001/tcp"}  # beside the registry's own two ports, where both share one address


@dataclass(frozen=True)
class RegistryInfo:
    """A lab's registry. `host_port` is where 127.0.0.1 reaches it, `upstream` what the mirror fetches from."""

    container: str
    state: str
    host_port: int
    address: str
    upstream: str = ""

    @property
    def url(self) -> str:
        """Where this host reaches it."""
        return f"http://127.0.0.1:{self.host_port}"


def ensure_registry(
    engine: Engine, lab: str, place: Place, emit: Emit = quiet, mode: MirrorMode | None = None
) -> RegistryInfo:
    """Let the lab's registry and mirror run where the backend wants them, and answer.

    Run again it changes nothing; one that is stopped is started, one that is not as it should be is
    replaced, and what was pushed stays. Raises WaitTimeout when it does not answer within 20 s.
    """
    try:
        return _ensured(engine, lab, place, emit, mode or mirror_mode())
    except EngineRefused as refused:
        if not place.publish_at or NOT_ITS_OWN not in refused.message:
            raise
        raise EngineRefused(
            f"the engine has no way to {place.publish_at}, this host's address in the machines' network",
            status=refused.status,
            hint="One that runs in a machine of its own (WSL2, Rancher Desktop) may not have; Docker Desktop has.",
        ) from refused


def _ensured(engine: Engine, lab: str, place: Place, emit: Emit, chosen: MirrorMode) -> RegistryInfo:
    image = ensure_services(engine, emit)
    hub = _hub(lab, image, place, chosen)
    own = _registry(lab, image, place, chosen)
    if chosen.upstream:
        together(lambda: converge(engine, hub), lambda: _serve(engine, own))
    else:
        if engine.container(hub.name) is not None:
            engine.remove(hub.name)
            emit(Noted("Docker Hub is out of reach: stand-ins take its images' places"))
        _serve(engine, own)
    return find_registry(engine, lab)


def find_registry(engine: Engine, lab: str) -> RegistryInfo:
    """The lab's registry, running or not. Raises LabError when it has none."""
    found = engine.containers(labels.of_lab(lab, KIND))
    if not found:
        raise LabError(f"lab {lab} has no registry", hint=f"`labctl up -l {lab}` makes one, if its spec has one.")
    first = found[0]
    networks = first["NetworkSettings"]["Networks"].values()
    return RegistryInfo(
        container=first["Names"][0].lstrip("/"),
        state=first["State"],
        host_port=labels.port_in(first["Labels"]),
        address=next((str(network["IPAddress"]) for network in networks), ""),
        upstream=_upstream(engine, lab),
    )


def open_registry(engine: Engine, lab: str) -> RegistryApi:
    """Connect to the lab's registry, where who did not make the lab can only read.

    Raises LabError when it is down or does not answer.
    """
    found = find_registry(engine, lab)
    again = f"`labctl up -l {lab}` starts it again."
    if found.state != "running":
        raise LabError(f"the registry of lab {lab} is {found.state}", hint=again)
    secret = known_registry_secret(lab)
    api = RegistryApi("127.0.0.1", found.host_port, name="the lab's registry", secret=secret)
    problem = api.problem()
    if problem:
        raise LabError(problem, hint=again)
    return api


def _registry(lab: str, image: str, place: Place, mode: MirrorMode) -> Beside:
    own = {
        "Type": "volume",
        "Source": f"{lab}-registry",
        "Target": "/var/lib/registry",
        "VolumeOptions": {"Labels": marks(lab, "volume")},
    }
    return Beside(
        lab=lab,
        kind=KIND,
        name=f"{lab}-registry",
        image=image,
        command=("registry+mirror",),
        network=place.network,
        port="5000/tcp",
        address=place.address,
        aliases=() if place.publish_at else ("registry", "mirror", *(() if mode.upstream else ("hub",))),
        fixed=_published(place, {5000: "5000/tcp", 5001: "5001/tcp"} | ({} if mode.upstream else HUB_OUTSIDE)),
        env=_writers(place),
        mounts=(own, store_mount(mode.store, "/var/lib/mirror", read_only=True)),
        files=secret_file(registry_secret(lab)),
    )


def _writers(place: Place) -> dict[str, str]:
    """Who writes without the secret: the nodes, and not this host or who else joins their network."""
    if not place.subnet:
        return {}
    return {"WRITERS": place.subnet, "NOT_WRITERS": f"{gateway(place.subnet)} {dynamic_range(place.subnet)}"}


def _published(place: Place, ports: Mapping[int, str]) -> dict[tuple[str, int], str]:
    """The ports at the address where machines outside the engine's networks ask; none for containers."""
    return {(place.publish_at, port): inside for port, inside in ports.items()} if place.publish_at else {}


def _hub(lab: str, image: str, place: Place, mode: MirrorMode) -> Beside:
    return Beside(
        lab=lab,
        kind=HUB_KIND,
        name=f"{lab}-hub",
        image=image,
        command=("mirror",),
        network=place.network,
        aliases=() if place.publish_at else ("hub",),
        fixed=_published(place, HUB_OUTSIDE),
        # Beside the mirror's own port, so that nodes are told the same two mirrors with and without the Hub.
        env={UPSTREAM: mode.upstream, "REGISTRY_HTTP_ADDR": ":5001"},
        mounts=(store_mount(HUB_CACHE, "/var/lib/registry", read_only=False),),
    )


def _serve(engine: Engine, wanted: Beside) -> None:
    port = converge(engine, wanted).host_port
    secret = known_registry_secret(wanted.lab)
    api = RegistryApi("127.0.0.1", port, limit=5, name="the lab's registry", secret=secret)

    def answered() -> None:
        problem = api.problem()
        if problem:
            found = engine.container(wanted.name)
            if found is None or found["State"]["Status"] not in ("running", "created"):
                said = engine.logs(wanted.name, tail=3).strip() if found else "it is gone"
                raise LabError(f"the lab's registry ended: {said or 'it said nothing'}")
            raise Pending(problem)

    try:
        wait_until("the lab's registry", answered, limit=START_LIMIT, pause=0.03, longest_pause=0.3)
    finally:
        api.close()


def _upstream(engine: Engine, lab: str) -> str:
    for found in engine.containers(labels.of_lab(lab, HUB_KIND), everything=False):
        environment = (engine.container(found["Id"]) or {}).get("Config", {}).get("Env") or []
        for entry in environment:
            if str(entry).startswith(f"{UPSTREAM}="):
                return str(entry).partition("=")[2]
    return ""
