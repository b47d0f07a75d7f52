"""The agent's loop, with an engine, a networkdb and a kernel that are only played."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labctl.mesh.agent import Agent
from labctl.mesh.engineapi import Network
from labctl.mesh.netns import Namespace
from labctl.mesh.networkdb import Port
from labctl.mesh.plumber import Plumber
from labctl.mesh.status import MeshStatus, Mode
from tests.unit.mesh.fakes import FakeEngine, FakeRun, FakeTables, SilentBell, endpoint, namespace

INGRESS, NET1 = Network("ingress-id", "ingress", True), Network("net1abcdefgh", "net1", False)
IN_INGRESS, IN_NET1 = namespace("ingress_sbox"), namespace("lb_net1abcde")
HTTP = Port("tcp", 80, 8080)
CONNECTED = "3: eth0    inet 10.0.0.3/24 scope global eth0\n5: eth1    inet 172.18.0.2/16 scope global eth1\n"


SHOW = "ip -o -4 addr show"


@dataclass
class Scene:
    """A node in a swarm with one service, and its agent."""

    status_file: str
    engine: FakeEngine = field(default_factory=lambda: FakeEngine([INGRESS, NET1]))
    tables: FakeTables = field(default_factory=FakeTables)
    run: FakeRun = field(default_factory=lambda: FakeRun(answers={SHOW: [CONNECTED]}))
    seen: tuple[Namespace, ...] = (IN_INGRESS, IN_NET1)
    reloads: int = 0

    def __post_init__(self) -> None:
        self.serve(3, 4)
        self.agent = Agent(
            self.engine,
            self.tables,
            Plumber(self.run, allow_localhost=lambda bridge: None),
            SilentBell(),
            scan=lambda: self.seen,
            reload=self.reload,
            status_file=self.status_file,
        )

    def serve(self, *numbers: int) -> None:
        """Let the service have these tasks."""
        self.tables.held["ingress-id"] = [endpoint(n, vip="10.0.0.2", ports=(HTTP,)) for n in numbers]
        self.tables.held["net1abcdefgh"] = [endpoint(number) for number in numbers]

    def reload(self) -> bool:
        """Open the diagnostic port, as the engine does when told to."""
        self.reloads += 1
        self.tables.closed = False
        return True

    def status(self) -> MeshStatus:
        """Return what the agent says of itself."""
        status = MeshStatus.load(self.status_file)
        assert status is not None
        return status


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(str(tmp_path / "labctl" / "mesh.json"))


def test_a_service_is_served_in_its_network_in_ingress_and_on_the_node(scene: Scene) -> None:
    scene.agent.step(100.0)
    assert "tcp . 8080 : goto tasks_0" in scene.run.of("nft", "ingress_sbox")[0]
    assert "10.0.1.2 : goto tasks_0" in scene.run.of("nft", "lb_net1abcde")[0]
    assert "dnat to 172.18.0.2" in scene.run.of("nft", "node")[0]
    status = scene.status()
    assert (status.mode, status.networks, status.services, status.tasks) == (Mode.NAT, 2, 1, 2)
    assert status.ports == ("8080/tcp",)
    assert status.error is None


def test_a_task_more_is_followed_within_a_second_without_any_bell(scene: Scene) -> None:
    scene.agent.step(100.0)
    scene.serve(3, 4, 5)
    scene.agent.step(101.0)
    assert "10.0.1.5" in scene.run.of("nft", "lb_net1abcde")[-1]


def test_nothing_is_run_while_nothing_changes(scene: Scene) -> None:
    scene.agent.step(100.0)
    scene.run.calls.clear()
    for tenth in range(100):
        scene.agent.step(101.0 + tenth / 10)
    assert scene.run.calls == []


def test_a_network_that_came_is_served(scene: Scene) -> None:
    scene.seen = (IN_INGRESS,)
    scene.agent.step(100.0)
    assert scene.status().networks == 1
    scene.seen = (IN_INGRESS, IN_NET1)
    scene.run.answers[SHOW] = [CONNECTED]
    scene.agent.step(101.0)
    assert scene.run.of("nft", "lb_net1abcde")


def test_outside_a_swarm_it_is_idle(scene: Scene) -> None:
    scene.seen = ()
    scene.agent.step(100.0)
    assert scene.status().mode == Mode.IDLE
    assert [command[0] for _, command, _ in scene.run.calls] == ["nft"]


def test_leaving_the_swarm_takes_the_node_out(scene: Scene) -> None:
    scene.agent.step(100.0)
    scene.seen = ()
    scene.agent.step(101.0)
    assert scene.status().mode == Mode.IDLE
    assert scene.run.of("nft", "node")[-1] == "table ip labctl_mesh\ndelete table ip labctl_mesh\n"


def test_the_engine_is_asked_to_open_its_networkdb(scene: Scene) -> None:
    scene.tables.closed = True
    scene.agent.step(100.0)
    assert scene.reloads == 1
    assert "network-diagnostic-port" in (scene.status().pending or "")
    scene.agent.step(100.5)
    assert scene.run.of("nft", "lb_net1abcde")
    assert scene.status().pending is None


def test_an_engine_that_is_starting_is_not_signalled(scene: Scene) -> None:
    scene.agent.step(100.0)
    scene.tables.closed = scene.engine.down = True
    scene.agent.step(101.0)
    assert scene.reloads == 0
    assert scene.status().pending == "the engine does not answer: refused"


def test_what_goes_on_failing_is_an_error_and_is_remembered_when_mended(scene: Scene) -> None:
    scene.run.failing["nft"] = "nft -f - in ingress_sbox: Operation not supported"
    scene.agent.step(100.0)
    assert scene.status().error is None
    assert "not supported" in (scene.status().pending or "")
    scene.agent.step(106.0)
    assert "not supported" in (scene.status().error or "")
    scene.run.failing.clear()
    scene.agent.step(108.0)
    assert scene.status().error is None
    assert "not supported" in (scene.status().last_error or "")


def test_one_network_that_fails_does_not_hold_up_the_others(scene: Scene) -> None:
    scene.tables.held["ingress-id"] = []
    scene.run.failing["sysctl"] = "eth0: no such file"
    scene.agent.step(100.0)
    assert {place for place, command, _ in scene.run.calls if command[0] == "sysctl"} == {
        "ingress_sbox",
        "lb_net1abcde",
    }


def test_a_namespace_without_a_network_does_not_hold_up_the_others(scene: Scene) -> None:
    scene.seen = (IN_INGRESS, namespace("lb_orphan"), IN_NET1)
    scene.run.answers[SHOW] = [CONNECTED] * 9
    scene.agent.step(100.0)
    assert scene.run.of("nft", "lb_net1abcde")
    assert scene.run.of("nft", "lb_orphan") == []
    assert (scene.status().networks, scene.status().pending) == (2, None)


def test_it_waits_for_ingress_to_be_connected(scene: Scene) -> None:
    scene.run.answers[SHOW] = ["3: eth0    inet 10.0.0.3/24 scope global eth0\n"]
    scene.agent.step(100.0)
    assert "ingress is not connected" in (scene.status().pending or "")
    assert scene.run.of("nft", "lb_net1abcde")
    scene.run.answers[SHOW] = [CONNECTED]
    scene.agent.step(101.0)
    assert scene.status().pending is None


def test_a_record_that_cannot_be_read_is_left_out(scene: Scene) -> None:
    broken = endpoint(9)._replace(address="fe80::1")
    scene.tables.held["net1abcdefgh"].append(broken)
    scene.agent.step(100.0)
    assert "10.0.1.3" in scene.run.of("nft", "lb_net1abcde")[0]


def test_a_status_that_cannot_be_written_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    scene = Scene(str(tmp_path / "file" / "mesh.json"))
    scene.agent.step(100.0)
    assert scene.run.of("nft", "ingress_sbox")


def test_a_node_on_which_nothing_is_published_is_not_asked_how_it_reaches_ingress(scene: Scene) -> None:
    scene.serve()
    scene.run.answers.clear()
    scene.agent.step(100.0)
    assert ("ingress_sbox", tuple(SHOW.split()), "") not in scene.run.calls
    assert (scene.status().mode, scene.status().pending) == (Mode.NAT, None)


def test_what_is_published_no_more_is_diverted_no_more(scene: Scene) -> None:
    scene.agent.step(100.0)
    scene.serve()
    scene.agent.step(101.0)
    assert scene.run.of("nft", "node")[-1] == "table ip labctl_mesh\ndelete table ip labctl_mesh\n"
    scene.serve(3)
    scene.agent.step(102.0)
    assert "dnat to 172.18.0.2" in scene.run.of("nft", "node")[-1]


def test_the_ports_of_the_node_itself_are_not_diverted_and_all_others_are(scene: Scene) -> None:
    own = [Port("tcp", 80, port) for port in (22, 2376, 2377, 7946)] + [Port("udp", 53, 4789), Port("udp", 53, 7946)]
    others = [Port("tcp", 80, 5000), Port("udp", 53, 22), Port("udp", 53, 2377)]
    scene.tables.held["ingress-id"] = [endpoint(3, vip="10.0.0.2", ports=(*own, *others))]

    scene.agent.step(0.0)

    (script,) = scene.run.of("nft", "node")
    assert "elements = { tcp . 5000, udp . 22, udp . 2377 }" in script
    status = MeshStatus.load(scene.status_file)
    assert status is not None
    assert status.ports == ("5000/tcp", "22/udp", "2377/udp")


def test_a_service_that_publishes_only_ports_of_the_node_diverts_nothing(scene: Scene) -> None:
    scene.tables.held["ingress-id"] = [endpoint(3, vip="10.0.0.2", ports=(Port("tcp", 80, 2376),))]

    scene.agent.step(0.0)

    assert all("divert" not in script for script in scene.run.of("nft", "node"))
