"""A Docker engine, as the calls that a lab needs. Answers are the API's own JSON.

Field names are those of the Engine API (https://docs.docker.com/reference/api/engine/); durations are
seconds unless a name says otherwise. Every method raises EngineUnreachable when the engine does not
answer and EngineRefused, with the engine's words, when it answers with an error.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from labctl.engine.asking import Json, as_filters
from labctl.engine.attached import Attached, ExecOutcome, frames
from labctl.engine.endpoint import Endpoint
from labctl.engine.errors import keys_hint, translated
from labctl.engine.imagecalls import ImageCalls
from labctl.engine.sdk import client_class
from labctl.engine.wire import Wire, WireTo
from labctl.errors import EngineRefused, EngineUnreachable, HostError
from labctl.kept import Kept
from labctl.waiting import stretched

if TYPE_CHECKING:
    import ssl

__all__ = ["Engine", "ExecOutcome", "Json", "tar_of"]

REQUEST_LIMIT = 60.0  # seconds that one answer may take
# Seconds to the first answer of all, and to that to a ping: an engine that hangs takes connections and says nothing.
FIRST_LIMIT = 10.0
PING_LIMIT = 5.0


class Engine(ImageCalls):
    """One engine. `where` names it in errors; for `limit` seconds it may be silent, stretched by `patience`."""

    def __init__(self, endpoint: Endpoint, *, where: str = "the engine", limit: float = REQUEST_LIMIT) -> None:
        self.endpoint = endpoint
        self.where = where
        self._limit = limit
        self._client: Any = None
        self._connecting = threading.Lock()
        self._identity: str | None = None

    @cached_property
    def wire(self) -> WireTo:
        """What most calls are asked by; a connection is made when something is asked."""
        limit = stretched(self._limit)
        tls = self._tls if self.endpoint.tls is not None else None
        return Wire(self.endpoint.url, tls, limit=limit, first_limit=stretched(min(self._limit, FIRST_LIMIT)))

    def _tls(self) -> ssl.SSLContext:
        """Who the engine must be, and who we are. Raises HostError where the keys are missing."""
        import ssl

        certificate, key, authority = self._keys()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which looks at the name, and wants a certificate
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate, key)
        return context

    def _keys(self) -> tuple[Path, Path, Path]:
        folder = self.endpoint.tls
        assert folder is not None  # asked for it
        certificate, key, authority = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
        missing = [path.name for path in (certificate, key, authority) if not path.exists()]
        if missing:
            raise HostError(f"keys are missing in {folder}: {', '.join(missing)}", hint=keys_hint())
        return certificate, key, authority

    @property
    def api(self) -> Any:
        """The docker.APIClient, for what the wire does not do: to build, pull, push, import and load images.

        It is made at first use. Any: docker's stubs leave out the request helpers used here.
        """
        # Not a cached_property: before Python 3.12 those of all engines share one lock, and one that hangs while
        # it is asked for its version would hold up every other.
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        from docker.tls import TLSConfig

        tls: Any = False
        if self.endpoint.tls is not None:
            certificate, key, authority = self._keys()
            tls = TLSConfig(client_cert=(str(certificate), str(key)), ca_cert=str(authority), verify=True)
        with translated(self.where):
            first = stretched(min(self._limit, FIRST_LIMIT))
            client = client_class()(
                base_url=self.endpoint.url, tls=tls, timeout=first, version="auto", max_pool_size=64
            )
        client.timeout = stretched(self._limit)
        return client

    def connect(self) -> None:
        """Connect: the engine answers then."""
        self.ping()

    def close(self) -> None:
        """Close the connections that were made."""
        self.wire.close()
        if self._client is not None:
            self._client.close()

    # -- the engine itself

    def answers(self) -> bool:
        """Whether the engine answers at all, within two seconds."""
        try:
            quick = Engine(self.endpoint, where=self.where, limit=2)
            quick.ping()
            quick.close()
        except (EngineUnreachable, EngineRefused):
            return False
        return True

    def version(self) -> Json:
        """GET /version."""
        return self.get_json("/version")

    def ping(self, *, limit: float = PING_LIMIT) -> str:
        """GET /_ping: return the engine's version. GET /version starts programs on each call, to ask for theirs.

        `limit` is in seconds.
        """
        answer = self._ask("GET", "/_ping", limit=stretched(min(limit, self._limit)))
        return answer.headers.get("server", "").removeprefix("Docker/").partition(" ")[0]

    def info(self) -> Json:
        """GET /info."""
        return self.get_json("/info")

    def identity(self) -> str:
        """The engine's own ID, asked once: the same from all who talk to it."""
        if self._identity is None:
            self._identity = str(self.info().get("ID", ""))
        return self._identity

    # -- containers

    def containers(self, labels: Iterable[str], *, everything: bool = True) -> list[Json]:
        """List the containers that bear all `labels` ("key" or "key=value"); stopped ones too."""
        params = {"all": int(everything), "filters": as_filters({"label": list(labels)})}
        return cast(list[Json], self._json("GET", "/containers/json", params=params))

    def container(self, name: str) -> Json | None:
        """Inspect a container; None when there is none of that name."""
        return self._found(f"/containers/{name}/json")

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an API config (POST /containers/create) and return its id."""
        return str(self.post("/containers/create", config, name=name)["Id"])

    def start(self, container: str) -> None:
        """Start a container; one that runs already is fine."""
        self._ask("POST", f"/containers/{container}/start")

    def stop(self, container: str, *, grace: int = 10) -> None:
        """Stop a container: SIGTERM, and SIGKILL after `grace` seconds."""
        limit = stretched(self._limit) + grace
        self._ask("POST", f"/containers/{container}/stop", params={"t": grace}, limit=limit)

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the container's first process."""
        self._ask("POST", f"/containers/{container}/kill", params={"signal": signal})

    def pause(self, container: str) -> None:
        """Freeze all that runs in a container."""
        self._ask("POST", f"/containers/{container}/pause")

    def unpause(self, container: str) -> None:
        """Let what runs in a frozen container go on."""
        self._ask("POST", f"/containers/{container}/unpause")

    def remove(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; one that is gone is fine."""
        try:
            self.delete(f"/containers/{container}", v=True, link=False, force=True)
        except EngineRefused as refused:
            # 409: another call is removing it at this moment, which is what was wanted.
            if refused.status not in (404, 409):
                raise

    def rename(self, container: str, name: str) -> None:
        """Give a container another name."""
        self._ask("POST", f"/containers/{container}/rename", params={"name": name})

    def wait_gone(self, container: str, *, limit: float = 30) -> bool:
        """Wait until a container that is being removed is gone; False when it stays."""
        deadline = time.monotonic() + limit
        while self.container(container) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def wait_exit(self, container: str, *, limit: float) -> int:
        """Wait until the container exits and return its exit code. Raises EngineUnreachable at the limit."""
        return int(self._json("POST", f"/containers/{container}/wait", limit=limit)["StatusCode"])

    def logs(self, container: str, *, tail: int | str = "all") -> str:
        """Return what a container wrote, both streams together: of more than 16 MiB, the last part."""
        kept = Kept()
        for chunk in self.follow_logs(container, tail=tail):
            kept.add(chunk)
        return kept.text()

    def follow_logs(self, container: str, *, tail: int | str = "all", wait: bool = False) -> Iterator[bytes]:
        """Yield what a container wrote, both streams together; with `wait`, until it ends."""
        config = self.get_json(f"/containers/{container}/json")["Config"]
        params = {"stdout": 1, "stderr": 1, "follow": int(wait), "tail": tail, "timestamps": 0}
        pieces = self._streamed(f"/containers/{container}/logs", params)
        yield from pieces if config.get("Tty") else (data for _, data in frames(pieces, self.where))

    def execute(
        self, container: str, command: list[str], *, env: Mapping[str, str] | None = None, user: str = ""
    ) -> ExecOutcome:
        """Run a command in a running container and wait for its end. There is no limit here: the caller sets one."""
        with contextlib.closing(Attached(self, container, command, stdin=False, env=env, user=user)) as attached:
            return attached.outcome()

    def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder of the container, running or not; a file never takes a folder's place."""
        params = {"path": folder, "noOverwriteDirNonDir": 1}  # without it the engine removes the folder with all in it
        self._ask("PUT", f"/containers/{container}/archive", params=params, body=archive)

    def get(self, container: str, path: str) -> Iterator[bytes]:
        """Read a file or folder of the container as a tar archive."""
        limit = stretched(self._limit)
        yield from self._streamed(f"/containers/{container}/archive", {"path": path}, limit=limit)

    # -- networks and volumes

    def networks(self, labels: Iterable[str] = ()) -> list[Json]:
        """List the networks that bear all `labels`."""
        params = {"filters": as_filters({"label": list(labels)})} if labels else None
        return cast(list[Json], self._json("GET", "/networks", params=params))

    def network(self, name: str) -> Json | None:
        """Inspect a network; None when there is none."""
        return self._found(f"/networks/{name}")

    def create_network(
        self,
        name: str,
        subnet: str,
        labels: Mapping[str, str],
        options: Mapping[str, str],
        *,
        gateway: str,
        handed_out: str,
    ) -> str:
        """Create a bridge network with one IPv4 subnet and return its id; `handed_out` is what the engine may give.

        A second one of the name is refused.
        """
        made = self.post(
            "/networks/create",
            {
                "Name": name,
                "Driver": "bridge",
                "CheckDuplicate": True,
                "IPAM": {
                    "Driver": "default",
                    "Config": [{"Subnet": subnet, "IPRange": handed_out, "Gateway": gateway}],
                },
                "Labels": dict(labels),
                "Options": dict(options),
            },
        )
        return str(made["Id"])

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is gone is fine."""
        self._remove(f"/networks/{name}")

    def volumes(self, labels: Iterable[str]) -> list[Json]:
        """List the volumes that bear all `labels`."""
        found = self.get_json("/volumes", filters=as_filters({"label": list(labels)}))
        return cast(list[Json], found["Volumes"] or [])

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume; one of that name that exists is fine."""
        self.post("/volumes/create", {"Name": name, "Labels": dict(labels)})

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone is fine."""
        self._remove(f"/volumes/{name}")

    # -- swarm

    def swarm_objects(self, kind: str, filters: Mapping[str, Any] | None = None, **params: Any) -> list[Json]:
        """List the swarm's `nodes`, `services`, `tasks`, `secrets` or `configs`. Only a manager answers."""
        if filters:
            params["filters"] = as_filters(filters)
        return cast(list[Json], self._json("GET", f"/{kind}", params=params) or [])

    def swarm_object(self, kind: str, id_: str) -> Json | None:
        """Inspect one of the swarm's objects; None when there is none."""
        return self._found(f"/{kind}/{id_}")

    def events(
        self, filters: Mapping[str, Any] | None = None, *, since: int | None = None, until: int | None = None
    ) -> Iterator[Json]:
        """Follow the engine's events until the connection ends, or those between two times (seconds since 1970)."""
        params = {"since": since, "until": until, "filters": as_filters(filters or {}) if filters else None}
        rest = b""
        for piece in self._streamed("/events", params):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (cast(Json, json.loads(line)) for line in lines if line.strip())
        if rest.strip():
            raise EngineUnreachable(f"{self.where} does not answer: an event was cut off in the middle")


def tar_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Make a tar archive of path -> (content, mode), owned by root; folders are made as they are needed."""
    import tarfile

    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode) in files.items():
            parts = path.strip("/").split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
                    archive.addfile(entry)
            entry = tarfile.TarInfo(path.strip("/"))
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
