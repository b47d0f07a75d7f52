"""Docker contexts for labs: `docker --context labctl-lab node ls`.

A context is two folders of the Docker CLI's, named by the SHA-256 of the context's name
(docker/cli cli/context/store): meta/<digest>/meta.json and tls/<digest>/docker/*.pem.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from labctl.engine.endpoint import CONTEXT_PREFIX, Endpoint, docker_config_dir
from labctl.errors import HostError
from labctl.state import write_private

__all__ = ["context_name", "create", "remove"]

TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


def context_name(lab: str) -> str:
    """The name of a lab's context."""
    return CONTEXT_PREFIX + lab


def create(lab: str, endpoint: Endpoint) -> str:
    """Make the lab's context point at an engine, or make it anew, and return its name.

    Raises HostError when the Docker CLI's folder cannot be written.
    """
    name = context_name(lab)
    meta, tls = _folders(name)
    described = {
        "Name": name,
        "Metadata": {"Description": f"the swarm of labctl's lab {lab}"},
        "Endpoints": {"docker": {"Host": endpoint.url, "SkipTLSVerify": False}},
    }
    try:
        if endpoint.tls is not None:
            tls.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in TLS_FILES:
                write_private(tls / file, (endpoint.tls / file).read_bytes())
        meta.mkdir(parents=True, exist_ok=True)
        write_private(meta / "meta.json", json.dumps(described).encode())
    except OSError as problem:
        raise HostError(f"cannot make the Docker context {name}: {problem.filename}: {problem.strerror}") from problem
    return name


def remove(lab: str) -> None:
    """Remove the lab's context; missing is fine. A shell that has it as its current one goes back to default."""
    name = context_name(lab)
    meta, tls = _folders(name)
    for folder in (meta, tls.parent):
        shutil.rmtree(folder, ignore_errors=True)
    _forget_current(name)


def _folders(name: str) -> tuple[Path, Path]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    contexts = docker_config_dir() / "contexts"
    return contexts / "meta" / digest, contexts / "tls" / digest / "docker"


def _forget_current(name: str) -> None:
    file = docker_config_dir() / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(config, dict) and config.get("currentContext") == name:
        del config["currentContext"]
        write_private(file, json.dumps(config, indent=2).encode())
