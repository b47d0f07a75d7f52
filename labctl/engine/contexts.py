"""Docker contexts for labs: `docker --context labctl-lab node ls`.

A context is two folders of the Docker CLI's, named by the SHA-256 of the context's name
(docker/cli cli/context/store): meta/<digest>/meta.json and tls/<digest>/docker/*.pem.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from labctl.engine.endpoint import CONTEXT_PREFIX, Endpoint, docker_config_dir
from labctl.errors import HostError
from labctl.events import Emit, Warned, quiet
from labctl.locking import Busy, held_file
from labctl.owner import is_anothers, own_mark
from labctl.spec import labels
from labctl.state import locks_dir, write_private

__all__ = ["context_name", "create", "remove"]

TLS_FILES = ("ca.pem", "cert.pem", "key.pem")
META_FILE = "meta.json"
MARK = "labctl"  # in a context's metadata: whose it is, and what it was made to lead to
HELD_LIMIT = 10.0  # seconds that another command may take


def context_name(lab: str) -> str:
    """The name of a lab's context."""
    return CONTEXT_PREFIX + lab


def create(lab: str, endpoint: Endpoint, emit: Emit = quiet) -> str:
    """Make the lab's context lead to an engine, or recreate it, and return its name.

    One of that name that labctl did not make, or that somebody has changed since, is left alone, and a warning says so.
    A folder of the Docker CLI's that is not known or cannot be written is a warning too: `labctl env` leads to the lab
    all the same.
    """
    name = context_name(lab)
    try:
        meta, tls = _folders(name)
    except HostError as unknown:
        emit(Warned(f"lab {lab} gets no Docker context: {unknown.message}. {unknown.hint}"))
        return name
    with _held():
        if not _is_ours(lab, meta):
            emit(
                Warned(
                    f"the Docker context {name} is not labctl's, and is left alone: it does not lead to lab {lab}. "
                    f'`eval "$(labctl env -l {lab})"` leads there; `docker context rm {name}` makes room for it'
                )
            )
            return name
        described = _described(lab, endpoint)
        try:
            if endpoint.tls is not None:
                tls.mkdir(mode=0o700, parents=True, exist_ok=True)
                for file in TLS_FILES:
                    write_private(tls / file, (endpoint.tls / file).read_bytes())
            meta.mkdir(parents=True, exist_ok=True)
            write_private(meta / META_FILE, json.dumps(described).encode())
        except (OSError, HostError) as problem:
            said = f"{problem.filename}: {problem.strerror}" if isinstance(problem, OSError) else problem.message
            emit(
                Warned(
                    f"no Docker context {name} could be made ({said}); "
                    f'`eval "$(labctl env -l {lab})"` leads to the lab all the same. '
                    "DOCKER_CONFIG names another folder"
                )
            )
    return name


def _described(lab: str, endpoint: Endpoint) -> dict[str, object]:
    """What the Docker CLI reads of a context."""
    return {
        "Name": context_name(lab),
        "Metadata": {
            "Description": _description(lab),
            MARK: {"owner": own_mark(), "host": endpoint.url},
        },
        "Endpoints": {"docker": {"Host": endpoint.url, "SkipTLSVerify": False}},
    }


def remove(lab: str) -> None:
    """Remove the lab's context; missing is fine. A shell that has it as its current one goes back to default.

    What labctl did not make, or somebody has changed since, stays.
    """
    name = context_name(lab)
    try:
        meta, tls = _folders(name)
        if not meta.exists() and not tls.parent.exists():
            return
    except (HostError, OSError):
        return  # a folder that is not known, or that one may not enter, has none
    with _held():
        if not _is_ours(lab, meta):
            return
        for folder in (meta, tls.parent):
            shutil.rmtree(folder, ignore_errors=True)
        _forget_current(name)


@contextmanager
def _held() -> Iterator[None]:
    """Two commands on two labs write the same configuration of the Docker CLI. One that hangs is not waited for."""
    with ExitStack() as stack:
        with suppress(Busy, OSError):
            stack.enter_context(held_file(locks_dir() / "_contexts.lock", wait=HELD_LIMIT))
        yield


def _description(lab: str) -> str:
    return f"the swarm of labctl's lab {lab}"


def _is_ours(lab: str, meta: Path) -> bool:
    """Whether the context is missing, or is as labctl made it from this state folder.

    One that an older labctl made has only its description to tell.
    """
    try:
        found = json.loads((meta / META_FILE).read_text(encoding="utf-8"))
        about, host = found["Metadata"], found["Endpoints"]["docker"]["Host"]
        mark = about.get(MARK)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    if mark is None:
        return bool(about.get("Description") == _description(lab))
    return (
        isinstance(mark, dict) and mark.get("host") == host and not is_anothers({labels.OWNER: str(mark.get("owner"))})
    )


def _folders(name: str) -> tuple[Path, Path]:
    digest = hashlib.sha256(name.encode()).hexdigest()
    contexts = docker_config_dir() / "contexts"
    return contexts / "meta" / digest, contexts / "tls" / digest / "docker"


def _forget_current(name: str) -> None:
    """Take the context out of the Docker CLI's configuration: of the file that a link leads to, and with its mode."""
    file = docker_config_dir() / "config.json"
    try:
        file = file.resolve()
        config = json.loads(file.read_text(encoding="utf-8"))
        mode = stat.S_IMODE(file.stat().st_mode)
    except (OSError, ValueError):
        return
    if isinstance(config, dict) and config.get("currentContext") == name:
        del config["currentContext"]
        write_private(file, json.dumps(config, indent=2).encode())
        with suppress(OSError):
            file.chmod(mode)
