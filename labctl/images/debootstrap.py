"""A Debian root file system from a package mirror, imported as an image. Needs root and the program debootstrap.

Signatures are checked: without Debian's keys there is no image. Everything happens in one temporary
folder and in a mount namespace of its own, so that nothing is left mounted or lying about.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from labctl.engine import Engine
from labctl.errors import HostError
from labctl.images.building import is_download_failure, is_no_space
from labctl.images.progress import Note, heard
from labctl.spec import labels

__all__ = ["SUITE", "debian_mirror", "make_base", "requirements"]

SUITE = "trixie"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("gpg", "pgp"))
ROOM = 600 << 20  # bytes that the packages and what they unpack to take for a while
TRIES = 4
IDLE = 180.0  # seconds without a line after which debootstrap is given up
PREFIX = "labctl-base-"
IMPORTING = "labctl-base:importing"  # until it is whole
# What no image needs and every node would have to pull.
NOT_NEEDED = (
    "var/cache/apt", "var/lib/apt/lists", "var/log/bootstrap.log", "var/log/apt", "var/cache/debconf/*-old",
    "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian",
)  # fmt: skip
DPKG_RULES = """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
# A build that is cut down is thrown away whole: nothing needs to reach the disk at once.
force-unsafe-io
"""
APT_RULES = """\
Acquire::Languages "none";
Acquire::Retries "5";
Acquire::http::Timeout "30";
"""
CHANGES = (
    f"LABEL {labels.IMAGE}=base",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    'CMD ["bash"]',
)


def make_base(engine: Engine, tag: str, note: Note, *, suite: str = SUITE, stop: threading.Event | None = None) -> None:
    """Make the image `tag` of a release of Debian.

    Raises HostError with what is missing, or what the mirror said, and Abandoned once `stop` is set.
    """
    keyring = requirements()
    _sweep()
    with _workplace() as folder:
        root = _bootstrapped(folder, keyring, suite, note, stop)
        _strip(root)
        note("importing the base image")
        _import(engine, root, tag)


def debian_mirror(etc: Path = Path("/etc/apt")) -> str:
    """Return the Debian mirror that this machine uses itself, the default one on other systems."""
    texts = [path.read_text(errors="replace") for path in sorted((etc / "sources.list.d").glob("*")) if path.is_file()]
    with contextlib.suppress(OSError):
        texts.insert(0, (etc / "sources.list").read_text(errors="replace"))
    for text in texts:
        for line in text.splitlines():
            found = re.match(r"\s*(?:deb\s+(?:\[[^]]*\]\s*)?|URIs:.*?)(https?://\S+/debian)/?(?:\s|$)", line)
            if found:
                return found[1]
    return DEFAULT_MIRROR


def requirements() -> Path:
    """Find out what is missing before anything is fetched; returns the keyring. Raises HostError."""
    why = "the base image is not here and Docker Hub is out of reach, so it must be made of Debian's packages"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise HostError(
            f"{why}, which takes root", hint="`sudo labctl image build base` does it; `labctl bundle load FILE` too."
        )
    missing = [program for program in ("debootstrap", "tar", "unshare") if shutil.which(program) is None]
    keyring = next((path for path in KEYRINGS if path.exists()), None)
    if keyring is None:
        missing.append("debian-archive-keyring")
    if missing or keyring is None:
        raise HostError(
            f"{why}, and {', '.join(missing)} is missing",
            hint="`labctl doctor --fix` installs it (apt-get install debootstrap debian-archive-keyring).",
        )
    return keyring


def _sweep() -> None:
    """Remove what killed runs left: their folders bear the number of a process that is no more."""
    for place in _places():
        for left in place.glob(f"{PREFIX}*"):
            maker = left.name.removeprefix(PREFIX).partition("-")[0]
            if not Path("/proc", maker).exists():
                shutil.rmtree(left, ignore_errors=True)


def _places() -> list[Path]:
    chosen = os.environ.get("TMPDIR")
    return [Path(chosen)] if chosen else [Path("/var/tmp"), Path(tempfile.gettempdir())]


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    """A temporary folder with room, where device files and programs may be."""
    problems = []
    for place in _places():
        if not place.is_dir():
            problems.append(f"{place} is not there")
            continue
        state = os.statvfs(place)
        if state.f_bavail * state.f_frsize < ROOM:
            problems.append(f"{place} has only {(state.f_bavail * state.f_frsize) >> 20} MiB free")
        elif state.f_flag & (os.ST_NODEV | os.ST_NOEXEC):
            problems.append(f"{place} is mounted nodev or noexec")
        else:
            folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
    raise HostError(
        f"making the base image takes {ROOM >> 20} MiB for a while: {'; '.join(problems)}",
        hint="Make room there, or let TMPDIR name another folder.",
    )


def _bootstrapped(folder: Path, keyring: Path, suite: str, note: Note, stop: threading.Event | None) -> Path:
    mirror = debian_mirror()
    cache = folder / "packages"
    cache.mkdir()
    for attempt in range(1, TRIES + 1):
        root = folder / f"root{attempt}"
        command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]
        command += [f"--keyring={keyring}", "--force-check-gpg", f"--cache-dir={cache}", suite, str(root), mirror]
        code, said = _run(command, note, stop)
        if code == 0:
            shutil.rmtree(cache, ignore_errors=True)
            return root
        text = "\n".join((*said, _log_tail(root)))
        shutil.rmtree(root, ignore_errors=True)
        if is_no_space(text):
            raise HostError(
                f"making the base image: the disk of {folder.parent} is full; nothing of it was kept",
                hint="Make room there, or let TMPDIR name another folder.",
            )
        if not is_download_failure(text) or attempt == TRIES:
            raise HostError(f"debootstrap of {suite} from {mirror} failed: {_reason(said)}", hint=_hint(text))
        note(f"a download from {mirror} failed; trying again")
    raise AssertionError("unreachable")


def _run(command: list[str], note: Note, stop: threading.Event | None) -> tuple[int, list[str]]:
    """Run debootstrap in a process group of its own, which ends with us; returns its code and last lines."""
    tail: deque[str] = deque(maxlen=20)
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in heard(iter(process.stdout), "debootstrap", idle=IDLE, stop=stop):
                tail.append(line.strip())
                note(f"base image: {line.strip().removeprefix('I: ')}")
            return process.wait(timeout=60), list(tail)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _log_tail(root: Path) -> str:
    """The end of debootstrap's own log, where it says what a program that it ran said."""
    with contextlib.suppress(OSError):
        return (root / "debootstrap" / "debootstrap.log").read_text(errors="replace")[-2000:]
    return ""


def _reason(said: list[str]) -> str:
    return next((line.removeprefix("E: ") for line in reversed(said) if line.startswith("E:")), "it said nothing")


def _hint(text: str) -> str:
    if is_download_failure(text):
        return "Is this machine's network up? `labctl bundle load FILE` needs none."
    return "`labctl doctor` looks at what this machine can do."


def _strip(root: Path) -> None:
    for pattern in NOT_NEEDED:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in sorted((root / "usr/share/doc").rglob("*"), reverse=True):
        if path.name != "copyright" and not path.is_dir():
            path.unlink()
    for folder in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / folder).mkdir(parents=True)
    (root / "etc/dpkg/dpkg.cfg.d/labctl").write_text(DPKG_RULES)
    (root / "etc/apt/apt.conf.d/99labctl").write_text(APT_RULES)
    (root / "etc/hostname").write_text("localhost\n")
    (root / "etc/resolv.conf").write_text("")


def _import(engine: Engine, root: Path, tag: str) -> None:
    """Import the root file system under a name that means nothing yet, and give it its own once it is whole."""
    command = ["tar", "--numeric-owner", "--xattrs", "--directory", str(root), "--create", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tar:
        assert tar.stdout is not None and tar.stderr is not None
        try:
            engine.import_image(tar.stdout, IMPORTING, CHANGES)
        except BaseException:
            tar.kill()
            raise
        said = tar.stderr.read().decode(errors="replace").strip()
    if tar.returncode != 0:
        engine.remove_image(IMPORTING)
        raise HostError(f"packing the base image failed: {said.splitlines()[-1] if said else tar.returncode}")
    engine.tag(IMPORTING, tag)
    engine.remove_image(IMPORTING)
