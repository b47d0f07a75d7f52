"""One archive with all that a bug report needs, of a lab or of this machine alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import UsageError
from labctl.export import Collector, Redactor, host_collectors, lab_collectors, write_archive
from labctl.export.collectors import lab_secrets
from labctl.files import is_special
from labctl.host import examine
from labctl.lab.context import Context
from labctl.lab.status import status_of

if TYPE_CHECKING:
    from labctl.lab.lab import Lab

__all__ = ["write_report"]


def write_report(context: Context, lab: Lab | None, output: Path | None = None, problem: str = "") -> tuple[Path, str]:
    """Write the archive and return its path, and how many of the looks came to something.

    `output` is the file, or a folder for it, the working folder where it is not said. Known secrets are removed. What
    does not answer is told inside; `problem` is why there is no lab. Raises UsageError for a place that is none.
    """
    file = _file(output, lab.name if lab else "none")
    looks = [
        *host_collectors(context.engine),
        Collector("doctor.json", lambda: examine(max(1, len(lab.nodes) if lab else 4)).to_dict()),
    ]
    redactor = Redactor()
    if lab is not None:
        looks += [Collector("lab/status.json", lambda: status_of(context, lab.record).to_dict())]
        looks += lab_collectors(context.engine, lab.backend, lab.record)
        redactor = Redactor(lab_secrets(lab.record))
    else:
        looks.append(Collector("lab/problem.txt", lambda: problem))
    missing = write_archive(file, looks, redactor)
    return file, f"{len(looks) - len(missing)} of {len(looks)} looks"


def _file(output: Path | None, lab: str) -> Path:
    name = f"labctl-logs-{lab}-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    file = Path(name) if output is None else output / name if output.is_dir() else output
    if str(output) == "-":
        raise UsageError("-o -: the archive goes to a file, not to standard output", hint="`-o FILE` names one.")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent}: there is no such folder")
    if is_special(file):
        raise UsageError(f"{file} is a pipe, a socket or a device", hint="`-o FILE` takes a file's path.")
    return file.absolute()
