"""Containers for the tests of images: run by the docker command as a person would, and removed with the test."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labctl.waiting import Pending, wait_until

LIMIT = 60.0  # seconds that a container has to begin to answer; a busy machine needs many
CONTRACT_STOP = 30.0  # seconds within which every image ends at `docker stop`, on a busy machine; usually one


def docker(*arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one docker command; its output is in the error when it fails."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, input=stdin)
    if check and result.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {result.stdout}{result.stderr}")
    return result


@dataclass(frozen=True)
class Answer:
    """What an HTTP server said."""

    status: int
    body: str
    headers: Mapping[str, str]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def fetch(
    url: str, body: str | None = None, headers: Mapping[str, str] | None = None, method: str | None = None
) -> Answer:
    """Ask once; an error status is an answer too. Raises OSError where there is none."""
    request = urllib.request.Request(
        url, body.encode() if body is not None else None, dict(headers or {}), method=method
    )
    try:
        with _OPENER.open(request, timeout=30) as response:
            return Answer(response.status, response.read().decode(), dict(response.headers))
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.read().decode(), dict(refused.headers))


@dataclass(frozen=True)
class Container:
    """A running container."""

    name: str

    def execute(self, *command: str, check: bool = True, stdin: str | None = None) -> str:
        """Run a command in it; returns its standard output."""
        given = ["-i"] if stdin is not None else []
        return docker("exec", *given, self.name, *command, check=check, stdin=stdin).stdout

    def url(self, port: int, path: str = "/") -> str:
        """Where this host reaches a published port."""
        address = docker("port", self.name, f"{port}/tcp").stdout.split()[0]
        return f"http://{address}{path}"

    def ask(self, port: int, path: str = "/", **request: Any) -> Answer:
        """Ask over HTTP until there is an answer."""
        url = self.url(port, path)

        def probe() -> Answer:
            try:
                return fetch(url, **request)
            except OSError as problem:
                raise Pending(f"{problem}; {self.logs()[-500:]}") from None

        return wait_until(f"an answer of {self.name} on {path}", probe, limit=LIMIT, pause=0.05)

    def address(self) -> str:
        """Its address on the stage's network."""
        networks: dict[str, dict[str, str]] = self.inspect()["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def logs(self) -> str:
        """Everything that it has written."""
        result = docker("logs", self.name)
        return result.stdout + result.stderr

    def inspect(self) -> dict[str, Any]:
        """What the engine knows of it."""
        found: dict[str, Any] = json.loads(docker("inspect", self.name).stdout)[0]
        return found

    def exit_code(self) -> int:
        """The code that it ended with."""
        return int(self.inspect()["State"]["ExitCode"])

    def stop(self) -> float:
        """Stop it as a swarm does, with its own signal; returns the seconds until its process had ended.

        What the engine then takes to clear up is left out: on a busy machine it is seconds.
        """
        began = time.time()
        docker("stop", "--time", "60", self.name)
        return datetime.fromisoformat(self.inspect()["State"]["FinishedAt"]).timestamp() - began

    def wait_for(self, what: str, *command: str) -> str:
        """Run a command in it until that ends well."""
        return until(what, lambda: docker("exec", self.name, *command, check=False))

    def wait_for_end(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        return int(docker("wait", self.name).stdout)

    def wait_for_log(self, text: str) -> None:
        """Wait until it has written `text`."""

        def probe() -> None:
            if text not in self.logs():
                raise Pending(self.logs()[-500:])

        wait_until(f"{text!r} in the log of {self.name}", probe, limit=LIMIT)


def until(what: str, attempt: Callable[[], subprocess.CompletedProcess[str]], wanted: str = "") -> str:
    """Try a command until it ends well and says `wanted`; returns its standard output."""

    def probe() -> str:
        result = attempt()
        if result.returncode != 0 or wanted not in result.stdout:
            raise Pending(f"exit {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout

    return wait_until(what, probe, limit=LIMIT)


@dataclass
class Stage:
    """A network of its own, and what a test starts on it."""

    network: str = field(default_factory=lambda: f"labctl-test-{secrets.token_hex(4)}")
    made: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Make the network."""
        docker("network", "create", self.network)

    def close(self) -> None:
        """Remove everything, the containers' own volumes too."""
        if self.made:
            docker("rm", "--force", "--volumes", *self.made, check=False)
        if self.volumes:
            docker("volume", "rm", "--force", *self.volumes, check=False)
        docker("network", "rm", self.network, check=False)

    def start(
        self,
        image: str,
        *command: str,
        options: Sequence[str] = (),
        alias: str = "",
        env: Mapping[str, str] | None = None,
        publish: int | None = None,
        volume: str = "",
    ) -> Container:
        """Start a container: known to the others as `alias`, `publish`ed on a port of 127.0.0.1."""
        name = f"{self.network}-{len(self.made)}"
        self.made.append(name)
        flags = ["--name", name, "--network", self.network, *options]
        if alias:
            flags += ["--network-alias", alias]
        if publish is not None:
            flags += ["--publish", f"127.0.0.1::{publish}"]
        if volume:
            flags += ["--volume", volume]
        for key, value in (env or {}).items():
            flags += ["--env", f"{key}={value}"]
        docker("run", "--detach", *flags, image, *command)
        return Container(name)

    def once(self, image: str, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a container to its end; its output and exit code are the result."""
        return docker("run", "--rm", "--network", self.network, *options, image, *command, check=False)

    def volume(self) -> str:
        """Make a named volume."""
        name = f"{self.network}-v{len(self.volumes)}"
        self.volumes.append(name)
        docker("volume", "create", name)
        return name
