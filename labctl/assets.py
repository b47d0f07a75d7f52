"""Where the files that are not Python are: beside the package in a clone, inside it in a wheel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["asset", "digest_of"]


@cache
def _root() -> Path:
    package = Path(__file__).resolve().parent
    packed = package / "_data"
    return packed if packed.is_dir() else package.parent


def asset(name: str) -> Path:
    """Return the path of one of `dind`, `images`, `exercises`, `playbooks`, `Vagrantfile`.

    Raises FileNotFoundError when the installation is incomplete.
    """
    path = _root() / name
    if not path.exists():
        raise FileNotFoundError(f"labctl is installed without its {name}: {path} is missing")
    return path


def digest_of(paths: Iterable[Path], *extra: str) -> str:
    """Return 12 hex digits that change when a file's content, mode or place below the paths does."""
    sum_ = hashlib.sha256()
    for top in paths:
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                place = file.relative_to(top) if top.is_dir() else Path(file.name)
                sum_.update(f"{place}\0{file.stat().st_mode & 0o111:o}\0".encode())
                sum_.update(file.read_bytes())
    for text in extra:
        sum_.update(text.encode())
    return sum_.hexdigest()[:12]
