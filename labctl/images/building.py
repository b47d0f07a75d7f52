"""One image built by an engine: progress told, a failure explained, a failed download tried again."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from labctl.engine import Engine
from labctl.errors import EngineRefused, HostError, LabctlError, NotYetError
from labctl.images.progress import Note, heard

__all__ = ["BuildLog", "Recipe", "build", "instruction_lines", "is_download_failure", "is_no_space"]

IDLE = 600.0  # seconds without a word after which a build is given up
PAUSES = (3.0, 8.0, 15.0, 30.0, 30.0)  # seconds before a failed download is tried again
TAIL = 15  # lines of output that an error shows at most
# What apt, curl and pip say when the network is at fault. `apt-get update` ends well all the same, and the
# packages are then unknown.
_DOWNLOAD_WORDS = (
    "Temporary failure resolving",
    "Temporary failure in name resolution",
    "Could not resolve",
    "Could not connect",
    "Connection failed",
    "Connection timed out",
    "Unable to connect",
    "Unable to fetch",
    "Failed to fetch",
    "Hash Sum mismatch",
    "Some index files failed to download",
    "TLS handshake timeout",
    "i/o timeout",
    "Couldn't download",
    "Failed getting release file",
)
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ITS_OWN = re.compile(r" --->|Removing intermediate container ")  # what the builder itself says
_IMAGE_STEP = re.compile(r"FROM\s|COPY\s+(?:--\S+\s+)*--from=", re.IGNORECASE)
_REGISTRY_HOST = re.compile(r'"https?://([^/"]+)/')
_UNREACHABLE = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|deadline exceeded|EOF")
_NO_IMAGE = re.compile(
    r"manifest unknown|manifest for \S+ not found|pull access denied|not found: does not exist|denied:"
)
_LAYER = re.compile(r" ---> ([0-9a-f]{12})\s*$")


@dataclass(frozen=True)
class Recipe:
    """What to build. `context` is a tar archive with a Dockerfile, `own` says that this is the user's.

    Without a `tag` the layers are made and nothing is named. `network` is what its commands reach: labctl's own fetch
    packages with this host's network.
    """

    name: str
    tag: str
    context: bytes | IO[bytes]
    dockerfile: str
    labels: Mapping[str, str] = field(default_factory=dict)
    build_args: Mapping[str, str] = field(default_factory=dict)
    own: bool = False
    where: str = "Dockerfile"
    inner: str = "Dockerfile"  # its place in the context
    network: str = "host"


class BuildLog:
    """What a build has said so far."""

    def __init__(self) -> None:
        self.step, self.steps, self.instruction = 0, 0, ""
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.layers: list[str] = []
        self.download_failure = ""
        self._cached = False

    def hear(self, line: Mapping[str, Any]) -> str:
        """Take in one of the engine's lines; returns what there is to tell, "" for nothing."""
        text = str(line.get("stream") or "")
        if found := _STEP.match(text):
            self.step, self.steps, self.instruction = int(found[1]), int(found[2]), found[3].strip()
            self.tail.clear()
            self.download_failure = ""
            self._cached = self.instruction.upper().startswith("FROM")
            return f"step {self.step}/{self.steps}: {_one_line(self.instruction)}"
        if "Using cache" in text:
            self._cached = True
        if found := _LAYER.match(text):
            if not self._cached:
                self.layers.append(found[1])
            return ""
        said = [
            part.rstrip() for part in _COLOUR.sub("", text).splitlines() if part.strip() and not _ITS_OWN.match(part)
        ]
        self.tail.extend(said)
        self.download_failure = next((line for line in said if is_download_failure(line)), self.download_failure)
        return f"step {self.step}/{self.steps}: {_one_line(said[-1])}" if said else ""


def build(engine: Engine, recipe: Recipe, note: Note, *, stop: threading.Event | None = None) -> None:
    """Build an image on the engine.

    A build that failed for its network is tried again for a minute and a half; what it had done is kept by
    the engine. Raises HostError, or NotYetError for a Dockerfile of the user's own, with the failing line.
    """
    for pause in (*PAUSES, None):
        log = BuildLog()
        try:
            for line in heard(_lines(engine, recipe), f"building {recipe.name}", idle=IDLE, stop=stop):
                if told := log.hear(line):
                    note(f"{recipe.name}: {told}")
            return
        except EngineRefused as refused:
            if is_no_space("\n".join((*log.tail, refused.message))):
                _drop(engine, log)
                raise _disk_full(recipe, log) from refused
            if log.download_failure and pause is not None:
                note(f"{recipe.name}: a download failed; again in {pause:.0f} s")
                (stop or threading.Event()).wait(pause)
                continue
            raise _explained(recipe, log, refused) from refused


def is_download_failure(text: str) -> bool:
    """Whether what was said means that the network, not the recipe, is at fault."""
    return any(word in text for word in _DOWNLOAD_WORDS)


def is_no_space(text: str) -> bool:
    """Whether what was said means that a disk is full."""
    return "no space left on device" in text.lower()


def instruction_lines(dockerfile: str) -> list[int]:
    """Return the number of the line on which each instruction begins, counted from 1."""
    lines: list[int] = []
    continued = False
    for number, line in enumerate(dockerfile.splitlines(), start=1):
        text = line.strip()
        if text.startswith("#") or (not text and not continued):
            continue
        if not continued:
            lines.append(number)
        continued = text.endswith("\\")
    return lines


def _lines(engine: Engine, recipe: Recipe) -> Iterator[dict[str, Any]]:
    options: dict[str, Any] = {"tag": recipe.tag} if recipe.tag else {}
    if not isinstance(recipe.context, bytes):
        recipe.context.seek(0)  # an earlier try may have read it
    return engine.build(
        recipe.context,
        dockerfile=recipe.inner,
        labels=dict(recipe.labels),
        buildargs=dict(recipe.build_args),
        network_mode=recipe.network,
        forcerm=True,
        **options,
    )


def _disk_full(recipe: Recipe, log: BuildLog) -> HostError:
    return HostError(
        f"building {recipe.name}: the engine's disk is full, in step {log.step}; nothing of it was kept",
        hint="`docker system df` shows what takes room; `labctl image prune` removes labctl's old images.",
    )


def _explained(recipe: Recipe, log: BuildLog, refused: EngineRefused) -> LabctlError:
    kind = NotYetError if recipe.own else HostError
    if log.download_failure:
        hint = "Is this machine's network up? `labctl bundle load FILE` needs none."
        if recipe.own and recipe.network != "host":
            hint = "Is this machine's network up? With `--network host` the build uses it as this machine does."
        return kind(
            f"building {recipe.name}: a download failed again and again: {log.download_failure.strip()}", hint=hint
        )
    if not log.step:
        return kind(f"building {recipe.name}: {refused.message}")
    lines = instruction_lines(recipe.dockerfile)
    place = f"{recipe.where}:{lines[log.step - 1]}" if log.step <= len(lines) else f"step {log.step}"
    tail = "".join(f"\n    {line}" for line in log.tail)
    hint = _missing_image(refused.message) if recipe.own and _IMAGE_STEP.match(log.instruction) else refused.message
    return kind(f"building {recipe.name} failed at {place}: {_one_line(log.instruction)}{tail}", hint=hint)


def _missing_image(said: str) -> str:
    """What to do about an image that a Dockerfile names and this host's engine could not get."""
    said = said.removeprefix("the engine refused: ")
    host = _REGISTRY_HOST.search(said)
    where = "Docker Hub" if host is None or host[1].endswith("docker.io") else host[1]
    if _UNREACHABLE.search(said):
        what = f"{where} is out of reach of this host's engine ({said})."
    elif _NO_IMAGE.search(said):
        what = f"{where if host else 'The registry'} does not give this host's engine the image ({said})."
    else:
        return f"the engine refused: {said}"
    return (
        f"{what}\n     `labctl image ls` shows what labctl builds, and a Dockerfile can name here; "
        "`docker load` brings another image to this host's engine."
    )


def _drop(engine: Engine, log: BuildLog) -> None:
    """Remove the layers that this build made: on a full disk they are only in the way."""
    for layer in reversed(log.layers):
        try:
            engine.remove_image(layer)
        except EngineRefused:
            return  # a layer below one that stays cannot go


def _one_line(text: str) -> str:
    flat = " ".join(text.replace("\\\n", " ").split())
    return flat if len(flat) <= 100 else f"{flat[:99]}…"
