"""The one proxy of a lab: made, kept, replaced, and tried.

On an engine that shares this host's network it is on that network and listens on 127.0.0.1 itself, so ports open and
close at any time. Elsewhere (Docker Desktop, rootless) the engine publishes the ports of a container when it is made,
so labctl's verbs make the proxy anew when the wanted ports change.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from labctl.concurrent import each
from labctl.edge.publishing import published
from labctl.edge.ways import KIND, own_file, proxy_name, proxy_state
from labctl.engine import Engine
from labctl.engine.client import tar_of
from labctl.errors import EngineRefused, LabctlError, LabError, NotYetError
from labctl.events import Emit, Warned, quiet
from labctl.follower import files
from labctl.follower.files import FOLDER, State, Wish
from labctl.follower.plan import plan
from labctl.images import ensure_services
from labctl.node import Node
from labctl.owner import is_anothers
from labctl.owner import marks as marks_of
from labctl.pki import Authority
from labctl.registry.beside import Beside, converge
from labctl.spec import PortSpec, labels
from labctl.state import lab_path
from labctl.waiting import Pending, wait_until

__all__ = ["PUBLISHED", "ensure_proxy", "put", "refresh", "shares_network", "wish_of"]

START_LIMIT = 15.0
CONFLICT = 409
SHARED, PUBLISHED = "host", "published"  # the values of its label `labctl.edge`
MOST_PUBLISHED = 100  # each is a process of the engine's
CONFINED = {
    "CapDrop": ["ALL"],
    "CapAdd": ["NET_BIND_SERVICE"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/run": "rw,noexec,nosuid,nodev,size=8m"},
    # It starts again by itself when it fails, and not with the host: the lab's nodes do not either.
    "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
}


def ensure_proxy(
    engine: Engine, lab: str, nodes: Sequence[Node], pins: Sequence[PortSpec] = (), emit: Emit = quiet
) -> None:
    """Let the lab's proxy run, with these ports pinned beside those that are already.

    Run again it changes nothing. Raises LabError when no node runs, or the proxy does not start.
    """
    if not any(node.is_running for node in nodes):
        raise LabError(f"no node of lab {lab} runs, so nothing can be reached", hint=f"`labctl start -l {lab}`")
    found = engine.container(proxy_name(lab))
    marks = ((found or {}).get("Config", {}).get("Labels") or {}) if found else {}
    pins = [*pins, *_convert_old(engine, lab)]
    mode = marks.get(labels.EDGE) or (SHARED if shares_network(engine) else PUBLISHED)
    if mode == SHARED:
        try:
            _ensure_shared(engine, lab, nodes, pins, emit)
            return
        except (EngineRefused, NotYetError) as problem:
            if isinstance(problem, EngineRefused) and problem.status == CONFLICT:
                raise  # another command makes it at this moment
            engine.remove(proxy_name(lab))  # it was tried: this engine has another network after all
    _ensure_published(engine, lab, nodes, pins, emit)


def refresh(engine: Engine, lab: str, nodes: Sequence[Node], emit: Emit = quiet) -> None:
    """Let the ways follow what is published now, where only labctl's verbs can do that."""
    found = engine.container(proxy_name(lab))
    if found and (found.get("Config", {}).get("Labels") or {}).get(labels.EDGE) == PUBLISHED:
        _ensure_published(engine, lab, nodes, (), emit)


def shares_network(engine: Engine) -> bool:
    """Whether the engine says that its containers can be on this host's own network."""
    if sys.platform != "linux" or not engine.endpoint.url.startswith("unix://"):
        return False
    info = engine.info()
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    return "Docker Desktop" not in str(info.get("OperatingSystem")) and "name=rootless" not in options


def wish_of(port: PortSpec) -> Wish:
    """A port of the spec as the follower knows it."""
    return Wish(port.host, port.target, port.protocol, pinned=True)


def put(engine: Engine, lab: str, content: dict[str, bytes]) -> None:
    """Put files into the proxy's volume, and let it read them.

    The signal comes from within: a container that was sent one by its engine counts as stopped by somebody, and the
    engine does not start it again when it fails (moby, daemon/kill.go: HasBeenManuallyStopped).
    """
    _fill(engine, lab, content)
    try:
        engine.execute(proxy_name(lab), ["sh", "-c", "kill -HUP 1"])
    except EngineRefused as refused:
        if refused.status not in (CONFLICT, 500):  # it does not run: it reads them when it starts
            raise


def _fill(engine: Engine, lab: str, content: Mapping[str, bytes]) -> None:
    """Put files into the proxy's volume; a proxy that runs does not notice."""
    engine.put(proxy_name(lab), FOLDER, tar_of({path: (text, 0o600) for path, text in content.items()}))


def _ensure_shared(engine: Engine, lab: str, nodes: Sequence[Node], pins: Sequence[PortSpec], emit: Emit) -> None:
    before: list[str] = []
    told = {**_candidates(nodes), **_pins(pins), files.FIXED: b"null"}

    def prepare() -> None:
        state = proxy_state(engine, lab)
        before.append(state.token if state else "")
        _fill(engine, lab, {**_keys(lab), **told})

    stands = converge(engine, _wanted(engine, lab, "host", emit), prepare=prepare)
    if stands.changed:
        _try(engine, lab, before[-1])
    else:
        put(engine, lab, told)


def _ensure_published(engine: Engine, lab: str, nodes: Sequence[Node], pins: Sequence[PortSpec], emit: Emit) -> None:
    """Publish what is wanted now: the container is recreated when that has changed."""
    state = proxy_state(engine, lab) or State()
    memory: dict[str, int] = own_file(engine, lab, files.PORTS) or {}
    wishes = [way.wish for way in state.ways if way.pinned]
    wishes += [wish_of(port) for port in pins]
    ways, too_many = plan(
        [*wishes, *_published_now(nodes)],
        memory,
        {(way.host, way.protocol) for way in state.ways},
        most=MOST_PUBLISHED,
    )
    if too_many:
        emit(Warned(f"{too_many} published ports are not open here: {MOST_PUBLISHED} is the most on this engine"))
    content = {
        **_candidates(nodes),
        files.FIXED: json.dumps(ways).encode(),
        files.PORTS: json.dumps(memory).encode(),
    }
    network = "bridge" if nodes[0].address in nodes[0].endpoint.url else f"labctl-{lab}"
    wanted = _wanted(engine, lab, network, emit, [(way.host, way.protocol) for way in ways])
    archive = {**_keys(lab), **content}
    stands = converge(engine, wanted, prepare=lambda: _fill(engine, lab, archive))
    if not stands.changed:
        put(engine, lab, content)  # which way is pinned may have changed
    wait_until("the proxy", partial(_shows, engine, lab, ways), limit=START_LIMIT, pause=0.05, longest_pause=0.3)


def _wanted(engine: Engine, lab: str, network: str, emit: Emit, ports: Sequence[tuple[int, str]] = ()) -> Beside:
    volume = {
        "Type": "volume",
        "Source": proxy_name(lab),
        "Target": FOLDER,
        "VolumeOptions": {"Labels": marks_of(lab, "volume")},
    }
    authority = hashlib.sha256(_authority(lab)).hexdigest()[:12]  # other keys need another client certificate
    return Beside(
        lab=lab,
        kind=KIND,
        name=proxy_name(lab),
        image=ensure_services(engine, emit),
        command=("edge", SHARED if network == "host" else PUBLISHED),
        network=network,
        mounts=(volume,),
        labels={labels.EDGE: SHARED if network == "host" else PUBLISHED, f"{labels.EDGE}.ca": authority},
        published=tuple(ports),
        confined=CONFINED,
    )


def _authority(lab: str) -> bytes:
    try:
        return (lab_path(lab) / "ca.pem").read_bytes()
    except OSError:
        raise LabError(
            f"the keys of lab {lab} are not in this user's state folder",
            hint="The user who made the lab has them; LABCTL_STATE names another folder.",
        ) from None


def _keys(lab: str) -> dict[str, bytes]:
    """A client's certificate of the proxy's own."""
    client = Authority.load(lab_path(lab)).client(f"proxy of {lab}")
    files_of = {"ca.pem": _authority(lab), "cert.pem": client.certificate, "key.pem": client.key}
    return {f"{files.KEYS}/{name}": content for name, content in files_of.items()}


def _candidates(nodes: Sequence[Node]) -> dict[str, bytes]:
    order = sorted(nodes, key=lambda node: not node.is_manager)
    return {files.CANDIDATES: json.dumps([node.address for node in order]).encode()}


def _pins(ports: Sequence[PortSpec]) -> dict[str, bytes]:
    return {f"{files.PINS}/{files.pin_file(wish_of(port))}": b"1" for port in ports}


def _published_now(nodes: Sequence[Node]) -> list[Wish]:
    """What the first manager that answers says is published; nothing where none does."""
    for node in nodes:
        if node.is_manager and node.is_running:
            try:
                found = published(node.engine)
            except LabctlError:
                continue
            return [Wish(one.port, one.port, one.protocol) for one in found if one.mode == "ingress"]
    return []


def _try(engine: Engine, lab: str, before: str) -> None:
    """Wait until the proxy serves, and see that it is on this host's own network. Raises NotYetError when it is not."""

    def look() -> State:
        state = proxy_state(engine, lab)
        if state is None or state.token in ("", before):
            refuse_ended(engine, lab)
            raise Pending("it is starting")
        return state

    state = wait_until(f"the proxy {proxy_name(lab)}", look, limit=START_LIMIT, pause=0.05, longest_pause=0.3)
    try:
        with socket.create_connection(("127.0.0.1", state.beacon), timeout=2) as link:
            said = link.recv(100).decode(errors="replace")
    except OSError as problem:
        said = str(problem)
    if said != state.token:
        raise NotYetError("the engine's network is not this host's")


def refuse_ended(engine: Engine, lab: str) -> None:
    """Raise LabError, with its last words, when the proxy does not run."""
    name = proxy_name(lab)
    found = engine.container(name)
    if found is None or found["State"]["Status"] not in ("running", "created", "restarting"):
        said = engine.logs(name, tail=3).strip() if found else ""
        raise LabError(f"{name} ended: {said or 'it said nothing'}", hint=f"`labctl up -l {lab}` recreates it.")


def _shows(engine: Engine, lab: str, ways: Sequence[Any]) -> None:
    state = proxy_state(engine, lab)
    if state is None or set(state.ways) != set(ways):
        refuse_ended(engine, lab)
        raise Pending("it is starting")


def _convert_old(engine: Engine, lab: str) -> list[PortSpec]:
    """Remove the proxies, one a port, of an older labctl; returns what somebody chose to reach at another port."""
    found = [one for one in engine.containers(labels.of_lab(lab, KIND)) if not is_anothers(one["Labels"])]
    old = [one for one in found if one["Names"] != [f"/{proxy_name(lab)}"]]
    pins = []
    for one in old:
        name = str(one["Names"][0]).lstrip("/")
        protocol = "udp" if name.endswith("-udp") else "tcp"
        asked, target = ["", "", *name.removesuffix("-udp").split("-")][-2:]
        if asked.isdigit() and target.isdigit() and asked != target:
            pins.append(PortSpec.parse(f"{asked}:{target}/{protocol}"))
    each([str(one["Names"][0]).lstrip("/") for one in old], engine.remove)
    return pins
