"""The tutorial's route, typed by a script: `docker run` each node, wait for it, init, join one by one.

The entry point is that of a docker:dind image in the ways that cost time: dockerd brings its own containerd,
and each node makes an authority, a server's and a client's certificate with RSA keys of 4,096 bits, as that image
has done since 19.03 unless DOCKER_TLS_CERTDIR is set empty. `certificates=False` leaves those out, and also the
pause that dockerd makes when its port has none.
"""

from __future__ import annotations

import subprocess
import time

from bench.common import LABEL, node_body, poll, remove_labelled

__all__ = ["down", "up"]

NETWORK = "bench-route"

PREPARE = r"""
set -e
mount --make-rshared /; mount -o remount,rw /sys || true
for c in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "${c%/}" 2>/dev/null || true; done
"""
PLAIN = """
exec dockerd --host unix:///var/run/docker.sock --host tcp://0.0.0.0:2375 --tls=false --log-level warn
"""
WITH_CERTIFICATES = r"""
mkdir -p /certs && cd /certs
openssl req -x509 -newkey rsa:4096 -nodes -days 825 -subj /CN=authority -keyout ca-key.pem -out ca.pem 2>/dev/null
for who in server client; do
  openssl req -newkey rsa:4096 -nodes -subj "/CN=$who" -keyout $who-key.pem -out $who.csr 2>/dev/null
  openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 825 -out $who.pem 2>/dev/null
done
exec dockerd --host unix:///var/run/docker.sock --host tcp://0.0.0.0:2376 --log-level warn \
  --tlsverify --tlscacert ca.pem --tlscert server.pem --tlskey server-key.pem
"""


def up(nodes: int, image: str, *, certificates: bool = True) -> float:
    """Make a swarm of so many nodes as a learner would, and return the seconds."""
    entry = PREPARE + (WITH_CERTIFICATES if certificates else PLAIN)
    began = time.monotonic()
    _run("docker", "network", "create", "--label", f"{LABEL}=route", "--subnet", "10.244.0.0/24", NETWORK)
    for number in range(nodes):
        _run(*_docker_run(number, image, entry))
    for number in range(nodes):
        _wait(number)
    said = _run("docker", "exec", _name(0), "docker", "swarm", "init", "--advertise-addr", _address(0))
    token = next(word for word in said.split() if word.startswith("SWMTKN"))
    for number in range(1, nodes):
        _run("docker", "exec", _name(number), "docker", "swarm", "join", "--token", token, f"{_address(0)}:2377")
    listing = ("docker", "exec", _name(0), "docker", "node", "ls")
    poll("all nodes being Ready", lambda: _run(*listing).count(" Ready ") == nodes, pause=0.1)
    return time.monotonic() - began


def down() -> float:
    """Remove it all and return the seconds."""
    return remove_labelled("route")


def _docker_run(number: int, image: str, entry: str) -> list[str]:
    host = node_body(_name(number), image, NETWORK, _address(number), {})["HostConfig"]
    capabilities = [word for name in host["CapAdd"] for word in ("--cap-add", name)]
    confinement = [word for option in host["SecurityOpt"] for word in ("--security-opt", option)]
    return [
        "docker", "run", "-d", "--name", _name(number), "--hostname", _name(number), "--label", f"{LABEL}=route",
        *capabilities, *confinement, "--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm",
        "--cgroupns", "private", "--network", NETWORK, "--ip", _address(number), "--entrypoint", "/bin/bash", image,
        "-c", entry,
    ]  # fmt: skip


def _wait(number: int) -> None:
    asking = ["docker", "exec", _name(number), "docker", "info"]
    poll(_name(number), lambda: subprocess.run(asking, capture_output=True, check=False).returncode == 0, pause=0.1)


def _name(number: int) -> str:
    return f"bench-route-{number}"


def _address(number: int) -> str:
    return f"10.244.0.{10 + number}"


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
