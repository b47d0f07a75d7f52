"""Where an engine listens, and which one is this machine's own.

The order is the Docker CLI's: DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the usual
sockets. What `labctl env` and the contexts of labs point at is never taken for the host's engine, so
that labctl goes on working in a shell that talks to a lab.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from labctl.errors import HostError
from labctl.state import at_home, state_dir

__all__ = ["CONTEXT_PREFIX", "WINDOWS_PIPE", "Endpoint", "docker_config_dir", "host_endpoint", "talks_to_a_lab"]

CONTEXT_PREFIX = "labctl-"
SCHEMES = ("unix", "npipe", "tcp", "http", "https", "ssh")
SYSTEM_SOCKET = Path("/var/run/docker.sock")
WINDOWS_PIPE = "npipe:////./pipe/docker_engine"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Endpoint:
    """An address that an engine listens at. `tls` is a folder with ca.pem, cert.pem and key.pem."""

    url: str
    tls: Path | None = None
    source: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: a socket, a pipe or a loopback address."""
        scheme, host = _scheme_and_host(self.url)
        return scheme in ("unix", "npipe") or (scheme in ("tcp", "http", "https") and host in LOOPBACK)


def docker_config_dir() -> Path:
    """Return the Docker CLI's own folder: DOCKER_CONFIG or ~/.docker. Raises HostError where no home is known."""
    chosen = os.environ.get("DOCKER_CONFIG")
    return Path(chosen) if chosen else at_home(lambda: Path.home() / ".docker", "DOCKER_CONFIG names another folder.")


def host_endpoint() -> Endpoint:
    """Return the endpoint of this machine's engine, as the Docker CLI would choose it.

    Raises HostError for one on another machine, since a node's ports would be published over there, and for
    what is no address.
    """
    endpoint = _from_environment() or _from_context() or _from_sockets()
    if _scheme_and_host(endpoint.url)[0] not in SCHEMES:
        raise HostError(
            f"{endpoint.url!r} ({endpoint.source}) is no engine's address",
            hint="One looks like unix:///var/run/docker.sock; without DOCKER_HOST the usual places are tried.",
        )
    if sys.platform == "win32" and _scheme_and_host(endpoint.url)[0] == "unix":
        raise HostError(
            f"Windows has no way to {endpoint.url} ({endpoint.source})",
            hint=f"Docker Desktop listens at {WINDOWS_PIPE}: unset DOCKER_HOST, or `docker context use default`.",
        )
    if not endpoint.is_local:
        raise HostError(
            f"the engine at {endpoint.url} ({endpoint.source}) is on another machine: "
            "a lab's ports would open there, not here",
            hint="Unset DOCKER_HOST or run `docker context use default`, and try again.",
        )
    return endpoint


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or ""
    except ValueError:  # half of an IPv6 address
        return "", ""


def _from_environment() -> Endpoint | None:
    url = os.environ.get("DOCKER_HOST")
    certs = os.environ.get("DOCKER_CERT_PATH")
    if not url:
        return None
    if certs and _is_ours(Path(certs)):
        return None
    uses_tls = bool(os.environ.get("DOCKER_TLS_VERIFY")) or bool(certs)
    if not uses_tls:
        return Endpoint(url, None, "DOCKER_HOST")
    return Endpoint(url, Path(certs) if certs else docker_config_dir(), "DOCKER_HOST")


def talks_to_a_lab() -> bool:
    """Whether the `docker` command of this shell talks to a node of a lab (`eval "$(labctl env)"`)."""
    certs = os.environ.get("DOCKER_CERT_PATH")
    return bool(os.environ.get("DOCKER_HOST") and certs and _is_ours(Path(certs)))


def _is_ours(folder: Path) -> bool:
    return folder.resolve().is_relative_to(state_dir().resolve())


def _from_context() -> Endpoint | None:
    name = os.environ.get("DOCKER_CONTEXT") or _current_context()
    if not name or name == "default" or name.startswith(CONTEXT_PREFIX):
        return None
    import hashlib

    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = docker_config_dir() / "contexts" / "meta" / digest / "meta.json"
    try:
        url = json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError):
        raise HostError(
            f"the Docker context {name!r} cannot be read", hint="`docker context use default` goes back."
        ) from None
    tls = docker_config_dir() / "contexts" / "tls" / digest / "docker"
    return Endpoint(str(url), tls if tls.is_dir() else None, f"context {name}")


def _current_context() -> str | None:
    try:
        config = json.loads((docker_config_dir() / "config.json").read_text(encoding="utf-8"))
    except (HostError, OSError, ValueError):
        return None
    name = config.get("currentContext") if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _from_sockets() -> Endpoint:
    if sys.platform == "win32":
        return Endpoint(WINDOWS_PIPE, None, "the usual place")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [SYSTEM_SOCKET, *([Path(runtime) / "docker.sock"] if runtime else [])]
    with suppress(RuntimeError):  # no home is known
        candidates += [Path.home() / ".docker" / folder / "docker.sock" for folder in ("run", "desktop")]
    # Another user's folder, which one may not enter, has none for us: Path.exists() would raise.
    found = next((path for path in candidates if os.path.exists(path)), candidates[0])  # noqa: PTH110  see above
    return Endpoint(f"unix://{found}", None, "the usual place")
