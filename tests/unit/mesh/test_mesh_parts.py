"""The smaller parts: the status file, HTTP, namespaces, the bell, the kernel's answer about IPVS."""

from __future__ import annotations

import ast
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import labctl.mesh
from labctl.mesh.__main__ import remember_crashes
from labctl.mesh.engineapi import EngineError, LocalEngine, diagnostic_port, reload_engine
from labctl.mesh.gossip import LARGEST_HEARTBEAT, packet_filter
from labctl.mesh.httpget import Connection, HttpError, over_tcp, over_unix
from labctl.mesh.ipvs import family_request, ipvs_available, is_family
from labctl.mesh.netns import CommandError, address_within, namespace_vips, scan
from labctl.mesh.netns import run as run_program
from labctl.mesh.status import MeshStatus, Mode
from tests.unit.mesh.fakes import FakeRun, namespace

# Of what Debian's python3-minimal 3.13 has, what the mesh could want; http, shutil and ctypes are not there.
MINIMAL = {
    "__future__", "argparse", "array", "base64", "collections", "errno", "ipaddress", "json", "logging", "os",
    "pathlib", "select", "signal", "socket", "struct", "subprocess", "sys", "time", "traceback", "types", "typing",
}  # fmt: skip


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("file", sorted(Path(labctl.mesh.__file__).parent.glob("*.py")), ids=lambda file: file.name)
def test_the_agent_needs_nothing_that_a_node_has_not_got(file: Path) -> None:
    assert set(imported(file)) <= MINIMAL


def test_a_status_is_written_and_read(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "mesh.json")
    status = MeshStatus(Mode.NAT, 5.0, networks=2, ports=("80/tcp",), error="wrong", crashes=1)
    assert MeshStatus.load(path) is None
    status.save(path)
    assert MeshStatus.load(path) == status
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["mesh.json"]


def test_a_status_of_another_version_is_read() -> None:
    status = MeshStatus.from_json('{"mode": "nat", "what_comes_later": 1}')
    assert (status.mode, status.updated, status.ports) == ("nat", 0.0, ())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mode": 1}', "nat"])
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(ValueError):
        MeshStatus.from_json(text)


def test_who_serves() -> None:
    nat = MeshStatus(Mode.NAT, 1000.0)
    assert nat.is_serving(1010.0)
    assert not nat.is_serving(1100.0)
    assert not nat._replace(error="wrong").is_serving(1010.0)
    assert not nat._replace(pending="ingress").is_serving(1010.0)
    assert not nat._replace(mode=Mode.IDLE).is_serving(1010.0)
    assert MeshStatus(Mode.IPVS, 1.0).is_serving(1e9)


class Server:
    """Answers each connection with the next of `answers`, whatever is asked, and closes it if told to."""

    def __init__(self, listener: socket.socket, answers: list[list[bytes]]) -> None:
        self.listener = listener
        self.asked: list[bytes] = []
        self.thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self.thread.start()

    def _serve(self, answers: list[list[bytes]]) -> None:
        for connection_answers in answers:
            link, _ = self.listener.accept()
            with link:
                for answer in connection_answers:
                    self.asked.append(link.recv(4096))
                    link.sendall(answer)


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
TO_THE_END = b"HTTP/1.0 404 Not Found\r\n\r\nhello"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def connection_to(listener: socket.socket) -> Connection:
    return Connection(over_tcp("127.0.0.1", listener.getsockname()[1]))


def test_bodies_of_every_kind_on_one_connection(listener: socket.socket) -> None:
    server = Server(listener, [[LENGTH, CHUNKED, TO_THE_END]])
    connection = connection_to(listener)
    assert [connection.get("/a"), connection.get("/b"), connection.get("/c")] == [
        (200, b"hello"),
        (200, b"hello"),
        (404, b"hello"),
    ]
    assert server.asked[0].startswith(b"GET /a HTTP/1.1\r\n")
    connection.close()


def test_a_connection_that_was_closed_meanwhile_is_made_again(listener: socket.socket) -> None:
    server = Server(listener, [[LENGTH], [LENGTH]])
    connection = connection_to(listener)
    assert connection.get("/")[1] == b"hello"
    assert connection.get("/")[1] == b"hello"
    connection.close()
    server.thread.join(5)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", LENGTH[:-2], CHUNKED[:-9], b"HTTP/1.1 200 OK\r\nA: b"])
def test_an_answer_that_is_cut_off_or_no_http(listener: socket.socket, answer: bytes) -> None:
    server = Server(listener, [[answer]])
    with pytest.raises(HttpError):
        connection_to(listener).get("/")
    server.thread.join(5)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(HttpError, match="No such file"):
        Connection(over_unix(str(tmp_path / "none"))).get("/")


def json_answer(text: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(text) + text


def test_what_is_asked_of_the_engine(listener: socket.socket) -> None:
    networks = b'[{"Id":"n1","Name":"ingress","Ingress":true},{"Id":"n2","Name":"net1","Ingress":false}]'
    bridge = b'{"IPAM":{"Config":[{"Subnet":"fd00::/64"},{"Subnet":"172.18.0.0/16"}]}}'
    Server(listener, [[json_answer(networks), json_answer(bridge)]])
    connection = connection_to(listener)
    engine = LocalEngine(connection)
    assert [(network.identity, network.is_ingress) for network in engine.overlays()] == [("n1", True), ("n2", False)]
    assert engine.gateway_subnet() == "172.18.0.0/16"
    connection.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (json_answer(b'{"message":"network not found"}', b"404 Not Found"), "refuses .*network not found"),
        (json_answer(b"[1]"), "not understood"),
        (json_answer(b'{"IPAM":{"Config":[{"Subnet":"fd00::/64"}]}}'), "no IPv4 subnet"),
        (json_answer(b"<html>"), "not JSON"),
    ],
)
def test_an_engine_that_answers_otherwise(listener: socket.socket, answer: bytes, said: str) -> None:
    Server(listener, [[answer]])
    connection = connection_to(listener)
    with pytest.raises(EngineError, match=said):
        LocalEngine(connection).gateway_subnet()
    connection.close()


def test_the_diagnostic_port_is_the_one_that_the_engine_was_told(tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    assert diagnostic_port(str(config)) == 2000
    config.write_text('{"network-diagnostic-port": 61999}')
    assert diagnostic_port(str(config)) == 61999
    config.write_text("{")
    assert diagnostic_port(str(config)) == 2000


def test_only_an_engine_is_signalled(tmp_path: Path) -> None:
    pid_file = tmp_path / "docker.pid"
    assert not reload_engine(str(pid_file))
    pid_file.write_text("1")
    assert not reload_engine(str(pid_file))


def test_files_that_are_no_namespace_yet_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lb_abc").write_text("")
    (tmp_path / "ingress_sbox").write_text("")
    assert scan(str(tmp_path)) == ()
    assert scan(str(tmp_path / "none")) == ()


def test_vips_are_the_addresses_without_a_subnet() -> None:
    listing = (
        "21: eth0    inet 10.0.1.7/24 brd 10.0.1.255 scope global eth0\\       valid_lft forever\n"
        "21: eth0    inet 10.0.1.2/32 scope global eth0\\       valid_lft forever preferred_lft forever\n"
        "21: eth0    inet 10.0.1.5 scope global eth0\n"
    )
    assert namespace_vips(listing) == {"10.0.1.2", "10.0.1.5"}
    inside, run = namespace("lb_net1"), FakeRun(answers={"ip": [listing, listing]})
    assert address_within(run, inside, "10.0.1.0/24") == "10.0.1.7"
    assert address_within(run, inside, "172.18.0.0/16") == ""


def test_a_program_that_fails_says_what_it_said() -> None:
    assert run_program("cat", script="hello") == "hello"
    with pytest.raises(CommandError, match=r"^sh -c echo oh >&2; exit 3: oh$"):
        run_program("sh", "-c", "echo oh >&2; exit 3")
    with pytest.raises(CommandError, match="exit code 1"):
        run_program("false")
    with pytest.raises(CommandError, match="no-such-program cannot be run: No such file"):
        run_program("no-such-program")


def test_ipvs_is_asked_of_the_kernel() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as netlink:
        netlink.settimeout(5)
        netlink.send(family_request("nlctrl"))
        assert is_family(netlink.recv(65536))
        netlink.send(family_request("NO-SUCH"))
        assert not is_family(netlink.recv(65536))
    assert not is_family(b"")
    # Where the kernel has shown that it has it, the answer must be yes.
    assert ipvs_available() or not Path("/proc/net/ip_vs").exists()


def passes(packet: bytes, protocol: int = 0x0800) -> bool:
    """Run the filter on a packet as the kernel would."""
    program = list(struct.iter_unpack("=HBBI", packet_filter()))
    at = accumulator = index = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x06:
            return bool(value)
        if code == 0x20:
            accumulator = protocol
        elif code == 0x30:
            accumulator = packet[value]
        elif code == 0x48:
            (accumulator,) = struct.unpack_from("!H", packet, index + value)
        elif code == 0xB1:
            index = 4 * (packet[value] & 0xF)
        else:
            holds = accumulator == value if code == 0x15 else accumulator > value
            at += if_true if holds else if_false


def udp_packet(port: int, payload: int, *, options: int = 0, protocol: int = 17) -> bytes:
    header = bytes([0x45 + options, 0]) + bytes(7) + bytes([protocol]) + bytes(10 + 4 * options)
    return header + struct.pack("!HHHH", 4000, port, payload + 8, 0) + bytes(payload)


def test_the_bell_rings_for_news_and_not_for_heartbeats() -> None:
    assert passes(udp_packet(7946, 281))
    assert passes(udp_packet(7946, 281, options=3))
    assert not passes(udp_packet(7946, 111))
    assert not passes(udp_packet(7946, LARGEST_HEARTBEAT - 8))
    assert not passes(udp_packet(4789, 281))
    assert not passes(udp_packet(7946, 281, protocol=6))
    assert not passes(udp_packet(7946, 281), protocol=0x86DD)


HEAR = """
import socket
from labctl.mesh.gossip import GossipBell
bell = GossipBell()
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bell.wait(0.0)
sender.sendto(bytes(100), ("127.0.0.1", 7946))
heard_small = bell.wait(0.05)
sender.sendto(bytes(400), ("127.0.0.1", 7946))
print(heard_small, bell.wait(1.0), bool(bell.why_deaf))
"""


def test_the_bell_in_this_kernel() -> None:
    """In a network of its own: labs of this host gossip too."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    listen = ["sh", "-c", 'ip link set lo up && exec "$0" -c "$1"', sys.executable, HEAR]

    told = subprocess.run([*alone, *listen], capture_output=True, text=True, timeout=30, check=True)

    heard_small, heard_large, deaf = told.stdout.split()
    assert heard_small == "False"
    # Without the right to listen to packets it is deaf, and says why.
    assert (heard_large == "True") != (deaf == "True")


def test_an_end_by_a_bug_is_told_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "mesh.json")
    shown: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: shown.append(str(error)))
    remember_crashes(path)
    for _ in range(2):
        try:
            raise ZeroDivisionError("a bug")
        except ZeroDivisionError as error:
            sys.excepthook(type(error), error, error.__traceback__)
    status = MeshStatus.load(path)
    assert status is not None
    assert (status.crashes, len(shown)) == (2, 2)
    assert "ZeroDivisionError: a bug (" in (status.error or "")
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert MeshStatus.load(path) == status
