"""Bare Debian machines made lab nodes by playbooks/node.yml: over SSH, or inside the machine where that cannot be.

Ansible cannot control from Windows; there the playbook is copied into each machine and runs in it, with a local
connection. What it does is the same, and a second run changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.assets import asset
from labctl.concurrent import each
from labctl.engine.client import tar_of
from labctl.errors import CommandFailed, HostError, LabctlError, LabError, SeveralErrors
from labctl.images.progress import Note, heard, no_note
from labctl.provision.play_log import PlayLog, Recap
from labctl.words import EXTRA_VAGRANT

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["NodeFiles", "Target", "can_control", "inventory_of", "provision", "provision_inside"]

NodeFiles = Mapping[str, tuple[bytes, int]]  # path without its first slash -> content and mode
IDLE = 1800.0  # seconds without a line: an emulated machine unpacks packages for minutes
INSIDE = "/var/lib/labctl/provision"  # where the playbook is while it runs in the machine
# Ansible needs apt's Python module to install packages, and both come from Debian itself.
INSIDE_SCRIPT = f"""
set -e
exec 2>&1
name=$1; shift
cd {INSIDE}
command -v ansible-playbook >/dev/null || {{
  echo 'TASK [Ansible]'
  export DEBIAN_FRONTEND=noninteractive
  # A machine that just booted may be at its own daily work; nothing makes apt wait for that lock.
  for try in 1 2 3 4 5 6; do apt-get -o Acquire::Retries=5 update -q && break; sleep 10; done
  apt-get -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends \\
    ansible-core python3-apt
}}
export LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 ANSIBLE_CONFIG={INSIDE}/playbooks/ansible.cfg ANSIBLE_HOME={INSIDE}/home
if [ -d files ]; then set -- "$@" -e labctl_files={INSIDE}/files; fi
ansible-playbook -c local -i "$name," "$@" playbooks/node.yml
"""


@dataclass(frozen=True)
class Target:
    """A machine that Ansible reaches over SSH: as `user`, who may become root without a password.

    Its host key must be in `known_hosts`, under `alias` where one is given.
    """

    name: str
    address: str
    user: str
    key: Path
    known_hosts: Path
    port: int = 22
    alias: str = ""


def can_control() -> bool:
    """Whether Ansible can run on this machine: nowhere on Windows, elsewhere where it is installed."""
    return os.name != "nt" and _program() is not None


def provision(
    targets: Sequence[Target],
    note: Note = no_note,
    *,
    files: Mapping[str, NodeFiles] | None = None,
    digest: str = "",
    patience: int = 300,
    stop: threading.Event | None = None,
) -> dict[str, Recap]:
    """Run the playbook on all machines at once; returns what it did on each.

    `files` are those that make each a node of its lab, by its name; `digest` is what it is marked with; `patience`
    is for how many seconds a machine that does not answer is asked again; `stop` ends it. Raises HostError where
    Ansible cannot run, LabError with the machine and the task that failed, Abandoned when it was stopped.
    """
    program = _program()
    if os.name == "nt" or program is None:
        raise HostError(
            "Ansible is not installed here",
            hint=f"`{EXTRA_VAGRANT}` installs it; `labctl provision --inside` does without.",
        )
    with tempfile.TemporaryDirectory(prefix="labctl-") as place:
        folder = Path(place)
        folders = {name: _written(folder / "files" / name, content) for name, content in (files or {}).items()}
        inventory = folder / "inventory.json"  # JSON is YAML
        inventory.write_text(inventory_of(targets, folders))
        command = [program, "-i", str(inventory), "-e", f"labctl_digest={digest} labctl_patience={patience}"]
        command.append(str(asset("playbooks") / "node.yml"))
        log = PlayLog()
        code = _run(command, _environment(folder), log, note, stop)
    return _finished(log, code)


def provision_inside(
    nodes: Sequence[Node],
    note: Note = no_note,
    *,
    files: Mapping[str, NodeFiles] | None = None,
    digest: str = "",
    stop: threading.Event | None = None,
) -> dict[str, Recap]:
    """Run the playbook in each machine itself, all at once; as `provision`. Ansible is installed there first."""

    def run(node: Node) -> dict[str, Recap]:
        archive = _archive((files or {}).get(node.name, {}))
        log = PlayLog()
        try:
            node.expect(["/bin/sh", "-c", f"rm -rf {INSIDE} && mkdir -p -m 700 {INSIDE}"])
            for _ in node.stream(["tar", "-x", "-C", INSIDE, "-f", "-"], stdin=[archive]):
                pass
            argv = ["/bin/sh", "-c", INSIDE_SCRIPT, "sh", node.name, "-e", f"labctl_digest={digest}"]
            lines = _lines(node.stream(argv))
            for line in heard(lines, f"the playbook in {node.name}", idle=IDLE, stop=stop):
                _tell(log, line, note)
        except CommandFailed as failed:
            if not log.failures:
                raise LabError(f"{node.name}: {log.task or 'the playbook'} failed: {log.last_words()}") from failed
        finally:
            with contextlib.suppress(LabctlError):
                node.run(["rm", "-rf", INSIDE])
        return _finished(log, 0)

    done: dict[str, Recap] = {}
    for recaps in each(list(nodes), run):
        done |= recaps
    return done


def inventory_of(targets: Sequence[Target], files: Mapping[str, Path]) -> str:
    """Return the inventory: every machine, how it is reached, and where its own files lie."""
    import json

    hosts: dict[str, dict[str, object]] = {}
    for target in targets:
        options = [
            f"-o UserKnownHostsFile={_quoted(target.known_hosts)}",
            "-o StrictHostKeyChecking=yes",
            "-o IdentitiesOnly=yes",
            *([f"-o HostKeyAlias={target.alias}"] if target.alias else []),
        ]
        hosts[target.name] = {
            "ansible_host": target.address,
            "ansible_port": target.port,
            "ansible_user": target.user,
            "ansible_ssh_private_key_file": str(target.key),
            "ansible_ssh_common_args": " ".join(options),
            **({"labctl_files": str(files[target.name])} if target.name in files else {}),
        }
    return json.dumps({"all": {"hosts": hosts}}, indent=1)


def _quoted(path: Path) -> str:
    # Ansible splits these as a shell does, and ssh then takes what is left apart at blanks itself.
    import shlex

    return shlex.quote(f'"{path}"' if " " in str(path) else str(path))


def _program() -> str | None:
    """The ansible-playbook of this environment, else of this machine."""
    own = Path(sys.executable).with_name("ansible-playbook")
    return str(own) if own.exists() else shutil.which("ansible-playbook")


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's own Ansible: neither its settings nor its folders."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    own = {
        "ANSIBLE_CONFIG": str(asset("playbooks") / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
    }
    return {**kept, **own}


def _run(
    command: Sequence[str], environment: Mapping[str, str], log: PlayLog, note: Note, stop: threading.Event | None
) -> int:
    """Run Ansible in a process group of its own, which ends with us."""
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in heard(iter(process.stdout), "the playbook", idle=IDLE, stop=stop):
                _tell(log, line, note)
            return process.wait(timeout=60)
        except BaseException:
            if sys.platform == "win32":  # where it is never run: see can_control
                process.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            raise


def _tell(log: PlayLog, line: str, note: Note) -> None:
    if told := log.hear(line):
        note(told)


def _finished(log: PlayLog, code: int) -> dict[str, Recap]:
    if log.failures:
        errors = [LabError(f"{found.node}: `{found.task}` failed: {found.reason}") for found in log.failures]
        raise errors[0] if len(errors) == 1 else SeveralErrors(errors)
    if code != 0 or not log.recaps:
        raise HostError(f"ansible-playbook exited {code}: {log.last_words()}")
    return log.recaps


def _written(folder: Path, files: NodeFiles) -> Path:
    for name, (content, mode) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
        path.chmod(mode)
    return folder


def _archive(files: NodeFiles) -> bytes:
    top = asset("playbooks")
    whole = {
        f"playbooks/{path.relative_to(top).as_posix()}": (path.read_bytes(), 0o644)
        for path in sorted(top.rglob("*"))
        if path.is_file() and "box" not in path.relative_to(top).parts[:1]
    }
    return tar_of({**whole, **{f"files/{name}": entry for name, entry in files.items()}})


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    left = b""
    for chunk in chunks:
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if left:
        yield left.decode(errors="replace")
