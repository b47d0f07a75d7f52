"""A Docker engine, as the calls that a lab needs. Answers are the API's own JSON.

Field names are those of the Engine API (https://docs.docker.com/reference/api/engine/); durations are
seconds unless a name says otherwise. Every method raises EngineUnreachable when the engine does not
answer and EngineRefused, with the engine's words, when it answers with an error.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from labctl.engine.attached import Attached, ExecOutcome
from labctl.engine.endpoint import Endpoint
from labctl.engine.errors import keys_hint, translated
from labctl.engine.imagecalls import ImageCalls
from labctl.errors import EngineRefused, EngineUnreachable, HostError
from labctl.kept import Kept
from labctl.waiting import stretched

__all__ = ["Engine", "ExecOutcome", "Json", "client_class", "tar_of"]

Json = dict[str, Any]
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

    @property
    def api(self) -> Any:
        """The docker.APIClient; made at first use. Any: docker's stubs leave out the request helpers used here."""
        # Not a cached_property: before Python 3.12 those of all engines share one lock, and one that hangs while
        # it is asked for its version would hold up every other.
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        from docker.tls import TLSConfig

        tls: Any = False
        folder = self.endpoint.tls
        if folder is not None:
            certificate, key, authority = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
            missing = [path.name for path in (certificate, key, authority) if not path.exists()]
            if missing:
                raise HostError(
                    f"keys are missing in {folder}: {', '.join(missing)}",
                    hint=keys_hint(),
                )
            tls = TLSConfig(client_cert=(str(certificate), str(key)), ca_cert=str(authority), verify=True)
        with translated(self.where):
            first = stretched(min(self._limit, FIRST_LIMIT))
            client = client_class()(
                base_url=self.endpoint.url, tls=tls, timeout=first, version="auto", max_pool_size=64
            )
        client.timeout = stretched(self._limit)
        return client

    def connect(self) -> None:
        """Connect, unless that was done: the engine answers then."""
        _ = self.api

    def close(self) -> None:
        """Close the connection, if one was made."""
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
        with translated(self.where):
            return cast(Json, self.api.version())

    def ping(self, *, limit: float = PING_LIMIT) -> str:
        """GET /_ping: return the engine's version. GET /version starts programs on each call, to ask for theirs.

        `limit` is in seconds, of an engine that is connected.
        """
        with translated(self.where):
            answer = self.api._get(f"{self.api.base_url}/_ping", timeout=stretched(limit))
            self.api._raise_for_status(answer)
            return str(answer.headers.get("Server", "")).removeprefix("Docker/").partition(" ")[0]

    def info(self) -> Json:
        """GET /info."""
        with translated(self.where):
            return cast(Json, self.api.info())

    def identity(self) -> str:
        """The engine's own ID, asked once: the same from all who talk to it."""
        if self._identity is None:
            self._identity = str(self.info().get("ID", ""))
        return self._identity

    # -- containers

    def containers(self, labels: Iterable[str], *, everything: bool = True) -> list[Json]:
        """List the containers that bear all `labels` ("key" or "key=value"); stopped ones too."""
        with translated(self.where):
            return cast(list[Json], self.api.containers(all=everything, filters={"label": list(labels)}))

    def container(self, name: str) -> Json | None:
        """Inspect a container; None when there is none of that name."""
        try:
            with translated(self.where):
                return cast(Json, self.api.inspect_container(name))
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an API config (POST /containers/create) and return its id."""
        with translated(self.where):
            return cast(str, self.api.create_container_from_config(dict(config), name)["Id"])

    def start(self, container: str) -> None:
        """Start a container; one that runs already is fine."""
        with translated(self.where):
            self.api.start(container)

    def stop(self, container: str, *, grace: int = 10) -> None:
        """Stop a container: SIGTERM, and SIGKILL after `grace` seconds."""
        with translated(self.where):
            self.api.stop(container, timeout=grace)

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the container's first process."""
        with translated(self.where):
            self.api.kill(container, signal)

    def pause(self, container: str) -> None:
        """Freeze all that runs in a container."""
        with translated(self.where):
            self.api.pause(container)

    def unpause(self, container: str) -> None:
        """Let what runs in a frozen container go on."""
        with translated(self.where):
            self.api.unpause(container)

    def remove(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; one that is gone is fine."""
        try:
            with translated(self.where):
                self.api.remove_container(container, v=True, force=True)
        except EngineRefused as refused:
            # 409: another call is removing it at this moment, which is what was wanted.
            if refused.status not in (404, 409):
                raise

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
        with translated(self.where):
            return int(self.api.wait(container, timeout=limit)["StatusCode"])

    def logs(self, container: str, *, tail: int | str = "all") -> str:
        """Return what a container wrote, both streams together: of more than 16 MiB, the last part."""
        kept = Kept()
        for chunk in self.follow_logs(container, tail=tail):
            kept.add(chunk)
        return kept.text()

    def follow_logs(self, container: str, *, tail: int | str = "all", wait: bool = False) -> Iterator[bytes]:
        """Yield what a container wrote, both streams together; with `wait`, until it ends."""
        with translated(self.where):
            yield from self.api.logs(container, tail=tail, stream=True, follow=wait)

    def execute(
        self, container: str, command: list[str], *, env: Mapping[str, str] | None = None, user: str = ""
    ) -> ExecOutcome:
        """Run a command in a running container and wait for its end. There is no limit here: the caller sets one."""
        with contextlib.closing(Attached(self, container, command, stdin=False, env=env, user=user)) as attached:
            return attached.outcome()

    def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder of the container, running or not."""
        with translated(self.where):
            self.api.put_archive(container, folder, archive)

    def get(self, container: str, path: str) -> Iterator[bytes]:
        """Read a file or folder of the container as a tar archive."""
        with translated(self.where):
            stream, _ = self.api.get_archive(container, path)
            yield from stream

    # -- networks and volumes

    def networks(self, labels: Iterable[str] = ()) -> list[Json]:
        """List the networks that bear all `labels`."""
        with translated(self.where):
            return cast(list[Json], self.api.networks(filters={"label": list(labels)} if labels else None))

    def network(self, name: str) -> Json | None:
        """Inspect a network; None when there is none."""
        try:
            with translated(self.where):
                return cast(Json, self.api.inspect_network(name))
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise

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
        from docker.types import IPAMConfig, IPAMPool

        pool = IPAMPool(subnet=subnet, gateway=gateway, iprange=handed_out)
        with translated(self.where):
            made = self.api.create_network(
                name,
                driver="bridge",
                check_duplicate=True,
                ipam=IPAMConfig(pool_configs=[pool]),
                labels=dict(labels),
                options=dict(options),
            )
        return cast(str, made["Id"])

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is gone is fine."""
        try:
            with translated(self.where):
                self.api.remove_network(name)
        except EngineRefused as refused:
            if refused.status != 404:
                raise

    def volumes(self, labels: Iterable[str]) -> list[Json]:
        """List the volumes that bear all `labels`."""
        with translated(self.where):
            return cast(list[Json], self.api.volumes(filters={"label": list(labels)})["Volumes"] or [])

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume; one of that name that exists is fine."""
        with translated(self.where):
            self.api.create_volume(name, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone is fine."""
        try:
            with translated(self.where):
                self.api.remove_volume(name, force=True)
        except EngineRefused as refused:
            if refused.status != 404:
                raise

    # -- swarm

    def swarm_objects(self, kind: str, filters: Mapping[str, Any] | None = None, **params: Any) -> list[Json]:
        """List the swarm's `nodes`, `services`, `tasks`, `secrets` or `configs`. Only a manager answers."""
        import docker.utils

        with translated(self.where):
            if filters:
                params["filters"] = docker.utils.convert_filters(dict(filters))
            answer = self.api._get(self.api._url("/{0}", kind), params=params)
            return cast(list[Json], self.api._result(answer, json=True) or [])

    def swarm_object(self, kind: str, id_: str) -> Json | None:
        """Inspect one of the swarm's objects; None when there is none."""
        try:
            with translated(self.where):
                answer = self.api._get(self.api._url("/{0}/{1}", kind, id_))
                return cast(Json, self.api._result(answer, json=True))
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise

    def post(self, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> Json:
        """POST to an API path (for example "/swarm/init") and return the JSON answered, {} for none."""
        with translated(self.where):
            answer = self.api._post_json(self.api._url(path), data=dict(body or {}), params=params)
            self.api._raise_for_status(answer)
            decoded = answer.json() if answer.content.strip() else {}
            return cast(Json, decoded if isinstance(decoded, dict) else {"": decoded})

    def get_json(self, path: str, **params: Any) -> Json:
        """GET an API path and return the JSON answered."""
        with translated(self.where):
            answer = self.api._get(self.api._url(path), params=params)
            return cast(Json, self.api._result(answer, json=True))

    def delete(self, path: str, **params: Any) -> None:
        """DELETE an API path."""
        with translated(self.where):
            self.api._raise_for_status(self.api._delete(self.api._url(path), params=params))

    def events(
        self, filters: Mapping[str, Any] | None = None, *, since: int | None = None, until: int | None = None
    ) -> Iterator[Json]:
        """Follow the engine's events until the connection ends, or those between two times (seconds since 1970)."""
        with translated(self.where):
            yield from self.api.events(since=since, until=until, filters=dict(filters or {}), decode=True)


@cache
def client_class() -> Any:
    """The docker.APIClient that is used here. Made late: importing docker takes longer than most commands do."""
    import docker

    class Client(docker.APIClient):
        """Takes nothing from the environment.

        An engine is on this machine, so a proxy is not for it; and REQUESTS_CA_BUNDLE, which requests
        prefers to a session's own CA, knows nothing of a lab's. Which API the engine speaks stands in the answer
        to a ping, which is cheaper for an engine that boots than the whole of its version.
        """

        def _retrieve_server_version(self) -> str:
            client: Any = self  # types-docker leaves the request helpers out
            answer = client._get(f"{self.base_url}/_ping")
            client._raise_for_status(answer)
            return str(answer.headers.get("Api-Version") or client.version(api_version=False)["ApiVersion"])

        @property
        def trust_env(self) -> bool:
            return False

        @trust_env.setter
        def trust_env(self, value: bool) -> None:
            pass

    return Client


def tar_of(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Make a tar archive of path -> (content, mode), owned by root; folders are made as they are needed."""
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
