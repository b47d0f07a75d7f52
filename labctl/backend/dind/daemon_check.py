"""Whether the nodes' engine takes a configuration: it is asked, before there is a node that would not come up."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from labctl.engine import Engine
from labctl.engine.client import tar_of
from labctl.errors import UsageError
from labctl.owner import marks

__all__ = ["refuse_unreadable"]

LIMIT = 60.0  # seconds; it takes half of one
# What dockerd puts before its reason (engine 23 to 29).
PREFACES = (
    "unable to configure the Docker daemon with file /daemon.json: ",
    "merged configuration validation from file and command line flags failed: ",
)


def refuse_unreadable(engine: Engine, image: str, lab: str, config: Mapping[str, object]) -> None:
    """Raise UsageError when `dockerd --validate` of the image does not take the configuration (engines since 23)."""
    readable = {key: value for key, value in config.items() if not key.startswith("tls")}  # the keys are not there yet
    name = f"labctl-{lab}-daemon-check-{secrets.token_hex(4)}"
    body = {
        "Image": image,
        "Entrypoint": ["dockerd", "--validate", "--config-file", "/daemon.json"],
        "Labels": marks(lab, "check"),
        "HostConfig": {"NetworkMode": "none"},
    }
    engine.create(name, body)
    try:
        engine.put(name, "/", tar_of({"daemon.json": (json.dumps(readable).encode(), 0o600)}))
        engine.start(name)
        if engine.wait_exit(name, limit=LIMIT) == 0:
            return
        said = (engine.logs(name, tail=1).strip().splitlines() or ["it said nothing"])[-1]
    finally:
        engine.remove(name)
    for preface in PREFACES:
        said = said.replace(preface, "")
    raise UsageError(
        f"the nodes' engine does not take these options: {said}",
        hint="`--engine-opt KEY=VALUE`, or `engine:` in lab.yaml, takes what a daemon.json does.",
    )
