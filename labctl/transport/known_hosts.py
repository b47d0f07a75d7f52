"""Host keys that labctl has seen: a known_hosts file of the lab's own, in OpenSSH's format, names in the clear.

A machine's key is recorded once, at its first boot. From then on another key is an error, and so is a machine
that was never recorded: nobody is asked whether that may be fine.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import LabError
from labctl.state import write_private

__all__ = ["HostKey", "KnownHosts", "entry_name"]

LOCK_LIMIT = 30.0  # seconds that another process may be writing the file


@dataclass(frozen=True)
class HostKey:
    """A public key: its kind ("ssh-ed25519") and its bytes on the wire."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> HostKey:
        """Read "ssh-ed25519 AAAA... comment". Raises LabError for anything else."""
        try:
            kind, text, *_ = line.split()
            return cls(kind, base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            raise LabError(f"this is no SSH public key: {line.strip()[:80]!r}") from None

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows of it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"

    def __str__(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


def entry_name(address: str, port: int) -> str:
    """The name that a machine's key stands under: its port is a part of it where that is not 22."""
    return address if port == 22 else f"[{address}]:{port}"


@dataclass(frozen=True)
class KnownHosts:
    """The file. Several threads and processes may use it at once; missing, it holds nothing."""

    file: Path

    def keys(self, name: str) -> list[HostKey]:
        """The keys that are recorded under a name. Raises LabError when the file cannot be read."""
        return [HostKey.parse(rest) for names, rest in self._entries() if name in names]

    def check(self, name: str, key: HostKey, node: str, *, scan: str = "") -> None:
        """Raise LabError unless this is the key that `node` was recorded with.

        `scan` is a command that prints the node's line for this file, where there is one: a part of the mend.
        """
        known = self.keys(name)
        if key in known:
            return
        if not known:
            raise LabError(
                f"{node} shows a host key that was never recorded ({key.fingerprint}); {self.file} has none for {name}",
                hint=f"If the file was lost, and this is your machine: {self._mend([scan] if scan else [])}",
            )
        expected = next((one for one in known if one.kind == key.kind), known[0])
        forget = shlex.join(["ssh-keygen", "-f", str(self.file), "-R", name])
        raise LabError(
            f"{node} shows another host key than at its first boot: {key.fingerprint}, not {expected.fingerprint}",
            hint="Another machine may have its address. If you changed the key yourself: "
            + self._mend([forget, scan] if scan else []),
        )

    def _mend(self, commands: list[str]) -> str:
        typed = " && ".join(commands)
        return f"`{typed} >> {shlex.quote(str(self.file))}`." if typed else "`labctl down` and `labctl up` recreate it."

    def pin(self, name: str, key: HostKey, node: str) -> None:
        """Record a key under a name; the same one again is fine. Raises LabError when another one stands there."""
        with self._locked():
            if self.keys(name):
                self.check(name, key, node)
                return
            self._write([*self._lines(), f"{name} {key}"])

    def forget(self, name: str) -> None:
        """Remove what is recorded under a name, because its machine was removed; nothing there is fine."""
        with self._locked():
            lines = self._lines()
            kept = [line for line in lines if name not in line.split(" ", 1)[0].split(",")]
            if kept != lines:
                self._write(kept)

    def _entries(self) -> Iterator[tuple[list[str], str]]:
        for line in self._lines():
            names, _, rest = line.strip().partition(" ")
            if names and not names.startswith(("#", "@")):
                yield names.split(","), rest

    def _lines(self) -> list[str]:
        try:
            return self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as problem:
            raise LabError(f"{self.file} cannot be read: {problem}") from problem

    def _write(self, lines: list[str]) -> None:
        write_private(self.file, "".join(f"{line}\n" for line in lines).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.file.with_name(f".{self.file.name}.lock"))
        try:
            with lock.acquire(timeout=LOCK_LIMIT):
                yield
        except Timeout:
            raise LabError(f"another process has held {self.file} for {LOCK_LIMIT:g} s") from None
