"""Starting an installed engine: by the system's service manager, or by hand where nothing manages services."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.engine import Endpoint, Engine
from labctl.errors import HostError
from labctl.events import CommandShown, Emit, Noted
from labctl.host.engine_facts import PIDFILE, read_pid, socket_error
from labctl.host.machine_facts import living
from labctl.host.shell import Note, Shell
from labctl.waiting import Clock, Pending, wait_until

__all__ = ["Launch", "clear_stale", "last_line", "start_by_hand", "start_by_manager"]

START_LIMIT = 60.0  # seconds: overlay checks and a firewall full of rules take their time
_SERVICE_COMMANDS = {
    "systemd": [["systemctl", "enable", "--now", "docker"]],
    "openrc": [["rc-update", "add", "docker", "default"], ["rc-service", "docker", "start"]],
    "sysv": [["service", "docker", "start"]],
}
# A daemon has the root as its folder, and may open as many files as this machine lets it: its
# containers inherit the number.
_AS_DAEMON = 'cd / && umask 022 && ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"'
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Launch:
    """An engine to be started by hand: what and where."""

    program: str = "dockerd"
    socket: Path = Path("/var/run/docker.sock")
    pidfile: Path = PIDFILE
    exec_root: Path = Path("/var/run/docker")
    log: Path = Path("/var/log/labctl/dockerd.log")
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """The command as a person would type it."""
        return [self.program, "--pidfile", str(self.pidfile), *self.arguments]

    def answers(self) -> bool:
        """Whether an engine answers at the socket by now."""
        # Docker's client is only worth waking when somebody listens.
        return not socket_error(self.socket) and Engine(Endpoint(f"unix://{self.socket}")).answers()


def start_by_manager(
    manager: str, shell: Shell, *, note: Note, launch: Launch | None = None, clock: Clock | None = None
) -> None:
    """Have the service manager (systemd, openrc or sysv) start the engine, and wait until it answers.

    Raises HostError when it refuses, WaitTimeout when nothing answers within a minute.
    """
    for command in _SERVICE_COMMANDS[manager]:
        result = shell.run(command, limit=START_LIMIT, note=note)
        if not result.ok:
            said = result.stdout.strip().splitlines() or ["it printed nothing"]
            raise HostError(f"`{result.shown}` exited {result.code}: {said[-1]}", hint="Its log tells more.")
    started = launch or Launch()

    def probe() -> None:
        if not started.answers():
            raise Pending("no answer yet")

    wait_until("the engine", probe, limit=START_LIMIT, pause=0.2, clock=clock, noted=note)


def start_by_hand(
    launch: Launch, emit: Emit, *, note: Note, limit: float = START_LIMIT, clock: Clock | None = None
) -> int:
    """Start an engine in a session of its own, wait until it answers, and return its process id.

    It outlives us and the terminal; its pid file tells the next doctor whether it still lives. One that
    lives already is left alone. Raises HostError with the last line of its log when it ends at once,
    WaitTimeout with that line when it does not answer within `limit` seconds.
    """
    running = living(launch.pidfile, "dockerd")
    if running is not None:
        raise HostError(f"dockerd (process {running}) runs already", hint=f"See {launch.log}, or its own log.")
    clear_stale(launch, emit)
    emit(CommandShown("host", f"setsid {shlex.join(launch.command)} >{launch.log} 2>&1 </dev/null &"))
    pid = _spawn(launch)

    def probe() -> int:
        # First the answer: two doctors at once start two engines, and one of them wins.
        if launch.answers():
            return living(launch.pidfile, "dockerd") or pid
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            said = last_line(launch.log) or "it wrote nothing"
            raise HostError(f"dockerd exited {code}: {said}", hint=f"See {launch.log}.")
        raise Pending(last_line(launch.log) or "no word yet")

    answering = wait_until(
        "the engine",
        probe,
        limit=limit,
        pause=0.1,
        longest_pause=0.5,
        clock=clock,
        noted=note,
        hint=f"See {launch.log}.",
    )
    note(f"process {answering}")
    emit(Noted(f"dockerd runs as process {answering}; it writes {launch.log}"))
    return answering


def clear_stale(launch: Launch, emit: Emit) -> None:
    """Remove pid files whose process is dead, or is another that was given its number.

    dockerd believes a number as long as any process has it: it would not start, or wait for a containerd
    that is not there.
    """
    containerd = launch.exec_root / "containerd" / "containerd.pid"
    for file, name in ((launch.pidfile, "dockerd"), (containerd, "containerd")):
        if file.exists() and living(file, name) is None:
            pid = read_pid(file)
            file.unlink(missing_ok=True)
            emit(Noted(f"removed {file}: process {pid or '?'} is no living {name}"))


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, shortened to its message; "" for none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    _, found, message = line.partition(" msg=")
    return message.strip('"') if found else line


def _spawn(launch: Launch) -> int:
    """Start the program as its own session leader, away from this terminal."""
    launch.log.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if launch.log.exists():
        launch.log.replace(launch.log.with_suffix(".log.1"))
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(launch.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    argv = ["sh", "-c", _AS_DAEMON, *launch.command]
    return os.posix_spawn("/bin/sh", argv, _environment(os.environ), file_actions=streams, setsid=True)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a daemon should inherit: proxies and the like, but none of the settings that are for clients."""
    kept = {key: value for key, value in ours.items() if not key.startswith(("DOCKER_", "LABCTL_"))}
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    kept["PATH"] = os.pathsep.join([*path, *(folder for folder in _SBIN if folder not in path)])
    return kept
